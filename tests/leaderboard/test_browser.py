"""Tests of the page in a browser: it works, asks for nothing, and runs no one else's script."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import Dataset

from benchmark.result import MetricInfo
from benchmark.result_files import read_result_files, save_result_files
from leaderboard.render import render
from tests.chromium import HOSTILE, browser, colourful, printed
from tests.leaderboard.conftest import make_neurons, save_anew, save_result

__all__ = ["browser"]  # a fixture, found by its name

pytestmark = pytest.mark.browser
BROKEN = "[...document.images].filter(i => !(i.complete && i.naturalWidth)).length"


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds; asked from here, as the pages' policy forbids to poll in them."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def shows(page: Any, selector: str, text: str) -> None:
    """Wait until an element has a text."""
    from playwright.sync_api import expect

    expect(page.locator(selector).first).to_contain_text(text)


class Tab:
    """An open page, with everything it asked for and complained about."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        self.root = path.parent.as_uri()
        self.page.goto(path.as_uri())

    def go(self, name: str) -> None:
        """Open another page of the site; only the fragment may differ."""
        self.page.goto(f"{self.root}/{name}")

    def outside(self) -> list[str]:
        inside = (f"{self.root}/", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(inside)]

    def methods(self) -> list[str]:
        return list(self.page.locator("tbody.entry:visible .name").all_inner_texts())

    def sorted_by(self) -> list[tuple[str, str]]:
        headers = self.page.locator("th[aria-sort]")
        return [
            (header.locator(".sort").inner_text(), header.get_attribute("aria-sort"))
            for header in headers.all()
        ]


@pytest.fixture
def tab(
    browser: Any, results: Path, neurons: Dataset, network: Dataset, tmp_path: Path
) -> Iterator[Tab]:
    out = render(results, {"test": neurons, "network": network}, tmp_path / "site")
    tab = Tab(browser, out)
    yield tab
    assert tab.complaints == []
    assert tab.outside() == []
    tab.page.close()


def test_page_opens_from_disk_and_all_images_decode(tab: Tab) -> None:
    assert tab.methods() == ["People", "Beta", "Alpha", "Gamma", "Random"]
    tab.page.evaluate("for (const image of document.images) image.loading = 'eager'")
    eventually(lambda: tab.page.evaluate(BROKEN) == 0)
    assert tab.page.evaluate("document.images.length") == 28


def test_click_sorts_and_says_so(tab: Tab) -> None:
    assert tab.sorted_by() == [("Identification", "descending")]
    bleu = tab.page.get_by_role("button", name="BLEU")
    bleu.click()
    assert tab.methods() == ["Gamma", "Beta", "Alpha", "Random", "People"]
    assert tab.sorted_by() == [("BLEU", "descending")]
    bleu.click()
    assert tab.methods() == ["Random", "Alpha", "Beta", "Gamma", "People"]  # no value: still last
    assert tab.sorted_by() == [("BLEU", "ascending")]
    tab.page.get_by_role("button", name="Loss").click()
    assert tab.sorted_by() == [("Loss", "ascending")]  # lower is better: best first
    assert tab.methods()[0] == "Gamma"


def test_keyboard_sorts(tab: Tab) -> None:
    tab.page.get_by_role("button", name="Method", exact=True).focus()
    tab.page.keyboard.press("Enter")
    assert tab.methods() == ["Alpha", "Beta", "Gamma", "People", "Random"]
    tab.page.keyboard.press("Space")
    assert tab.methods() == ["Random", "People", "Gamma", "Beta", "Alpha"]


def test_method_filter(tab: Tab) -> None:
    box = tab.page.get_by_label("Filter methods")
    box.fill("ADA")
    assert tab.methods() == ["Alpha"]
    assert tab.page.locator("#method-count").inner_text() == "1 of 5 methods"
    box.fill("no such method")
    assert tab.methods() == []
    assert tab.page.get_by_text("No method matches").is_visible()
    box.fill("")
    assert len(tab.methods()) == 5


def test_kind_filter_and_permalinks(tab: Tab) -> None:
    tab.page.get_by_label("Kind").select_option(label="Controls")
    assert tab.methods() == ["Random"]
    tab.page.get_by_label("Kind").select_option(label="Methods")
    tab.page.get_by_role("button", name="BLEU").click()
    tab.page.get_by_label("Filter methods").fill("a")
    tab.page.get_by_label("Search words").fill("conv2")
    tab.page.get_by_role("switch", name="Masks").press("Space")
    assert tab.methods() == ["Gamma", "Beta", "Alpha"]
    address = tab.page.url
    other = tab.page.context.browser.new_page()
    other.goto(address)
    assert other.locator("tbody.entry:visible .name").all_inner_texts() == [
        "Gamma",
        "Beta",
        "Alpha",
    ]
    assert other.get_by_label("Filter methods").input_value() == "a"
    assert other.get_by_label("Search words").input_value() == "conv2"
    assert not other.get_by_role("switch", name="Masks").is_checked()
    assert other.locator(".card:visible").count() == 4
    other.close()


def test_back_returns_to_the_state_before(tab: Tab) -> None:
    tab.page.get_by_role("button", name="BLEU").click()
    tab.page.get_by_role("button", name="BLEU").click()
    assert tab.sorted_by() == [("BLEU", "ascending")]
    tab.page.go_back()
    eventually(lambda: tab.sorted_by() == [("BLEU", "descending")])
    tab.page.go_back()
    eventually(lambda: tab.sorted_by() == [("Identification", "descending")])
    assert "#" not in tab.page.url


@pytest.mark.parametrize(
    "fragment",
    ["sort=99.descending", "sort=title.sideways", "kind=admin", "split=77&layer==x", "%E0%A4%A",
     "hide=0.1.99", "sort=__proto__.ascending", "=&=", "methods=%3Cscript%3E"],
)  # fmt: skip
def test_addresses_that_mean_nothing_do_no_harm(tab: Tab, fragment: str) -> None:
    tab.go(f"index.html#{fragment}")
    tab.page.wait_for_timeout(50)
    assert tab.sorted_by() == [("Identification", "descending")]


def test_columns_of_a_split_are_hidden(browser: Any, tmp_path: Path, save_result: Any) -> None:
    path = save_result(tmp_path / "r", "m", {"identification": 0.8})
    save_anew(
        path,
        result=lambda r: r["splits"].update(second={**r["splits"]["test"], "fingerprint": "beef"}),
        table=lambda t: pd.concat([t, t.assign(split="second")]),
    )
    tab = Tab(browser, render(tmp_path / "r", {}, tmp_path / "site"))
    assert tab.page.locator("td.score:visible").count() == 2
    tab.page.get_by_role("checkbox", name="second").uncheck()
    assert tab.page.locator("td.score:visible").count() == 1
    tab.page.reload()
    assert tab.page.locator("td.score:visible").count() == 1
    assert tab.complaints == []
    tab.page.close()


def test_a_method_s_page_leads_to_its_neurons(tab: Tab) -> None:
    tab.page.get_by_role("link", name="Alpha").click()
    assert tab.page.locator("h1").inner_text() == "Alpha"
    tab.page.locator(".examples a").first.click()
    tab.page.wait_for_selector("#neuron:not([hidden])")
    assert tab.page.locator("h1").inner_text() == "conv1 unit 0"
    assert tab.page.locator("#picture img").count() == 2


def test_a_neuron_s_page(tab: Tab) -> None:
    tab.go("neuron.html#test/net/shapes/conv2/1")
    tab.page.wait_for_selector("#neuron:not([hidden])")
    assert tab.page.locator("h1").inner_text() == "conv2 unit 1"
    said = tab.page.locator("#said tr")
    assert [row.locator("th").inner_text() for row in said.all()] == [
        "People", "Beta", "Alpha", "Gamma", "Random",
    ]  # fmt: skip
    assert said.nth(1).locator("td").all_inner_texts() == ["beta says conv2", "0.900"]
    assert tab.page.locator("#references li").all_inner_texts() == [
        "a red circle", "round things", "discs",
    ]  # fmt: skip
    tab.page.get_by_role("button", name="Next").press("Enter")
    shows(tab.page, "h1", "conv2 unit 2")
    assert tab.page.url.endswith("#test/net/shapes/conv2/2")
    tab.page.go_back()
    shows(tab.page, "h1", "conv2 unit 1")
    tab.page.get_by_role("switch", name="Masks").press("Space")
    assert tab.page.url.endswith("#test/net/shapes/conv2/1?masks=off")
    tab.page.get_by_role("button", name="Next").click()
    shows(tab.page, "h1", "conv2 unit 2")
    assert tab.page.url.endswith("#test/net/shapes/conv2/2?masks=off")
    tab.page.reload()
    shows(tab.page, "h1", "conv2 unit 2")
    assert not tab.page.get_by_role("switch", name="Masks").is_checked()
    assert tab.page.locator("#picture.plain").count() == 1
    tab.page.get_by_label("Split").select_option(label="network")
    shows(tab.page, "h1", "blocks.1 unit 0")
    assert tab.page.locator("#said tr").first.locator(".number").inner_text() == "–"
    eventually(lambda: tab.page.evaluate(f"document.images.length === 2 && {BROKEN} === 0"))


@pytest.mark.parametrize(
    "fragment",
    ["nowhere", "test/net/shapes/conv9/0", "test/net/shapes/conv1/99", "%E0%A4%A", "test"],
)
def test_a_neuron_that_there_is_not(tab: Tab, fragment: str) -> None:
    tab.go(f"neuron.html#{fragment}")
    tab.page.wait_for_selector("#neuron:not([hidden])")
    assert tab.page.locator("h1").inner_text() == "conv1 unit 0"
    told = "There is no neuron" in tab.page.locator("#message").inner_text()
    assert told == fragment.startswith("test/")


def test_comparing(tab: Tab, results: Path, neurons: Dataset, tmp_path: Path) -> None:
    def values(table: pd.DataFrame) -> None:
        own = [0.9, 0.95, 1.0, 0.4, 0.6, 0.8, 0.7, 0.2]
        table.loc[table["split"] == "test", "identification"] = own

    save_anew(
        results / "alpha.json", table=values,
        result=lambda r: r["splits"]["test"]["scores"]["identification"].update(value=0.69375),
    )  # fmt: skip
    render(results, {"test": neurons}, tmp_path / "site")
    tab.go("compare.html#a=alpha&b=beta")
    tab.page.wait_for_selector("#comparison:not([hidden])")
    summary = tab.page.locator("#summary").inner_text()
    # alpha's mean is .69375, beta's .9 on every neuron.
    assert summary.startswith("Alpha − Beta = −0.206")
    assert "over 8 neurons" in summary
    assert "higher on 25%" in summary
    best = tab.page.locator("#first-better li")
    worst = tab.page.locator("#second-better li")
    assert best.count() == 2
    assert worst.count() == 5
    assert best.first.locator("a").inner_text() == "conv1 unit 2"
    assert worst.first.locator("a").inner_text() == "conv2 unit 3"
    shows(tab.page, "#second-better li", "alpha says conv2")
    tab.page.get_by_label("Layer").select_option(label="conv2")
    shows(tab.page, "#summary", "over 4 neurons")
    assert "layer=1" in tab.page.url
    tab.page.get_by_label("Second (up)").select_option(label="Random")
    shows(tab.page, "#summary", "Random")
    box = tab.page.locator("#scatter").bounding_box()
    # The lowest of conv2's values of alpha (.2) is the least of both axes, random's .5 above it.
    point = {"x": 64, "y": 12 + (box["height"] - 64) * (1 - 0.3 / 0.6)}
    tab.page.locator("#scatter").click(position=point)
    tab.page.wait_for_selector("#chosen a")
    assert tab.page.locator("#chosen a").inner_text() == "conv2 unit 3"
    other = tab.page.context.browser.new_page()
    other.goto(tab.page.url)
    shows(other, "#chosen", "conv2 unit 3")
    shows(other, "#chosen", "alpha says conv2")
    other.close()
    tab.page.get_by_label("Split").select_option(label="network")
    shows(tab.page, "#message", "no score")


def test_rules_say_what_this_board_is(tab: Tab) -> None:
    tab.go("rules.html")
    text = tab.page.locator("main").inner_text()
    assert "Methods are ranked by Identification on the split test" in text
    assert "verify" in text


def test_data_that_are_missing_are_told(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path
) -> None:
    index = render(results, {"test": neurons}, tmp_path / "site")
    (index.parent / "data" / "split-0" / "words-0.js").unlink()
    page = browser.new_page()
    page.goto((index.parent / "neuron.html").as_uri())
    shows(page, "#message", "whole folder")
    page.close()


def test_a_page_served_from_below_a_path(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path
) -> None:
    """As static hosts do: over HTTP, from a sub-folder."""
    import http.server
    import threading
    from functools import partial

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    render(results, {"test": neurons}, tmp_path / "www" / "board" / "site")
    handler = partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"http://127.0.0.1:{server.server_port}/board/site/neuron.html")
        page.wait_for_selector("#neuron:not([hidden])")
        page.goto(f"http://127.0.0.1:{server.server_port}/board/site/compare.html")
        page.wait_for_selector("#comparison:not([hidden])")
        assert complaints == []
        page.close()
        server.shutdown()


def test_gallery_filters(tab: Tab) -> None:
    cards = tab.page.locator(".card:visible")
    assert cards.count() == 14
    tab.page.get_by_label("Split").select_option(label="network")
    assert cards.count() == 6
    assert tab.page.locator(".split-cards:visible").count() == 1
    layers = tab.page.locator("#layer-filter option").all_inner_texts()
    assert layers == ["All layers", "real · blocks.1", "real · blocks.2", "real · head"]
    tab.page.get_by_label("Layer").select_option(label="real · head")
    assert cards.count() == 2
    tab.page.get_by_label("Split").select_option(label="All splits")
    assert cards.count() == 2  # the layer stays chosen
    tab.page.get_by_label("Layer").select_option(label="All layers")
    tab.page.get_by_label("Search words").fill("Red CIRCLE conv2")
    assert cards.count() == 4
    assert tab.page.locator("#neuron-count").inner_text() == "4 of 14 neurons"
    tab.page.get_by_label("Search words").fill("nowhere")
    assert tab.page.get_by_text("No neuron matches").is_visible()


def test_mask_switch(tab: Tab) -> None:
    from playwright.sync_api import expect

    switch = tab.page.get_by_role("switch", name="Masks")
    mask = tab.page.locator(".mask").first
    assert switch.is_checked()
    expect(mask).to_have_css("opacity", "1")
    switch.press("Space")
    expect(mask).to_have_css("opacity", "0")
    switch.press("Space")
    expect(mask).to_have_css("opacity", "1")


PAGES = ["index.html", "methods/alpha.html", "neuron.html", "compare.html", "rules.html"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_shows_everything_without_sideways_scrolling(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path, scheme: str
) -> None:
    out = render(results, {"test": neurons}, tmp_path / "site", title="W" * 300)
    tab = Tab(browser, out, viewport={"width": 360, "height": 700}, color_scheme=scheme)
    for name in PAGES:
        tab.go(name)
        tab.page.wait_for_timeout(150)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360, name
    assert tab.complaints == []
    tab.page.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a board of 100 methods, 12 columns, and 48 neurons in the gallery."""
    folder = tmp_path_factory.mktemp("large")
    data = make_neurons([f"layer{i}" for i in range(6)], units=8, k=1)
    metrics = {"identification": MetricInfo(title="Identification", chance=0.5)}
    metrics |= {f"metric-{i}": MetricInfo(title=f"Metric {i}") for i in range(11)}
    for number in range(100):
        values = dict.fromkeys(metrics, 0.9 - number / 500)
        save_result(
            folder / "results", f"method-{number}", values, neurons=data, metrics=metrics,
            description="a red circle beside something that is striped and very large",
            title=f"A method of some length, number {number}",
        )  # fmt: skip
    return render(folder / "results", {"test": data}, folder / "site")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_first_page_is_not_endless(browser: Any, large: Path, width: int) -> None:
    tab = Tab(browser, large, viewport={"width": width, "height": 844})
    assert tab.page.evaluate("document.documentElement.scrollHeight") < 7000
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    # All of it is there: rows and neurons scroll in frames of their own.
    assert len(tab.methods()) == 100
    assert tab.page.locator(".card").count() == 48
    frame = tab.page.locator("#board .table-wrap")
    assert frame.evaluate("e => e.scrollHeight > 3 * e.clientHeight")
    frame.evaluate("e => e.scrollTo(0, e.scrollHeight)")
    tops = frame.evaluate(
        "e => [e.getBoundingClientRect().top, e.querySelector('thead').getBoundingClientRect().top]"
    )
    assert tops[1] == pytest.approx(tops[0], abs=3)  # the headings stay
    tab.page.locator(".card a").last.focus()  # the keyboard reaches what is out of sight
    assert tab.page.locator(".card").last.evaluate(
        "e => { const r = e.getBoundingClientRect(); return r.left >= 0 && r.left < innerWidth; }"
    )
    assert tab.complaints == []
    tab.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hidden_columns_show_that_they_are_there(browser: Any, large: Path, scheme: str) -> None:
    """A shadow at the right edge, until the last column is reached; none where all fit."""
    tab = Tab(browser, large, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    frame = tab.page.locator("#board .table-wrap")
    edge = "e => Number(getComputedStyle(e, '::after').opacity)"
    eventually(lambda: frame.evaluate(edge) == 1)
    box = frame.bounding_box()
    frame.scroll_into_view_if_needed()
    frame.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    eventually(lambda: frame.evaluate(edge) == 0)
    assert box is not None
    # A table of two columns fits: nothing scrolls, nothing is promised.
    tab.go("methods/method-3.html")
    tab.page.set_viewport_size({"width": 1280, "height": 844})
    assert tab.page.locator("#scores .table-wrap").evaluate(edge) == 0
    tab.page.close()


def test_printed_pages_show_exemplars(tab: Tab) -> None:
    tab.page.emulate_media(color_scheme="dark")
    sheets = printed(tab.page)
    assert colourful(sheets) > 0.05
    assert all((sheet[0, 0] == 255).all() for sheet in sheets)  # white paper, also in the dark
    tab.go("neuron.html#test/net/shapes/conv1/0")
    tab.page.locator("#neuron .sheet img").first.wait_for()
    assert colourful(printed(tab.page)) > 0.02
    tab.page.emulate_media(media="print")
    for wrap in tab.page.locator(".table-wrap").all():
        assert wrap.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(":disabled, svg, noscript")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    const name = `${element.tagName}.${element.className}`;
    if (ratio < (large ? 3 : 4.5)) poor.push(`${name} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_enough(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path, scheme: str
) -> None:
    """Contrast of at least 4.5 to 1, or 3 to 1 for large text: WCAG 2.2, criterion 1.4.3."""
    tab = Tab(browser, render(results, {"test": neurons}, tmp_path / "site"), color_scheme=scheme)
    for name in PAGES:
        tab.go(name)
        tab.page.wait_for_timeout(150)
        assert tab.page.evaluate(CONTRAST) == [], name
    tab.page.close()


def test_everything_has_a_name_and_can_be_reached(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path
) -> None:
    tab = Tab(browser, render(results, {"test": neurons}, tmp_path / "site"))
    for name in PAGES:
        tab.go(name)
        tab.page.wait_for_timeout(150)
        unnamed = tab.page.evaluate(
            """() => [...document.querySelectorAll("a, button, select, input, table, canvas, img")]
              .filter((e) => e.checkVisibility())
              .filter((e) => !e.textContent.trim() && !e.labels?.length)
              .filter((e) => !e.ariaLabel && !e.hasAttribute("alt"))
              .map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert unnamed == [], name
        assert tab.page.locator("html[lang]").count() == 1
        assert tab.page.locator("h1:visible").count() == 1
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.tagName") == "A"
    tab.page.close()


def test_pages_are_of_use_without_scripts(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path
) -> None:
    out = render(results, {"test": neurons}, tmp_path / "site")
    tab = Tab(browser, out, java_script_enabled=False)
    assert tab.page.locator(".card").count() == 8
    assert tab.page.get_by_label("Filter methods").is_hidden()  # it would do nothing
    tab.page.get_by_role("link", name="Alpha").click()
    assert tab.page.get_by_text("Best and worst neurons").is_visible()
    tab.go("neuron.html")
    assert tab.page.locator("noscript p").is_visible()
    tab.page.close()


def test_hostile_submission_runs_no_script(
    browser: Any, tmp_path: Path, make_neurons: Any, save_result: Any, make_score: Any
) -> None:
    neurons = make_neurons(["conv1", HOSTILE], 2, references=[HOSTILE], model=HOSTILE)
    metrics = {
        "identification": MetricInfo(title=HOSTILE, chance=0.5, description=HOSTILE),
        HOSTILE: MetricInfo(title=HOSTILE),
    }
    for name in ("hostile", "evil"):
        path = save_result(
            tmp_path / "results",
            name,
            {"identification": make_score(0.6, HOSTILE, 4), HOSTILE: make_score(0.6, HOSTILE, 4)},
            neurons=neurons,
            description=HOSTILE,
            fingerprint=HOSTILE,
            metrics=metrics,
            title=HOSTILE[:200],
            authors=HOSTILE,
            paper="javascript:window.hacked=1",
            training_data=[HOSTILE],
            licence=HOSTILE[:100],
            annotations_seen=HOSTILE,
            unscored={HOSTILE: neurons},
        )
        pair = read_result_files(path)
        changes = {"refused": {"third": HOSTILE}, "hardware": HOSTILE, "board": HOSTILE[:100]}
        changes["versions"] = {HOSTILE: HOSTILE}
        save_result_files(pair.result.model_copy(update=changes), path.parent, pair.per_neuron)
    out = render(
        tmp_path / "results",
        {"test": neurons, HOSTILE: neurons},
        tmp_path / "site",
        title=HOSTILE,
        split_notes={HOSTILE: HOSTILE},
    )
    tab = Tab(browser, out)
    tab.page.get_by_label("Split").select_option(index=2)
    tab.page.get_by_label("Layer").select_option(index=2)
    tab.page.get_by_label("Search words").fill(HOSTILE[:30])
    tab.page.locator("th .sort").first.click()
    for name in ("methods/hostile.html", "rules.html", "neuron.html", "compare.html"):
        tab.go(name)
        tab.page.wait_for_timeout(300)
        for field in tab.page.locator("select").all():
            if field.is_visible() and field.is_enabled():
                field.select_option(index=field.locator("option").count() - 1)
                tab.page.wait_for_timeout(150)
        assert tab.page.evaluate("window.hacked") is None
    tab.go("neuron.html")
    tab.page.wait_for_selector("#neuron:not([hidden])")
    assert HOSTILE[:40] in tab.page.locator("#references").inner_text()  # shown, as a text
    assert HOSTILE[:40] in tab.page.locator("#said").inner_text()
    assert tab.page.evaluate("window.hacked") is None
    assert tab.complaints == []  # not even something for the policy to block
    assert tab.outside() == []
    tab.page.close()

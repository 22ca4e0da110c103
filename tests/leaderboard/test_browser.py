"""Tests of the page in a browser: it works, asks for nothing, and runs no one else's script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from leaderboard.render import render
from tests.chromium import HOSTILE, browser

__all__ = ["browser"]  # a fixture, found by its name

pytestmark = pytest.mark.browser


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
        self.page.goto(path.as_uri())
        self.own = path.as_uri()

    def outside(self) -> list[str]:
        return [url for url in self.requests if url != self.own and not url.startswith("data:")]

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
    out = render(results, {"test": neurons, "network": network}, tmp_path / "page.html")
    tab = Tab(browser, out)
    yield tab
    assert tab.complaints == []
    assert tab.outside() == []
    tab.page.close()


def test_page_opens_from_disk_and_all_images_decode(tab: Tab) -> None:
    assert tab.methods() == ["People", "Beta", "Alpha", "Gamma", "Random"]
    broken = "[...document.images].filter(i => !(i.complete && i.naturalWidth)).length"
    tab.page.wait_for_load_state("load")
    assert tab.page.evaluate("document.images.length") == 28
    assert tab.page.evaluate(broken) == 0


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


def test_details_open_and_travel_with_their_row(tab: Tab) -> None:
    button = tab.page.get_by_role("button", name="Alpha")
    details = tab.page.locator("#" + button.get_attribute("aria-controls"))
    assert details.is_hidden()
    button.press("Enter")
    assert details.is_visible()
    assert button.get_attribute("aria-expanded") == "true"
    tab.page.get_by_role("button", name="BLEU").click()
    assert "Alpha" in details.evaluate("row => row.previousElementSibling.textContent")


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_shows_everything_without_sideways_scrolling(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path, scheme: str
) -> None:
    out = render(results, {"test": neurons}, tmp_path / "page.html", title="W" * 300)
    tab = Tab(browser, out, viewport={"width": 360, "height": 700}, color_scheme=scheme)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.complaints == []
    tab.page.close()


def test_page_is_whole_without_scripts(
    browser: Any, results: Path, neurons: Dataset, tmp_path: Path
) -> None:
    out = render(results, {"test": neurons}, tmp_path / "page.html")
    tab = Tab(browser, out, java_script_enabled=False)
    assert tab.page.locator(".card").count() == 8
    assert tab.page.get_by_label("Filter methods").is_hidden()  # it would do nothing
    assert tab.page.locator(".details:visible").count() == 5  # nothing could open them
    tab.page.close()


def test_hostile_submission_runs_no_script(
    browser: Any, tmp_path: Path, make_neurons: Any, save_result: Any, make_score: Any
) -> None:
    neurons = make_neurons(["conv1", HOSTILE], 1, references=[HOSTILE], model=HOSTILE)
    save_result(
        tmp_path / "results",
        "hostile",
        {"identification": make_score(0.6, HOSTILE)},
        neurons=neurons,
        description=HOSTILE,
        fingerprint=HOSTILE,
        title=HOSTILE[:200],
        authors=HOSTILE,
        paper="javascript:window.hacked=1",
        training_data=[HOSTILE],
        unscored={HOSTILE: neurons},
    )
    out = render(
        tmp_path / "results",
        {"test": neurons, HOSTILE: neurons},
        tmp_path / "page.html",
        title=HOSTILE,
        split_notes={HOSTILE: HOSTILE},
    )
    tab = Tab(browser, out)
    tab.page.locator(".open").click()
    tab.page.get_by_label("Split").select_option(index=2)
    tab.page.get_by_label("Layer").select_option(index=2)
    tab.page.get_by_label("Search words").fill(HOSTILE[:30])
    tab.page.locator("th .sort").first.click()
    tab.page.wait_for_timeout(200)
    assert tab.page.evaluate("window.hacked") is None
    assert tab.complaints == []  # not even something for the policy to block
    assert tab.outside() == []
    tab.page.close()

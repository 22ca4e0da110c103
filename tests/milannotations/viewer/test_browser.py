"""Tests of the pages in a browser, from a disk: they work, and run no one else's script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from milannotations.folder import write_card, write_records
from milannotations.viewer.config import ViewConfig
from milannotations.viewer.pages import write_pages
from tests.chromium import HOSTILE as MARKUP
from tests.chromium import browser, colourful, printed
from tests.milannotations.viewer.records import make_record, write_statistics

__all__ = ["browser"]  # a fixture, found by its name

pytestmark = pytest.mark.browser

HIDDEN = "\u202e"  # turns the direction of writing
HOSTILE = MARKUP + "/%00%zz" + HIDDEN


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of 110 units of conv1, and of three of ``blocks/4``, of which one has no images."""
    work = tmp_path_factory.mktemp("viewer")
    words = ["red discs", "green grass", "blue sky"]
    records = [
        make_record("conv1", unit, annotations=[words[unit % 3]] if unit else ())
        for unit in range(110)
    ]
    records += [make_record("blocks/4", unit, images=unit != 8) for unit in (1, 8)]
    bare = make_record("blocks/4", 9, images=False)
    records.append({**bare, "masks": [], "activations": [], "image_ids": [], "threshold": None})
    (work / "dataset" / "data").mkdir(parents=True)
    write_records(work / "dataset" / "data" / "train.parquet", records)
    write_statistics(work / "dataset", records[:90])
    (work / "dataset" / "images.csv").write_text("image_id,name\n0,a cat.jpg\n", encoding="utf-8")
    write_card(work / "dataset", "A dataset", "Made for a test.")
    said = work / "milan.csv"
    said.write_text("layer,unit,description\nconv1,7,striped fur\n", encoding="utf-8")
    return write_pages(
        ViewConfig(dataset=str(work / "dataset"), out=work / "out", descriptions=[said])
    ).page


class Tab:
    """An open page, with everything it asked for and complained about."""

    def __init__(self, browser: Any, page: Path, fragment: str = "", **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.folder = page.parent.as_uri()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.failures: list[tuple[str, str]] = []
        self.page.on("requestfailed", self._failed)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        self.page.goto(page.as_uri() + fragment)
        self.page.wait_for_selector(".card, #message:visible")

    def _failed(self, request: Any) -> None:
        self.failures.append((request.url.removeprefix(self.folder + "/"), request.failure))

    def outside(self) -> list[str]:
        return [u for u in self.requests if not u.startswith((self.folder + "/", "data:"))]

    def loaded(self, ending: str) -> list[str]:
        return [url.rpartition("/")[2] for url in self.requests if url.endswith(ending)]

    def units(self) -> list[int]:
        return [int(c.get_attribute("data-unit")) for c in self.page.locator(".card").all()]

    def first(self, unit: int) -> None:
        """Wait until a unit is the first that is shown; drawing waits for files."""
        expect(self.page.locator(".card").first).to_have_attribute("data-unit", str(unit))

    def chosen(self, unit: int) -> None:
        """Wait until a unit is chosen, and has the focus."""
        link = self.page.locator(f".chosen[data-unit='{unit}'] h3 a")
        expect(link).to_be_focused()


@pytest.fixture
def tab(browser: Any, site: Path) -> Iterator[Tab]:
    tab = Tab(browser, site)
    yield tab
    assert tab.complaints == []
    assert tab.outside() == []
    tab.page.close()


def test_the_first_page_shows_its_own_units_alone(tab: Tab) -> None:
    assert tab.units() == list(range(48))
    layers = tab.page.locator(".layers a")
    expect(layers.nth(0)).to_have_accessible_name("conv1 110 units")
    expect(layers.nth(1)).to_have_accessible_name("blocks/4 3 units")
    assert layers.first.get_attribute("aria-current") == "page"
    assert tab.page.locator("#count").inner_text() == "110 units, page 1 of 3"
    scripts = tab.loaded(".js")
    assert sorted(scripts) == ["facts-0000.js", "facts-0001.js", "facts-0002.js", "list.js"]
    tab.page.locator(".card img").first.evaluate("image => image.decode()")
    assert len(tab.loaded(".jpg")) < 48  # those far below are not loaded yet


def test_pictures_are_described_and_decode(tab: Tab) -> None:
    card = tab.page.get_by_role("article", name="unit 7", exact=True)
    card.scroll_into_view_if_needed()
    image = card.get_by_role("img", name="The 5 images that activate unit 7 most, strongest first")
    image.evaluate("image => image.decode()")
    mask = card.locator("img.mask")
    mask.evaluate("image => image.decode()")
    assert mask.get_attribute("alt") == ""
    assert image.bounding_box() == mask.bounding_box()


def test_a_card_tells_everything(tab: Tab) -> None:
    card = tab.page.get_by_role("article", name="unit 7", exact=True)
    assert "green grass" in card.inner_text()
    assert "milan\nstriped fur" in card.inner_text()
    chart = card.get_by_role("img", name="Histogram of activations")
    assert chart.get_attribute("aria-label") == (
        "Histogram of activations from −1 to 93; peaks of the exemplars from 92.6 to 93; "
        "threshold 7"
    )
    assert chart.locator("rect").count() == 3  # the fourth bin is empty
    assert chart.locator(".peak").count() == 5
    assert chart.locator(".threshold").count() == 1
    tab.page.get_by_role("article", name="unit 0", exact=True).get_by_text("5 exemplars").click()
    cells = tab.page.locator("[data-unit='0'] td").all_inner_texts()
    assert cells[:8] == ["1", "100", "0", "a cat.jpg", "2", "99.9", "1", ""]


def test_units_without_images_statistics_or_anything(tab: Tab) -> None:
    tab.page.get_by_role("link", name="blocks/4").click()
    tab.first(1)
    assert tab.units() == [1, 8, 9]
    whole, masks, nothing = tab.page.locator(".card").all()
    assert whole.locator("rect").count() == 0
    assert whole.locator(".peak").count() == 5
    assert masks.get_by_role("img", name="the images are not attached").is_visible()
    assert nothing.get_by_text("No exemplars are stored.").is_visible()
    assert nothing.locator("svg").count() == 0
    assert tab.page.locator(".pager:visible").count() == 0


def test_mask_switch(tab: Tab) -> None:
    switch = tab.page.get_by_role("switch", name="Masks")
    mask = tab.page.locator(".mask").first
    expect(mask).to_have_css("opacity", "1")
    switch.press("Space")
    expect(mask).to_have_css("opacity", "0")


def test_search_loads_the_words_and_filters(tab: Tab) -> None:
    assert tab.loaded("words.js") == []
    box = tab.page.get_by_label("Search this layer")
    box.fill("STRIPED green")
    tab.first(7)
    assert tab.units() == [7]
    assert tab.page.locator("#count").inner_text() == "1 of 110 units"
    box.fill("105")
    tab.first(105)
    assert tab.units() == [105]
    box.fill("nowhere")
    tab.page.get_by_text("No unit of this layer matches").wait_for()
    assert tab.units() == []
    box.fill("")
    tab.first(0)
    assert len(tab.units()) == 48
    assert tab.loaded("words.js") == ["words.js"]


def test_sorting(tab: Tab) -> None:
    order = tab.page.get_by_label("Sort by")
    order.select_option(label="Highest threshold")
    tab.first(109)
    assert tab.units() == list(range(109, 61, -1))
    order.select_option(label="Highest peak")
    tab.first(0)
    assert tab.units() == list(range(48))
    tab.page.get_by_role("link", name="blocks/4").click()
    tab.first(1)
    order.select_option(label="Highest threshold")
    tab.first(8)
    assert tab.units() == [8, 1, 9]  # no threshold: last


def test_pages_turn_by_button_key_and_number(tab: Tab) -> None:
    following = tab.page.get_by_role("button", name="Next page").first
    following.focus()
    tab.page.keyboard.press("Enter")
    tab.first(48)
    tab.page.keyboard.press("Enter")
    tab.first(96)
    assert tab.units() == list(range(96, 110))
    assert following.get_attribute("aria-disabled") == "true"
    assert following.evaluate("button => button === document.activeElement")  # not lost
    tab.page.keyboard.press("Enter")  # does nothing
    tab.page.keyboard.press("ArrowLeft")
    tab.first(48)
    number = tab.page.get_by_label("Page", exact=True)
    assert number.input_value() == "2"
    number.fill("3")
    number.press("Enter")
    tab.first(96)
    number.press("ArrowLeft")  # moves the caret, not the page
    assert tab.page.locator("#count").inner_text() == "110 units, page 3 of 3"
    number.fill("99")
    number.press("Enter")
    assert number.input_value() == "3"


def test_a_link_opens_its_unit(browser: Any, site: Path) -> None:
    tab = Tab(browser, site, "#conv1/100")
    tab.chosen(100)
    assert tab.units() == list(range(96, 110))
    # In view, if not at the top: the last units of a page cannot be scrolled there.
    tab.page.wait_for_function(
        "() => { const top = document.querySelector('.chosen').getBoundingClientRect().top;"
        " return top >= 0 && top < 0.75 * innerHeight; }"
    )
    assert tab.page.locator(".chosen details[open]").count() == 1
    tab.page.evaluate("location.hash = '#blocks%2F4/8'")
    tab.chosen(8)
    tab.page.go_back()
    tab.chosen(100)
    tab.page.locator(".chosen h3 a").click()
    expect(tab.page.locator(".chosen")).to_have_count(0)
    assert tab.page.evaluate("location.hash") == "#conv1"
    assert tab.complaints == []
    tab.page.close()


@pytest.mark.parametrize(
    ("fragment", "message", "cards"),
    [
        ("#conv1/999", "There is no unit 999 in conv1.", 48),
        ("#nowhere", "names no layer", 48),
        ("#%zz/%", "names no layer", 48),
        ("#blocks/4", "", 3),  # a layer, though it looks like a unit
        ("#blocks/4/1", "", 3),
    ],
)
def test_addresses(browser: Any, site: Path, fragment: str, message: str, cards: int) -> None:
    tab = Tab(browser, site, fragment)
    expect(tab.page.locator("#message")).to_contain_text(message)
    expect(tab.page.locator("#message")).to_be_visible(visible=bool(message))
    expect(tab.page.locator(".card")).to_have_count(cards)
    assert tab.complaints == []
    tab.page.close()


def test_a_link_wins_over_the_search_that_hides_its_unit(tab: Tab) -> None:
    box = tab.page.get_by_label("Search this layer")
    box.fill("red")
    tab.first(3)
    tab.page.evaluate("location.hash = '#conv1/50'")
    tab.chosen(50)
    assert box.input_value() == ""


def test_a_file_that_is_missing_is_named(browser: Any, site: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(site.parent, copy)
    (copy / "layers" / "000-conv1" / "facts-0003.js").unlink()
    tab = Tab(browser, copy / "index.html")
    tab.page.keyboard.press("ArrowRight")
    tab.page.get_by_text("facts-0003.js cannot be loaded; was the whole folder copied?").wait_for()
    tab.page.keyboard.press("ArrowLeft")
    tab.first(0)
    assert tab.page.locator("#message").is_hidden()
    tab.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("fragment", ["", "#conv1/7"])
def test_phone_shows_everything_without_sideways_scrolling(
    browser: Any, site: Path, scheme: str, fragment: str
) -> None:
    size = {"width": 360, "height": 700}
    tab = Tab(browser, site, fragment, viewport=size, color_scheme=scheme)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.complaints == []
    tab.page.close()


def test_printed_pages_show_exemplars(tab: Tab) -> None:
    tab.page.emulate_media(color_scheme="dark")
    sheets = printed(tab.page)
    assert colourful(sheets) > 0.02
    assert all((sheet[0, 0] == 255).all() for sheet in sheets)


def test_without_scripts_the_page_says_what_it_needs(browser: Any, site: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(site.as_uri())
    assert page.get_by_text("please allow scripts").is_visible()
    assert page.get_by_label("Search this layer").is_hidden()
    page.close()


def test_hostile_texts_run_no_script(browser: Any, tmp_path: Path) -> None:
    # A table with the invisible character is refused.
    visible = HOSTILE.replace(HIDDEN, "")
    records = [
        make_record(layer, unit, annotations=[HOSTILE], model=visible, dataset=model)
        for layer in (HOSTILE, "conv1", "__proto__")
        for model in ("a", HOSTILE)
        for unit in range(2)
    ]
    (tmp_path / "dataset" / "data").mkdir(parents=True)
    write_records(tmp_path / "dataset" / "data" / "train.parquet", records)
    names = '"' + HOSTILE.replace('"', '""') + '"'
    listing = f"image_id,name\n0,{names}\n"
    (tmp_path / "dataset" / "images.csv").write_text(listing, encoding="utf-8")
    quoted = names.replace(HIDDEN, "")
    said = tmp_path / "<img src=x onerror=hacked=1>.csv"
    said.write_text(
        f"model,dataset,layer,unit,description\n{quoted},a,conv1,0,{quoted}\n",
        encoding="utf-8",
    )
    page = write_pages(
        ViewConfig(
            dataset=str(tmp_path / "dataset"),
            out=tmp_path / "out",
            descriptions=[said],
            title=HOSTILE,
        )
    ).page
    tab = Tab(browser, page)
    for link in tab.page.locator(".layers a").all():
        # Not by the mouse: the list may scroll to the layer before while its button is down.
        link.press("Enter")
        expect(link).to_have_attribute("aria-current", "page")
        expect(tab.page.locator(".card")).to_have_count(2)
        tab.page.locator(".card h3 a").first.click()
        tab.page.locator(".chosen").wait_for()
    tab.page.get_by_label("Search this layer").fill(HOSTILE[:30])
    expect(tab.page.locator("#count")).to_contain_text("of 2")
    assert tab.page.evaluate("window.hacked") is None
    assert tab.complaints == []  # not even something for the policy to block
    assert tab.outside() == []
    tab.page.close()


def test_the_policy_blocks_scripts_in_markup(browser: Any, site: Path, tmp_path: Path) -> None:
    """Even if a text became markup, no script of it would run, and nothing would leave."""
    copy = tmp_path / "copy"
    shutil.copytree(site.parent, copy)
    text = (copy / "index.html").read_text(encoding="utf-8")
    (copy / "other.js").write_text("window.hacked = 1")
    injected = (
        "<script>window.hacked = 1</script><script src='other.js'></script>"
        "<script src='https://example.org/x.js'></script><img src='https://example.org/x.png'>"
    )
    (copy / "index.html").write_text(text.replace("<footer>", injected + "<footer>"))
    tab = Tab(browser, copy / "index.html")
    assert tab.units()[:2] == [0, 1]
    assert tab.page.evaluate("window.hacked") is None
    assert sorted(tab.failures) == [
        ("https://example.org/x.js", "csp"),
        ("https://example.org/x.png", "csp"),
        ("other.js", "csp"),
    ]
    tab.page.close()

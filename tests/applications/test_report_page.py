"""The page of a report: what others wrote does no harm, and it fits screens and paper."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from applications.report_page import (
    KeyFigure,
    NeuronCard,
    NeuronCards,
    ReportFigure,
    ReportSection,
    ReportTable,
    _highlighted,
    render,
    sheet_of,
)
from tests.chromium import HOSTILE, browser, colourful, printed

__all__ = ["browser"]  # a fixture, found by its name

NASTY = f'{HOSTILE} "quoted" \u202egnp.exe\u2066 $x_1$ 😀 猫 {"w" * 300} </style><style>'


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def record(images: int = 7) -> dict[str, Any]:
    return {
        "images": [Image.new("RGB", (50, 40), (20 * i, 90, 160)) for i in range(images)],
        "masks": [Image.new("1", (50, 40), i % 2) for i in range(images)],
    }


def written(folder: Path, text: str = "a plain text") -> Path:
    Image.new("RGB", (1200, 500), "white").save(folder / "figure.png", dpi=(160, 160))
    wide = [[f"{text} {i}", *[f"{i}.{j} ± 0.5" for j in range(14)]] for i in range(60)]
    cards = [
        NeuronCard(
            f"layer:{i} {text}",
            f"{text} with a Red cube",
            (text, "peak 0.5"),
            ("red", text),
            sheet_of(record(), count=5 + i % 3),
        )
        for i in range(9)
    ]  # fmt: skip
    sections = [
        ReportSection(
            f"First {text}",
            (text, "A paragraph."),
            (
                ReportTable(text, ["Layer", *"abcdefghijklmn"], wide, text, strong=(1,)),
                ReportFigure(f"Caption {text}", folder / "figure.png", text),
            ),
        ),
        ReportSection(
            "Neurons", (), (NeuronCards(text, cards, text), NeuronCards("None here", []))
        ),
        ReportSection("Tables", (), (ReportTable("Empty", ["a", "b"], []),)),
    ]
    render(
        folder / "report.html", title=f"A network {text}", eyebrow=f"Audit {text}", lead=text,
        numbers=[KeyFigure("Share", "2.4 %", text), KeyFigure(text, text)], sections=sections,
        facts={"Words": text, text: "setting"},
    )  # fmt: skip
    return folder / "report.html"


def test_it_is_one_file_without_a_script(tmp_path: Path) -> None:
    html = written(tmp_path, NASTY).read_text(encoding="utf-8")
    elements = Elements(html).found
    assert not {"script", "svg", "link", "iframe", "object"} & {tag for tag, _ in elements}
    assert not [a for _, names in elements for a in names if a.startswith("on") or a == "style"]
    assert "\u202e" not in html and "\u2066" not in html
    addresses = [v for _, names in elements for a, v in names.items() if a in ("src", "href")]
    assert addresses and all(v and v.startswith(("data:image/", "#")) for v in addresses)
    assert html.count("<style>") == html.count("</style>") == 1
    assert not list(tmp_path.glob(".report*"))


def test_the_policy_admits_its_style_and_pictures_only(tmp_path: Path) -> None:
    html = written(tmp_path).read_text(encoding="utf-8")
    style = html.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.replace("&#39;", "'") == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("dog faces, a Face", ("face",), "dog faces, a <mark>Face</mark>"),
        ("Dog's faces", ("dog", "faces"), "<mark>Dog</mark>&#39;s <mark>faces</mark>"),
        ("two stop-signs", ("stop signs",), "two <mark>stop-signs</mark>"),
        ("stop signs on", ("stop signs", "signs on"), "<mark>stop signs</mark><mark> on</mark>"),
        ("a < b & c", ("b",), "a &lt; <mark>b</mark> &amp; c"),
        ("<mark>x</mark>", ("x",), "&lt;mark&gt;<mark>x</mark>&lt;/mark&gt;"),
        ("amp & lt <", ("amp", "lt"), "<mark>amp</mark> &amp; <mark>lt</mark> &lt;"),
        ("c++ and c", ("c",), "c++ and <mark>c</mark>"),
        ("caf\u0065\u0301 table", ("café",), "<mark>café</mark> table"),
        ("red red", ("red", "red"), "<mark>red</mark> <mark>red</mark>"),
        ("r\u202eed cube", ("red",), "<mark>red</mark> cube"),
        ("any.thing", (".*", "", "<"), "any.thing"),
        ("", ("red",), ""),
    ],
)
def test_words_are_marked_whole_and_escaped(text: str, marked: Any, expected: str) -> None:
    assert _highlighted(text, marked) == expected


def test_a_text_is_clipped_before_it_is_marked() -> None:
    marked = _highlighted("red " * 1000, ["red"])
    assert marked.count("<mark>") == marked.count("</mark>") == 100
    assert marked.endswith("…")


def test_columns_of_numbers_are_told_from_texts(tmp_path: Path) -> None:
    rows = [
        ["a", "1,024", "2.4% [2.0, 3.0]", "12 of 30", "one", "a sentence of more than a few words"],
        ["b", "—", "−3.1 ± 0.2", "n/a", "2", "x"],
    ]
    table = ReportTable("T", ["Layer", "n", "share", "part", "mixed", "text"], rows, strong=(1,))
    render(tmp_path / "r.html", title="t", eyebrow="e", lead="l", numbers=[], facts={},
           sections=[ReportSection("s", (), (table,))])  # fmt: skip
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    kinds = re.findall(r'<t[hd] scope="col" class="([^"]*)"', html)
    assert kinds == ["head short", "number", "number", "number", "short", "text"]
    assert re.search(r'<tr class="strong">\s*<th scope="row" class="head short"><bdi>b<', html)
    assert html.count('class="strong"') == 1


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rows \[1\] of 'T'"):
        ReportTable("T", ["a", "b"], [["1", "2"], ["1"]])


def test_sheets_have_the_strongest_exemplars() -> None:
    sheet = sheet_of(record())
    assert sheet is not None and (sheet.columns, sheet.rows, sheet.count) == (5, 1, 5)
    assert sheet.image and sheet.overlay
    more = sheet_of(record(), columns=4, count=15)
    assert more is not None and (more.columns, more.rows, more.count) == (4, 2, 7)
    unmasked = sheet_of({**record(), "masks": []})
    assert unmasked is not None and unmasked.overlay is None
    assert sheet_of({"images": [], "masks": record()["masks"]}) is None
    assert sheet_of({"images": None}) is None
    assert sheet_of({}) is None


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_its_window(browser: Any, tmp_path: Path, width: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(written(tmp_path, NASTY).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
    assert not complaints
    assert all(url.startswith(("file:", "data:")) for url in asked)
    mask = page.locator(".mask").first
    assert mask.bounding_box() == page.locator(".sheet img").first.bounding_box()
    page.get_by_text("Masks", exact=True).click()
    page.wait_for_timeout(400)
    assert mask.evaluate("one => getComputedStyle(one).opacity") == "0"
    page.close()


@pytest.mark.browser
def test_on_paper_it_is_white_and_nothing_is_cut(browser: Any, tmp_path: Path) -> None:
    # A sheet of A4 without its margins, at 96 pixels per inch.
    page = browser.new_page(viewport={"width": 687, "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    page.goto(written(tmp_path, NASTY).as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 687
    assert page.locator("thead").first.evaluate("one => getComputedStyle(one).display") == (
        "table-header-group"
    )
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()


@pytest.mark.browser
def test_printed_pages_show_exemplars(browser: Any, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(written(tmp_path).as_uri())
    assert colourful(printed(page)) > 0.02
    page.close()


@pytest.mark.browser
def test_a_wide_table_shows_that_it_scrolls(browser: Any, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(written(tmp_path).as_uri())
    table = page.locator(".scroll.many, .table .scroll").first
    edge = "e => Number(getComputedStyle(e, '::after').opacity)"
    page.wait_for_timeout(100)
    assert table.evaluate(edge) == 1
    table.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    page.wait_for_timeout(100)
    assert table.evaluate(edge) == 0
    page.close()

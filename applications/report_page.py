"""A report on a network as one page without a script: to read on a screen, or to print.

Everything on it that others wrote (descriptions, names of layers and classes) is escaped, and the
page's policy admits its own style and pictures that are in the file, nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from PIL import Image as PILImage

from benchmark.tokenization import SIGNED_WORD
from milannotations.page import PageKit
from milannotations.storage import atomic_path
from milannotations.untrusted_text import clean, clip
from milannotations.viewer.sheets import DrawnSheet, data_uri, draw_sheet

_SITE = Path(__file__).parent / "site"
_LONGEST = 400  # characters of a description
_SHORT_CELL = 28  # characters of a cell that is kept on one line
_LONG_WORD = 24  # letters; a column with longer words may break them
_MANY_COLUMNS = 8  # from here on a table is set smaller on paper
_SCREEN = 1.3  # figures are drawn for the width of a sheet of paper; a screen has more room
_WIDE = 640  # CSS pixels; a wider figure scrolls on a phone instead of becoming illegible
_NUMBERS = re.compile(r"(?:[\d\s.,:;%‰±+\-−–—~<>=≤≥×/()\[\]…]|of|to|pp|n/a)*", re.IGNORECASE)


@dataclass(frozen=True)
class KeyFigure:
    """A key figure at the top of the page.

    Attributes:
        label: What it is.
        value: The figure, formatted.
        note: A remark below it, such as an interval.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table of formatted texts; columns that hold only numbers are aligned to the right.

    Attributes:
        title: Stands above it.
        columns: Heads of the columns; the first column names the rows.
        rows: Cells, as many per row as there are columns.
        note: A remark below it.
        strong: Rows in bold, counted from 0.

    Raises:
        ValueError: If a row has another number of cells.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    strong: Sequence[int] = ()

    def __post_init__(self) -> None:
        wrong = [i for i, row in enumerate(self.rows) if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"rows {wrong} of {self.title!r} have not {len(self.columns)} cells")


@dataclass(frozen=True)
class ReportFigure:
    """A figure.

    Attributes:
        caption: Stands below it.
        path: A PNG file; it becomes part of the page.
        alt: What it shows, for those who cannot see it.
    """

    caption: str
    path: Path
    alt: str


@dataclass(frozen=True)
class NeuronCard:
    """A neuron.

    Attributes:
        title: Its name.
        text: What is said of it.
        facts: Short remarks below that.
        marked: Words, or words that follow one another, to highlight in ``text``.
        sheet: Its exemplars; None shows none.
    """

    title: str
    text: str
    facts: Sequence[str] = ()
    marked: Sequence[str] = ()
    sheet: DrawnSheet | None = None


@dataclass(frozen=True)
class NeuronCards:
    """Neurons side by side.

    Attributes:
        title: Stands above them.
        cards: The neurons.
        note: A remark below the title.
    """

    title: str
    cards: Sequence[NeuronCard]
    note: str = ""


@dataclass(frozen=True)
class ReportSection:
    """A section of the page.

    Attributes:
        title: Its title.
        text: Paragraphs.
        parts: What follows these, in order.
    """

    title: str
    text: Sequence[str] = ()
    parts: Sequence[ReportTable | ReportFigure | NeuronCards] = ()


def render(
    path: Path,
    *,
    title: str,
    eyebrow: str,
    lead: str,
    numbers: Sequence[KeyFigure],
    sections: Sequence[ReportSection],
    facts: Mapping[str, str],
) -> None:
    """Write the page: one file that needs nothing else.

    Args:
        path: The HTML file.
        title: Its title.
        eyebrow: What kind of report it is, in a few words above the title.
        lead: A sentence or two below the title: what was found.
        numbers: Key figures.
        sections: The body.
        facts: How this was made: settings and versions, by name.
    """
    sheets = [
        card.sheet
        for section in sections
        for part in section.parts
        if isinstance(part, NeuronCards)
        for card in part.cards
        if card.sheet is not None
    ]
    text = PageKit(_SITE, style="report.css").render(
        "report.html.j2",
        extra_style="\n".join(sorted({_layout(sheet) for sheet in sheets})),
        title=title,
        eyebrow=eyebrow,
        lead=lead,
        numbers=numbers,
        sections=[
            {"title": s.title, "text": s.text, "parts": [_part(part) for part in s.parts]}
            for s in sections
        ],
        facts=facts,
    )
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sheet_of(
    record: Mapping[str, Any], columns: int = 5, count: int = 5, tile: int = 72
) -> DrawnSheet | None:
    """Draw the strongest exemplars of a neuron and their masks.

    Args:
        record: A decoded neuron record.
        columns: Exemplars per row.
        count: How many at most.
        tile: Side of an exemplar in pixels.

    Returns:
        The sheet, or None if the record has no images.
    """
    images = list(record.get("images") or ())[:count]
    if not images:
        return None
    return draw_sheet(images, list(record.get("masks") or ())[:count], columns, tile)


def _part(part: ReportTable | ReportFigure | NeuronCards) -> dict[str, Any]:
    if isinstance(part, ReportTable):
        kinds = [_kind([row[i] for row in part.rows]) for i in range(len(part.columns))]
        kinds[:1] = ["head text" if kind == "text" else "head short" for kind in kinds[:1]]
        many = len(part.columns) >= _MANY_COLUMNS
        return {"is": "table", "table": part, "kinds": kinds, "many": many}
    if isinstance(part, ReportFigure):
        with PILImage.open(part.path) as image:
            (width, height), dpi = image.size, image.info.get("dpi", (96, 96))[0]
        shown = round(width * 96 / dpi * _SCREEN)
        return {
            "is": "picture",
            "picture": part,
            "wide": shown > _WIDE,
            "width": shown,
            "height": round(shown * height / width),
            "source": data_uri(part.path.read_bytes(), "image/png"),
        }
    cards = [_card(card) for card in part.cards]
    return {
        "is": "cards",
        "cards": cards,
        "title": part.title,
        "note": part.note,
        "masked": any(card["mask"] for card in cards),
    }


def _card(card: NeuronCard) -> dict[str, Any]:
    sheet = card.sheet if card.sheet is not None and card.sheet.image else None
    return {
        "title": card.title,
        "text": _highlighted(card.text, card.marked),
        "facts": card.facts,
        "layout": _layout_name(sheet) if sheet else "",
        "image": data_uri(sheet.image, "image/jpeg") if sheet and sheet.image else "",
        "mask": data_uri(sheet.overlay, "image/png") if sheet and sheet.overlay else "",
        "width": 1000,
        "height": round(1000 * sheet.rows / sheet.columns) if sheet else 0,
        "blank": sheet is not None and sheet.count < sheet.columns * sheet.rows,
    }


def _layout_name(sheet: DrawnSheet) -> str:
    return f"tiles-{sheet.columns}-{sheet.rows}-{sheet.count}"


def _layout(sheet: DrawnSheet) -> str:
    """Return the rule of a sheet of this shape: the policy admits no style in an element."""
    missing = sheet.columns * sheet.rows - sheet.count
    return (
        f".{_layout_name(sheet)} {{ --columns: {sheet.columns}; --rows: {sheet.rows}; "
        f"--missing: {missing}; }}"
    )


def _highlighted(text: str, marked: Sequence[str]) -> Markup:
    """Escape a text and put ``<mark>`` around words of it, which must be whole."""
    # Composed letters, else an accent would end a word.
    shown = clip(clean(unicodedata.normalize("NFC", text)), _LONGEST)
    found = list(SIGNED_WORD.finditer(shown))
    words = [match.group().casefold() for match in found]
    spans = []
    for term in marked:
        wanted = [
            m.group().casefold() for m in SIGNED_WORD.finditer(unicodedata.normalize("NFC", term))
        ]
        size = len(wanted)
        spans += [
            (found[start].start(), found[start + size - 1].end())
            for start in range(len(words) - size + 1)
            if wanted and words[start : start + size] == wanted
        ]
    made, done = Markup(), 0
    for start, end in sorted(spans):
        if end > done:
            start = max(start, done)
            made += escape(shown[done:start]) + Markup("<mark>{}</mark>").format(shown[start:end])
            done = end
    return made + escape(shown[done:])


def _kind(cells: Sequence[str]) -> str:
    """Say how a column is set: numbers, short texts on one line, or texts that are broken."""
    if any(c.isdigit() for cell in cells for c in cell) and all(map(_NUMBERS.fullmatch, cells)):
        return "number"
    longest = max((len(word) for cell in cells for word in cell.split()), default=0)
    if longest > _LONG_WORD or max(map(len, cells), default=0) > _SHORT_CELL:
        return "text"
    return "short"

"""A report on a network: one page without scripts, for the screen and for print.

Text from other sources (descriptions, names of layers and classes) is escaped, and the page's
content-security policy admits only its own style and the pictures embedded in it.
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
_SHORT_CELL = 28  # most characters of a cell that stays on one line
_LONG_WORD = 24  # letters; columns with longer words may break them
_MANY_COLUMNS = 8  # tables with as many columns are set smaller on paper
_SCREEN = 1.3  # scale of figures on screen, which are drawn for the width of a sheet of paper
_WIDE = 640  # CSS pixels; a wider figure scrolls on a phone instead of becoming illegible
_NUMBERS = re.compile(r"(?:[\d\s.,:;%‰±+\-−–—~<>=≤≥×/()\[\]…]|of|to|pp|n/a)*", re.IGNORECASE)


@dataclass(frozen=True)
class KeyFigure:
    """A key figure at the top of the page.

    Attributes:
        label: Name of the figure.
        value: The formatted value.
        note: A remark below it, such as an interval.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table of formatted texts; columns of numbers are aligned to the right.

    >>> ReportTable("Layers", ["layer", "units"], [["conv1", "64"]]).rows
    [['conv1', '64']]

    Attributes:
        title: Title above the table.
        columns: Column heads; the first column names the rows.
        rows: Rows of cells, one cell per column.
        note: A remark below the table.
        strong: Indices of rows in bold.

    Raises:
        ValueError: If a row has a different number of cells.
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
        caption: Caption below the figure.
        path: A PNG file, which is embedded in the page.
        alt: Alternative text.
    """

    caption: str
    path: Path
    alt: str


@dataclass(frozen=True)
class NeuronCard:
    """A neuron.

    Attributes:
        title: Name of the neuron.
        text: Its description.
        facts: Short remarks below the description.
        marked: Words or phrases to highlight in ``text``.
        sheet: Its exemplars; None to show none.
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
        title: Title above the cards.
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
        title: Title of the section.
        text: Paragraphs.
        parts: Tables, figures and cards that follow, in order.
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
    """Write the page as one self-contained file.

    Args:
        path: The HTML file.
        title: Title of the page.
        eyebrow: Kind of report, a few words above the title.
        lead: A sentence or two below the title with the main finding.
        numbers: Key figures.
        sections: The body.
        facts: Settings and versions, by name.
    """
    sheets = [
        card.sheet
        for section in sections
        for block in section.parts
        if isinstance(block, NeuronCards)
        for card in block.cards
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
            {"title": s.title, "text": s.text, "parts": [_part(block) for block in s.parts]}
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
        count: Most exemplars.
        tile: Side of an exemplar in pixels.

    Returns:
        The sheet, or None if the record has no images.
    """
    images = list(record.get("images") or ())[:count]
    if not images:
        return None
    return draw_sheet(images, list(record.get("masks") or ())[:count], columns, tile)


def _part(block: ReportTable | ReportFigure | NeuronCards) -> dict[str, Any]:
    if isinstance(block, ReportTable):
        kinds = [_kind([row[i] for row in block.rows]) for i in range(len(block.columns))]
        kinds[:1] = ["head text" if kind == "text" else "head short" for kind in kinds[:1]]
        many = len(block.columns) >= _MANY_COLUMNS
        return {"is": "table", "table": block, "kinds": kinds, "many": many}
    if isinstance(block, ReportFigure):
        with PILImage.open(block.path) as image:
            (width, height), dpi = image.size, image.info.get("dpi", (96, 96))[0]
        shown = round(width * 96 / dpi * _SCREEN)
        return {
            "is": "picture",
            "picture": block,
            "wide": shown > _WIDE,
            "width": shown,
            "height": round(shown * height / width),
            "source": data_uri(block.path.read_bytes(), "image/png"),
        }
    cards = [_card(card) for card in block.cards]
    return {
        "is": "cards",
        "cards": cards,
        "title": block.title,
        "note": block.note,
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
    """Return the CSS rule of a sheet of this shape; the policy admits no inline styles."""
    missing = sheet.columns * sheet.rows - sheet.count
    return (
        f".{_layout_name(sheet)} {{ --columns: {sheet.columns}; --rows: {sheet.rows}; "
        f"--missing: {missing}; }}"
    )


def _highlighted(text: str, marked: Sequence[str]) -> Markup:
    """Escape a text, and put ``<mark>`` around whole words of it."""
    # Letters are composed first, or an accent would end a word.
    shown = clip(clean(unicodedata.normalize("NFC", text)), _LONGEST)
    words_found = list(SIGNED_WORD.finditer(shown))
    words = [match.group().casefold() for match in words_found]
    spans = []
    for term in marked:
        wanted = [
            m.group().casefold() for m in SIGNED_WORD.finditer(unicodedata.normalize("NFC", term))
        ]
        size = len(wanted)
        spans += [
            (words_found[start].start(), words_found[start + size - 1].end())
            for start in range(len(words) - size + 1)
            if wanted and words[start : start + size] == wanted
        ]
    marked_up, done = Markup(), 0
    for start, end in sorted(spans):
        if end > done:
            start = max(start, done)
            marked_up += escape(shown[done:start]) + Markup("<mark>{}</mark>").format(
                shown[start:end]
            )
            done = end
    return marked_up + escape(shown[done:])


def _kind(cells: Sequence[str]) -> str:
    """Return how a column is set: ``number``, ``short`` texts on one line, or ``text``."""
    if any(c.isdigit() for cell in cells for c in cell) and all(map(_NUMBERS.fullmatch, cells)):
        return "number"
    longest = max((len(word) for cell in cells for word in cell.split()), default=0)
    if longest > _LONG_WORD or max(map(len, cells), default=0) > _SHORT_CELL:
        return "text"
    return "short"

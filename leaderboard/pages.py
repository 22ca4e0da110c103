"""The pages of a board's site, rendered from the board view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.sanity.check_tables import cell
from benchmark.sanity.checks import CHECKS
from leaderboard.board import DRAWING_WIDTH
from leaderboard.gallery import GalleryCard
from leaderboard.profiles import WIDTH
from leaderboard.site_data import CHUNK
from leaderboard.view import BoardView
from milannotations.page import PageKit
from milannotations.untrusted_text import MAX_TEXT, clean, clip

SITE = Path(__file__).parent / "site"
INDEX = "index.html"
GENERATOR = "milannotations leaderboard"


def as_number(value: float, digits: int) -> str:
    """Format a number with a number of decimals, or with three figures where it is huge.

    >>> as_number(-0.5, 3), as_number(2e9, 1)
    ('−0.500', '2e+09')
    """
    text = f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")


def as_link(text: str) -> str:
    """Return a text that is a web address unchanged, and an empty string for any other.

    >>> as_link("https://example.com"), as_link("javascript:alert(1)")
    ('https://example.com', '')
    """
    one_word = not any(character.isspace() for character in text)
    return text if text.startswith(("https://", "http://")) and one_word else ""


class BoardPages:
    """Renders the pages of one site.

    Args:
        view: What they show.
        with_json: Whether every method's descriptions can be downloaded as JSON.

    Attributes:
        style: The content of the style sheet that the pages link to.
    """

    def __init__(self, view: BoardView, with_json: bool) -> None:
        self._view = view
        self._with_json = with_json
        self._kit = PageKit(
            SITE,
            site=True,
            linked_style=True,
            generator=GENERATOR,
            filters={"link": as_link, "number": as_number, "outcome": cell},
            tests={"link": lambda text: bool(as_link(text))},
        )
        self.style = self._kit.style

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield the name and HTML of each page, the first page last."""
        view = self._view
        for at, row in enumerate(view.board.rows):
            yield (
                f"methods/{row.method.name}.html",
                self._render(
                    "method.html.j2",
                    root="../",
                    row=row,
                    method=row.method,
                    result=row.result,
                    profiles=view.profiles(at),
                    drawing=WIDTH,
                    others=len(view.board.rows) > 1,
                ),
            )
        for name in ("neuron", "compare"):
            scripts = ("common.js", f"{name}.js")
            page = self._render(
                f"{name}.html.j2", scripts=scripts, data=_board_data(view), loads_scripts=True
            )
            yield f"{name}.html", page
        yield (
            "rules.html",
            self._render("rules.html.j2", trusted=view.trusted, versions=view.versions),
        )
        yield (
            INDEX,
            self._render(
                "index.html.j2",
                scripts=("index.js",),
                data=_index_data(view),
                splits=view.splits,
                cards=view.cards,
                left_out=view.left_out,
                sanity=view.sanity,
                checks=CHECKS,
                bar_width=DRAWING_WIDTH,
            ),
        )

    def _render(self, template: str, **values: Any) -> str:
        return self._kit.render(
            template,
            title=self._view.title,
            board=self._view.board,
            main=self._view.board.main_column,
            tables=self._view.shown_tables,
            with_json=self._with_json,
            **values,
        )


def _board_data(view: BoardView) -> dict[str, Any]:
    """Return what the scripts of pages that load data files need from the start."""
    board, main = view.board, view.board.main_column
    return {
        "title": clean(view.title),
        "chunk": CHUNK,
        "main": clean(main.key.metric) if main else None,
        "metric": clean(main.metric.title) if main else "Score",
        "higherIsBetter": main.metric.higher_is_better if main else True,
        "pictures": any(view.pictures.values()),
        "metrics": {
            clean(column.key.metric): {
                "title": clean(column.metric.title),
                "higherIsBetter": column.metric.higher_is_better,
            }
            for column in board.columns
        },
        "methods": [
            {"name": row.method.name, "title": clean(row.method.title), "kind": row.method.kind}
            for row in board.rows
        ],
        "splits": [
            {"number": table.number, "title": clean(table.name)} for table in view.shown_tables
        ],
        "scored": {
            str(table.number): [
                at
                for at, method in enumerate(table.methods)
                if method is not None and method.values
            ]
            for table in view.shown_tables
        },
    }


def _index_data(view: BoardView) -> dict[str, Any]:
    """Return what the first page's script sorts and filters by, so that it need not parse it."""
    board = view.board
    splits = list(dict.fromkeys(card.split for card in view.cards))
    return {
        "columns": [{"higherIsBetter": column.metric.higher_is_better} for column in board.columns],
        "main": board.main,
        "methods": [
            {
                "title": clean(row.method.title),
                "search": clean(" ".join((row.method.title, row.method.name, row.method.authors))),
                "kind": row.method.kind,
                "values": [None if score is None else score.value for score in row.cells],
            }
            for row in board.rows
        ],
        "scored": [
            {"split": number, "title": clean(split)}
            for number, split in enumerate(board.splits)
            if any(column.key.split == split for column in board.columns)
        ],
        "splits": [clean(split) for split in splits],
        "neurons": [_card_data(card, splits) for card in view.cards],
    }


def _card_data(card: GalleryCard, splits: Sequence[str]) -> dict[str, Any]:
    texts = (str(card.key), *card.references, *(quote.text for quote in card.quotes))
    return {
        "split": splits.index(card.split),
        "layer": clean(f"{card.key.model} · {card.key.layer}"),
        "search": clean(" ".join(clip(text) for text in texts), limit=10 * MAX_TEXT),
    }

"""Renders results as one self-contained page: no request to anywhere, no script but its own.

Everything in a result was written by others; ``milannotations.page`` sees to it that it does no
harm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from benchmark.result import Score
from benchmark.sanity.checks import CHECKS
from benchmark.sanity.report import SanityReport, cell, read_reports
from leaderboard.board import (
    MAIN_METRIC,
    Board,
    Column,
    LoadedResult,
    build_board,
    load_results,
)
from leaderboard.gallery import GALLERY_SIZE, Card, build_gallery
from milannotations.errors import InputError, did_you_mean
from milannotations.page import MAX_TEXT, as_json, clean, clip, content_policy, environment, themed
from milannotations.storage import atomic_path

if TYPE_CHECKING:
    from datasets import Dataset

TITLE = "What does a vision neuron respond to, in words?"
SITE = Path(__file__).parent / "site"
BAR_WIDTH, BAR_PADDING = 112, 4  # of an interval's drawing, in its own units


class Bar(NamedTuple):
    """Horizontal positions in an interval's drawing; ``chance`` is None if it is not known."""

    low: float
    high: float
    value: float
    chance: float | None


def render(
    results: Path,
    neurons: Mapping[str, Dataset],
    out: Path,
    *,
    title: str = TITLE,
    gallery_size: int = GALLERY_SIZE,
    split_notes: Mapping[str, str] | None = None,
    main_metric: str = MAIN_METRIC,
    main_split: str | None = None,
    seed: int = 0,
) -> Path:
    """Write the leaderboard as one HTML file that works from a server and from a disk.

    Args:
        results: Folder of ``<method>.json`` and ``<method>.per_neuron.parquet``, and of
            ``sanity/<split>.json`` where metrics were checked.
        neurons: The data set of each split that the gallery shows, by split name.
        out: The file to write; its folder is made if need be.
        title: Heading of the page.
        gallery_size: Neurons per split in the gallery.
        split_notes: What a reader must know of a split, such as who wrote its references.
        main_metric: Metric that ranks the methods.
        main_split: Split that ranks them; default the first one with that metric.
        seed: Of the gallery's choice of neurons.

    Returns:
        ``out``. The same input gives the same bytes.

    Raises:
        InputError: If a result or sanity report is invalid, a split or metric is in no result, or
            the metric that ranks is known to fail the sanity checks on its split.
    """
    loaded = load_results(results)
    board = build_board(loaded, main_metric, main_split)
    reports = read_reports(results)
    _check_main(board, reports)
    notes = dict(split_notes or {})
    for split in notes:
        if split not in board.splits:
            hint = did_you_mean(split, board.splits)
            raise InputError(f"a note is for split {split!r}, which is in no result{hint}")
    ordered = {split: neurons[split] for split in board.splits if split in neurons}
    ordered |= neurons  # unknown splits last: the gallery refuses them by name
    cards = build_gallery(board, loaded, ordered, main_metric, gallery_size, seed)
    shown = [reports[split] for split in board.splits if split in reports]
    html = _page(title, board, loaded, cards, notes, shown)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        path.write_bytes(html.encode("utf-8"))  # bytes: the hashes hold for these line ends
    return out


def _check_main(board: Board, reports: Mapping[str, SanityReport]) -> None:
    """Refuse to rank by a metric that can be fooled."""
    if board.main is None:
        return
    key = board.columns[board.main].key
    report = reports.get(key.split)
    if report is None or key.metric not in report.metrics:
        return
    found = report.metrics[key.metric]
    if found.signature != key.signature or report.fingerprint != key.fingerprint or found.passed:
        return
    checks = ((check.name, found.checks.get(check.name)) for check in CHECKS if check.required)
    failed = [name for name, outcome in checks if outcome is None or not outcome.passed]
    good = [name for name, metric in report.metrics.items() if metric.passed]
    raise InputError(
        f"{found.title} may not rank on {key.split!r}: it fails "
        f"{', '.join(failed) if found.tells_people else 'to tell people from chance'}; choose "
        f"another main metric ({', '.join(good) or 'none of those checked passes'})"
    )


def _page(
    title: str,
    board: Board,
    loaded: Sequence[LoadedResult],
    cards: Sequence[Card],
    notes: Mapping[str, str],
    sanity: Sequence[SanityReport],
) -> str:
    style = themed(SITE / "style.css")
    script = (SITE / "app.js").read_text(encoding="utf-8").strip()
    templates = environment(SITE)
    templates.filters.update(link=_link, number=_number, outcome=cell)
    templates.tests["link"] = lambda text: bool(_link(text))
    by_name = {result.method.name: result.result for result in loaded}
    return templates.get_template("page.html.j2").render(
        title=title,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=as_json(_data(board, cards)),
        board=board,
        results=by_name,
        bars=_bars(board),
        digits=[_digits(scores) for scores in _by_column(board)],
        counts=[sorted({score.n for score in scores}) for scores in _by_column(board)],
        best=_best(board),
        splits=[_split(name, loaded, notes.get(name, "")) for name in board.splits],
        cards=cards,
        sanity=sanity,
        checks=CHECKS,
        bar_width=BAR_WIDTH,
        uri=Markup,  # data URIs are made here, of base64: safe, and longer than any text may be
    )


def _data(board: Board, cards: Sequence[Card]) -> dict[str, Any]:
    """Return what the script sorts and filters by, so that it need not read it off the page."""
    splits = list(dict.fromkeys(card.split for card in cards))
    return {
        "columns": [{"higherIsBetter": column.metric.higher_is_better} for column in board.columns],
        "main": board.main,
        "methods": [
            {
                "title": clean(row.method.title),
                "search": clean(
                    " ".join(
                        (row.method.title, row.method.name, row.method.authors, row.method.kind)
                    )
                ),
                "values": [None if score is None else score.value for score in row.cells],
            }
            for row in board.rows
        ],
        "splits": [clean(split) for split in splits],
        "neurons": [
            {
                "split": splits.index(card.split),
                "layer": clean(f"{card.key.model} · {card.key.layer}"),
                "search": clean(
                    " ".join(
                        clip(text)
                        for text in (
                            str(card.key),
                            *card.references,
                            *(line.text for line in card.said),
                        )
                    ),
                    limit=10 * MAX_TEXT,
                ),
            }
            for card in cards
        ],
    }


def _by_column(board: Board) -> list[list[Score]]:
    cells = ([row.cells[i] for row in board.rows] for i in range(len(board.columns)))
    return [[score for score in column if score is not None] for column in cells]


def _best(board: Board) -> list[float | None]:
    """Return the best value of each column, or None where fewer than two methods compete."""
    best: list[float | None] = []
    for index, column in enumerate(board.columns):
        competing = (row.cells[index] for row in board.rows if row.method.kind == "method")
        values = [score.value for score in competing if score is not None]
        choose = max if column.metric.higher_is_better else min
        best.append(choose(values) if len(values) > 1 else None)
    return best


def _bars(board: Board) -> list[list[Bar | None]]:
    """Return one drawing per row and column; all of a column share their scale."""
    scales = [
        _scale(column, scores)
        for column, scores in zip(board.columns, _by_column(board), strict=True)
    ]
    return [
        [
            None if score is None or scale is None else _bar(score, column, scale)
            for score, column, scale in zip(row.cells, board.columns, scales, strict=True)
        ]
        for row in board.rows
    ]


def _scale(column: Column, scores: Sequence[Score]) -> tuple[float, float] | None:
    ends = [end for score in scores for end in (score.low, score.value, score.high)]
    if column.metric.chance is not None:
        ends.append(column.metric.chance)
    start, stop = min(ends), max(ends)
    return (start, stop) if 0 < stop - start < math.inf else None


def _bar(score: Score, column: Column, scale: tuple[float, float]) -> Bar:
    start, stop = scale

    def position(value: float) -> float:
        share = (value - start) / (stop - start)
        return round(BAR_PADDING + share * (BAR_WIDTH - 2 * BAR_PADDING), 1)

    chance = column.metric.chance
    return Bar(
        position(min(score.low, score.high)),
        position(max(score.low, score.high)),
        position(score.value),
        None if chance is None else position(chance),
    )


def _split(name: str, loaded: Sequence[LoadedResult], note: str) -> dict[str, Any]:
    """Gather what the results say of a split; they may differ, so each fact is a list."""
    found = [result.result.splits[name] for result in loaded if name in result.result.splits]
    return {
        "name": name,
        "note": note,
        "neurons": sorted({split.neurons for split in found}),
        "scored": sorted({split.scored for split in found}),
        "references": sorted({split.references for split in found if split.references}),
        "fingerprints": sorted({split.fingerprint for split in found}),
    }


def _digits(scores: Sequence[Score]) -> int:
    """Return the decimals of a column: 0.842 and 31.4 have as many figures."""
    return 3 if max(abs(score.value) for score in scores) < 10 else 1


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")


def _link(text: str) -> str:
    """Return a text that is a web address as it is, and an empty string for any other."""
    one_word = not any(character.isspace() for character in text)
    return text if text.startswith(("https://", "http://")) and one_word else ""

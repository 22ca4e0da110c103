"""What stands in a cell of the table: how a number is written and its interval drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from benchmark.result import Score
from leaderboard.board import Board, Column

BAR_WIDTH, BAR_PADDING = 112, 4  # of an interval's drawing, in its own units


class Bar(NamedTuple):
    """Horizontal positions in an interval's drawing; ``chance`` is None if it is not known."""

    low: float
    high: float
    value: float
    chance: float | None


def scores_by_column(board: Board) -> list[list[Score]]:
    """Return the scores that there are in each column."""
    cells = ([row.cells[i] for row in board.rows] for i in range(len(board.columns)))
    return [[score for score in column if score is not None] for column in cells]


def best_values(board: Board) -> list[float | None]:
    """Return the best value of each column, or None where fewer than two methods compete."""
    best: list[float | None] = []
    for index, column in enumerate(board.columns):
        competing = (row.cells[index] for row in board.rows if row.method.kind == "method")
        values = [score.value for score in competing if score is not None]
        choose = max if column.metric.higher_is_better else min
        best.append(choose(values) if len(values) > 1 else None)
    return best


def draw_bars(board: Board) -> list[list[Bar | None]]:
    """Return one drawing per row and column; all of a column share their scale."""
    scales = [
        _scale(column, scores)
        for column, scores in zip(board.columns, scores_by_column(board), strict=True)
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


def decimals_of(scores: Sequence[Score]) -> int:
    """Return the decimals of a column: 0.842 and 31.4 have as many figures."""
    return 3 if max(abs(score.value) for score in scores) < 10 else 1


def as_number(value: float, digits: int) -> str:
    """Write a number with so many decimals, or three figures where it is huge."""
    text = f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")


def as_link(text: str) -> str:
    """Return a text that is a web address as it is, and an empty string for any other."""
    one_word = not any(character.isspace() for character in text)
    return text if text.startswith(("https://", "http://")) and one_word else ""

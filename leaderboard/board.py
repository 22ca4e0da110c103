"""The board: a table of methods and columns, with all that pages and downloads show of it.

A column is identified by split, metric, signature and data set fingerprint. Two numbers that
differ in any of these were not measured the same way, so they never share a column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from benchmark.result import Method, MetricInfo, Result, Score
from leaderboard.results_folder import LoadedResult

DRAWING_WIDTH, DRAWING_PADDING = 112, 4  # of an interval's drawing, in its own units


class ColumnKey(NamedTuple):
    """What two numbers must have in common to be compared."""

    split: str
    metric: str
    signature: str
    fingerprint: str


class IntervalDrawing(NamedTuple):
    """Horizontal positions in an interval's drawing; ``chance`` is None if it is unknown."""

    low: float
    high: float
    value: float
    chance: float | None


@dataclass(frozen=True)
class Column:
    """One column of the board, with all that its cells share.

    Attributes:
        key: Its identity.
        metric: Title, direction and chance level.
        variant: 0 where the split has one column of this metric; otherwise 1, 2, … among them,
            the one with the most methods first.
        split_number: Index of its split among the board's.
        scores: All scores in it, in no particular order; at least one.
        best: The best value of a method; None where fewer than two methods compete.

    >>> scores = [Score(value=v, low=v - 0.1, high=v + 0.1, n=85, signature="s") for v in (0.5, 1)]
    >>> key = ColumnKey("test", "identification", "s", "f")
    >>> column = Column(key, MetricInfo(title="AUC"), 0, 0, tuple(scores), 1.0)
    >>> column.decimals, column.counts, column.draw(scores[0])
    (3, [85], IntervalDrawing(low=4.0, high=33.7, value=18.9, chance=None))
    """

    key: ColumnKey
    metric: MetricInfo
    variant: int
    split_number: int
    scores: tuple[Score, ...]
    best: float | None

    @property
    def decimals(self) -> int:
        """Decimals with which values are shown: 0.842 and 31.4 have three significant figures."""
        return 3 if max(abs(score.value) for score in self.scores) < 10 else 1

    @property
    def counts(self) -> list[int]:
        """The numbers of scored neurons that occur, ascending."""
        return sorted({score.n for score in self.scores})

    @cached_property
    def _scale(self) -> tuple[float, float] | None:
        ends = [end for score in self.scores for end in (score.low, score.value, score.high)]
        if self.metric.chance is not None:
            ends.append(self.metric.chance)
        start, stop = min(ends), max(ends)
        return (start, stop) if 0 < stop - start < math.inf else None

    def draw(self, score: Score) -> IntervalDrawing | None:
        """Return the drawing of a score on the scale that the column's scores share.

        Returns:
            The drawing, or None where all values are equal or the range is infinite.
        """
        if self._scale is None:
            return None
        start, stop = self._scale

        def position(value: float) -> float:
            share = (value - start) / (stop - start)
            return round(DRAWING_PADDING + share * (DRAWING_WIDTH - 2 * DRAWING_PADDING), 1)

        chance = self.metric.chance
        return IntervalDrawing(
            position(min(score.low, score.high)),
            position(max(score.low, score.high)),
            position(score.value),
            None if chance is None else position(chance),
        )


@dataclass(frozen=True)
class BoardRow:
    """One method on the board.

    Attributes:
        loaded: The method's result and its values per neuron.
        rank: One plus the number of methods that are clearly better in the main column, so that
            methods which cannot be told apart share a rank; see ``benchmark.significance``. None
            for controls and people (anchors, not competitors), for methods without a value there,
            and for methods whose interval there includes chance.
        cells: One score or None per column of the board, in their order.
        refused: For each column the reason why the method was not scored there; empty where it was
            scored, or submitted nothing.
        at_chance: Whether it has no rank because its interval in the main column includes chance.
    """

    loaded: LoadedResult
    rank: int | None
    cells: tuple[Score | None, ...]
    refused: tuple[str, ...] = ()
    at_chance: bool = False

    @property
    def method(self) -> Method:
        """The method."""
        return self.loaded.method

    @property
    def result(self) -> Result:
        """All that was measured of it."""
        return self.loaded.result


@dataclass(frozen=True)
class Board:
    """The whole table: rows are in the order of the main column, best first.

    Attributes:
        splits: Every split of any result, the main one first, scored or not.
        columns: Grouped by split in that order; in each, the main metric first.
        rows: One per method; those without a value in the main column come last, by title.
        main: Index of the main column, or None where no split has scores.
    """

    splits: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[BoardRow, ...]
    main: int | None

    @property
    def main_column(self) -> Column | None:
        """The column that ranks, or None where no split has scores."""
        return None if self.main is None else self.columns[self.main]

    def column_of(self, split: str, metric: str) -> int | None:
        """Return the index of the first (most used) column of a metric on a split, if any."""
        for index, column in enumerate(self.columns):
            if (column.key.split, column.key.metric) == (split, metric):
                return index
        return None

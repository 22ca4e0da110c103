"""The board view: everything that the site shows, computed once.

Pages, data files and downloads are written from it and compute nothing of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmark.sanity.check_results import SanityReport
from leaderboard.board import Board
from leaderboard.gallery import GalleryCard
from leaderboard.neuron_tables import NeuronTable
from leaderboard.profiles import ALL_EXAMPLES, EXAMPLES, MethodProfile, profile


class SplitFacts(NamedTuple):
    """What the results say of a split; they may differ, so each fact is a list without repeats."""

    name: str
    note: str
    neurons: list[int]
    scored: list[int]
    references: list[str]
    fingerprints: list[str]


@dataclass(frozen=True)
class BoardView:
    """Everything that the site of a board shows.

    Attributes:
        title: Heading of the pages.
        board: The table of methods and columns.
        tables: The neurons of each split, in the board's order.
        pictures: Layout and paths of each drawn neuron's picture, by the split's number and the
            neuron's index in its table.
        cards: The gallery.
        notes: What a reader must know of a split, by its name.
        sanity: Sanity reports of the board's splits.
        left_out: File name of each result that is not shown, and the reason.
    """

    title: str
    board: Board
    tables: Sequence[NeuronTable]
    pictures: Mapping[int, Mapping[int, Mapping[str, Any]]]
    cards: Sequence[GalleryCard]
    notes: Mapping[str, str]
    sanity: Sequence[SanityReport]
    left_out: Sequence[tuple[str, str]] = ()

    @property
    def shown_tables(self) -> list[NeuronTable]:
        """The splits that have neurons."""
        return [table for table in self.tables if table.keys]

    @property
    def versions(self) -> list[str]:
        """Labels of the board definitions that the results were scored for."""
        return sorted({row.result.board for row in self.board.rows} - {""})

    @property
    def trusted(self) -> bool:
        """Whether the main column's metric was checked on its split; a failed check is refused."""
        main = self.board.main_column
        return main is not None and any(
            report.split == main.key.split and main.key.metric in report.metrics
            for report in self.sanity
        )

    @property
    def splits(self) -> list[SplitFacts]:
        """Facts on every split of the board."""
        facts = []
        for name in self.board.splits:
            results = [
                row.result.splits[name] for row in self.board.rows if name in row.result.splits
            ]
            facts.append(
                SplitFacts(
                    name,
                    self.notes.get(name, ""),
                    neurons=sorted({split.neurons for split in results}),
                    scored=sorted({split.scored for split in results}),
                    references=sorted({split.references for split in results if split.references}),
                    fingerprints=sorted({split.fingerprint for split in results}),
                )
            )
        return facts

    def profiles(self, row: int) -> list[MethodProfile]:
        """Return the profiles of the method in a row of the board, for splits with its values."""
        main = self.board.main_column
        if main is None:
            return []
        tables = self.shown_tables
        examples = min(EXAMPLES, max(2, ALL_EXAMPLES // max(1, len(tables))))
        profiles = (profile(table, row, main, examples) for table in tables)
        return [own for own in profiles if own is not None]

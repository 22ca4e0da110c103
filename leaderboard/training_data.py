"""Whether a method was trained on what a split tests.

Training data are declared by name: a config (``alexnet-imagenet``), a group (``base``), a split of
a config (``demo/train``), or a published split (``within-network/alexnet-imagenet``), which as
training data means its side to learn from, and as a board's split its side to describe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.splits.definitions import FAMILIES, Selection, published
from leaderboard.definition import BoardDefinition, SplitDefinition
from milannotations.builder import DEMO
from milannotations.catalog.releases import GROUPS, RELEASES, canonical, is_known, members
from milannotations.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Part:
    """Some neurons of a config; None stands for all of its splits, or all units."""

    config: str
    split: str | None = None
    units: frozenset[tuple[str, int]] | None = None

    def overlaps(self, other: Part) -> bool:
        """Say whether a neuron could be in both."""
        if self.config != other.config:
            return False
        if None not in (self.split, other.split) and self.split != other.split:
            return False
        if self.units is None or other.units is None:
            return True
        return bool(self.units & other.units)


def parts_of(name: str, *, learnt: bool, board: BoardDefinition | None = None) -> list[Part]:
    """Return what a name stands for.

    Args:
        name: See the module.
        learnt: Whether it is declared as training data, rather than tested.
        board: Whose splits' sources are names as well.

    Raises:
        InputError: If it is no such name.
    """
    family, _, rest = name.partition("/")
    if family in FAMILIES and rest:
        found = [one for one in published(family) if one.name == rest]
        if not found:
            names = [one.name for one in published(family)]
            raise InputError(f"{family} has no split {rest!r}{did_you_mean(rest, names)}")
        return [_selected(one) for one in (found[0].learn if learnt else found[0].describe)]
    if is_known(name):
        return [Part(config) for config in members(name)]
    if family == DEMO:
        return [Part(DEMO, rest or None)]
    if is_known(family) and rest:
        return [Part(config, rest) for config in members(family)]
    if board is not None and any(name in (split.source, split.name) for split in board.splits):
        source = next(s.source for s in board.splits if name in (s.source, s.name))
        if source == name:  # a file beside the board: it stands for itself
            return [Part(source)]
        return parts_of(source, learnt=False, board=board)
    hint = did_you_mean(name, [DEMO, *RELEASES, *GROUPS])
    raise InputError(
        f"{name!r} is no config, group, split of one, or published split{hint}; name what has no "
        "annotations of neurons (ImageNet, LAION, …) in `pretrained_on`"
    )


def overlap(board: BoardDefinition, split: SplitDefinition, declared: Iterable[str]) -> str:
    """Return why a split is refused to a method trained on ``declared``; empty if it is not.

    Raises:
        InputError: If something declared is not known.
    """
    tested = parts_of(split.source, learnt=False, board=board)
    guilty = [
        name
        for name in declared
        if any(p.overlaps(t) for p in parts_of(name, learnt=True, board=board) for t in tested)
    ]
    if not guilty:
        return ""
    return f"trained on {', '.join(guilty)}, which holds neurons of this split"


def _selected(selection: Selection) -> Part:
    config = canonical(selection.config)
    if selection.units is None:
        return Part(config)
    return Part(
        config,
        units=frozenset(
            (layer, unit) for layer, units in selection.units.items() for unit in units
        ),
    )

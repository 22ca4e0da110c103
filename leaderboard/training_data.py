"""Whether a method was trained on what a split tests.

Training data are declared by name: a config (``alexnet-imagenet``), a group (``base``), a split of
a config (``demo/train``), or a published split (``within-network/alexnet-imagenet``), which as
training data means its side to learn from, and as a board's split its side to describe. ``none``
stands for nothing. Only names that exist are taken, letter by letter: what is misspelt would
otherwise be data that no split tests.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from benchmark.splits.definitions import FAMILIES, Selection, Split, published
from leaderboard.definition import BoardDefinition, SplitDefinition
from milannotations.builder import DEMO, DEMO_SPLITS, SPLIT
from milannotations.catalog.releases import (
    GROUPS,
    RELEASES,
    TEXT_ONLY,
    canonical,
    is_known,
    members,
)
from milannotations.errors import InputError, did_you_mean

NONE = "none"


@dataclass(frozen=True)
class NeuronSelection:
    """Some neurons of a config; None stands for all of its splits, or all units."""

    config: str
    split: str | None = None
    units: frozenset[tuple[str, int]] | None = None

    def overlaps(self, other: NeuronSelection) -> bool:
        """Say whether a neuron could be in both."""
        if self.config != other.config:
            return False
        if None not in (self.split, other.split) and self.split != other.split:
            return False
        if self.units is None or other.units is None:
            return True
        return bool(self.units & other.units)


def selections_of(
    name: str, *, learnt: bool, board: BoardDefinition | None = None
) -> list[NeuronSelection]:
    """Return what a name stands for.

    Args:
        name: See the module.
        learnt: Whether it is declared as training data, rather than tested.
        board: Whose splits' names and sources are names as well.

    Raises:
        InputError: If it is no such name; near ones are suggested.
    """
    matches = find_selections(name, learnt=learnt, board=board)
    if matches is not None:
        return matches
    hint = _near(name, known_names(board))
    raise InputError(
        f"{name!r} is no config, group, split of one, or published split{hint or '.'} Data without "
        "annotations of neurons (ImageNet, LAION, …) belong in `pretrained_on`; none at all is []"
    )


def find_selections(
    name: str, *, learnt: bool, board: BoardDefinition | None = None
) -> list[NeuronSelection] | None:
    """Return what a name stands for, as ``selections_of`` does; None if it is no name."""
    if name == NONE and learnt:
        return []
    family, _, rest = name.partition("/")
    if family in FAMILIES and rest in (splits := _published(family)):
        published_split = splits[rest]
        sides = published_split.learn if learnt else published_split.describe
        return [_selected(one) for one in sides]
    config, _, split_name = name.rpartition("/")
    if name == DEMO or (config == DEMO and split_name in DEMO_SPLITS):
        return [NeuronSelection(DEMO, split_name if config else None)]
    if is_known(name):
        return [NeuronSelection(_annotated(one)) for one in members(name)]
    if split_name == SPLIT and is_known(config):
        return [NeuronSelection(_annotated(one)) for one in members(config)]
    for split in board.splits if board is not None else ():
        if name == split.source:  # a file beside the board: it stands for itself
            return [NeuronSelection(name)]
        if name == split.name:
            return find_selections(split.source, learnt=False, board=board)
    return None


def known_names(board: BoardDefinition | None = None) -> list[str]:
    """Return every name that training data can have, in its usual spelling.

    Args:
        board: Whose splits' names and sources are names as well.
    """
    own = [] if board is None else [n for split in board.splits for n in (split.name, split.source)]
    return list(
        dict.fromkeys(
            (
                DEMO,
                *(f"{DEMO}/{split}" for split in DEMO_SPLITS),
                *RELEASES,
                *GROUPS,
                *(f"{name}{TEXT_ONLY}" for name in RELEASES),
                *(f"{family}/{name}" for family in FAMILIES for name in _published(family)),
                *own,
            )
        )
    )


def mentioned(text: str) -> list[str]:
    """Return the configs and splits of this project that a free text names, however spelled.

    Groups and ``demo`` are left out, as these are words that mean other things too (``imagenet``).

    >>> mentioned("Demo/test, and captions of ImageNet")
    ['demo/test']
    """
    names = {fold(name): name for name in known_names() if name not in (*GROUPS, DEMO)}
    words = re.split(r"[\s,;()\[\]\"'`]+", text)
    return list(dict.fromkeys(names[fold(word)] for word in words if fold(word) in names))


def fold(name: str) -> str:
    """Return a name without what tells its spellings apart: case, Unicode forms, spaces, marks.

    >>> fold("Demo\\\\ Test\u200b."), fold("\uff44\uff45\uff4d\uff4f/test")
    ('demo/test', 'demo/test')
    """
    text = unicodedata.normalize("NFKC", name).casefold().replace("\\", "/").replace("_", "-")
    text = "".join(c for c in text if not c.isspace() and unicodedata.category(c)[0] not in "CM")
    return text.strip("./:")


@cache
def _published(family: str) -> dict[str, Split]:
    return {split.name: split for split in published(family)}


def _near(name: str, known: Sequence[str]) -> str:
    spelled = {fold(one): one for one in known}
    if fold(name) in spelled:
        return f"; did you mean {spelled[fold(name)]!r}?"
    return did_you_mean(fold(name), known)


def _annotated(config: str) -> str:
    """Return the config whose neurons a config has: annotations alone are those of its neurons."""
    return config.removesuffix(TEXT_ONLY)


def overlap(board: BoardDefinition, split: SplitDefinition, declared: Iterable[str]) -> str:
    """Return why a split is refused to a method trained on ``declared``; empty if it is not.

    Raises:
        InputError: If something declared is not known.
    """
    tested = selections_of(split.source, learnt=False, board=board)
    guilty = [
        name
        for name in declared
        if any(p.overlaps(t) for p in selections_of(name, learnt=True, board=board) for t in tested)
    ]
    if not guilty:
        return ""
    return f"trained on {', '.join(guilty)}, which holds neurons of this split"


def _selected(selection: Selection) -> NeuronSelection:
    config = _annotated(canonical(selection.config))
    if selection.units is None:
        return NeuronSelection(config)
    return NeuronSelection(
        config,
        units=frozenset(
            (layer, unit) for layer, units in selection.units.items() for unit in units
        ),
    )

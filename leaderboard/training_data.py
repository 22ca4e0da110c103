"""Whether a method was trained on neurons that a split tests.

Training data are declared by name: a config (``alexnet-imagenet``), a group (``base``), a split of
a config (``demo/train``), or a published split (``within-network/alexnet-imagenet``). As training
data, a published split means its training side, and as a board's split its test side. ``none``
stands for no data. Only exact names are accepted: a misspelt one would otherwise stand for data
that no split tests.
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
    """Some neurons of a config.

    Attributes:
        config: Name of the config.
        split: One of its splits; None for all.
        units: Layers and units; None for all.

    >>> NeuronSelection("demo", "train").overlaps(NeuronSelection("demo"))
    True
    """

    config: str
    split: str | None = None
    units: frozenset[tuple[str, int]] | None = None

    def overlaps(self, other: NeuronSelection) -> bool:
        """Return whether the two may share a neuron."""
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
    """Return the neurons that a name stands for.

    Args:
        name: A name; see the module.
        learnt: Whether it is declared as training data, rather than tested.
        board: A board, of whose splits the names and sources are valid names as well.

    Raises:
        InputError: If the name is unknown; similar ones are suggested.
    """
    matches = find_selections(name, learnt=learnt, board=board)
    if matches is not None:
        return matches
    hint = _near(name, known_names(board))
    raise InputError(
        f"{name!r} is not a config, group, split of a config, or published split{hint or '.'} Data "
        "without annotations of neurons (ImageNet, LAION, …) belong in `pretrained_on`; [] stands "
        "for no data"
    )


def find_selections(
    name: str, *, learnt: bool, board: BoardDefinition | None = None
) -> list[NeuronSelection] | None:
    """Return the neurons that a name stands for; None if the name is unknown."""
    if name == NONE and learnt:
        return []
    family, _, rest = name.partition("/")
    if family in FAMILIES and rest in (splits := _published(family)):
        published_split = splits[rest]
        sides = published_split.learn if learnt else published_split.describe
        return [_selected(selection) for selection in sides]
    config, _, split_name = name.rpartition("/")
    if name == DEMO or (config == DEMO and split_name in DEMO_SPLITS):
        return [NeuronSelection(DEMO, split_name if config else None)]
    if is_known(name):
        return [NeuronSelection(_annotated(member)) for member in members(name)]
    if split_name == SPLIT and is_known(config):
        return [NeuronSelection(_annotated(member)) for member in members(config)]
    for split in board.splits if board is not None else ():
        if name == split.source:  # a file beside the board
            return [NeuronSelection(name)]
        if name == split.name:
            return find_selections(split.source, learnt=False, board=board)
    return None


def known_names(board: BoardDefinition | None = None) -> list[str]:
    """Return every valid name of training data, in its usual spelling.

    Args:
        board: A board, of whose splits the names and sources are valid names as well.
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
    """Return the configs and splits of this project that a free text names in any spelling.

    Groups and ``demo`` are left out, as these words have other meanings too (``imagenet``).

    >>> mentioned("Demo/test, and captions of ImageNet")
    ['demo/test']
    """
    names = {fold(name): name for name in known_names() if name not in (*GROUPS, DEMO)}
    words = re.split(r"[\s,;()\[\]\"'`]+", text)
    return list(dict.fromkeys(names[fold(word)] for word in words if fold(word) in names))


def fold(name: str) -> str:
    """Return a name without the differences between spellings: case, Unicode forms, spaces, marks.

    >>> fold("Demo\\\\ Test\u200b."), fold("\uff44\uff45\uff4d\uff4f/test")
    ('demo/test', 'demo/test')
    """
    text = unicodedata.normalize("NFKC", name).casefold().replace("\\", "/").replace("_", "-")
    text = "".join(c for c in text if not c.isspace() and unicodedata.category(c)[0] not in "CM")
    return text.strip("./:")


@cache
def _published(family: str) -> dict[str, Split]:
    return {split.name: split for split in published(family)}


def _near(name: str, candidates: Sequence[str]) -> str:
    spellings = {fold(candidate): candidate for candidate in candidates}
    if fold(name) in spellings:
        return f"; did you mean {spellings[fold(name)]!r}?"
    return did_you_mean(fold(name), candidates)


def _annotated(config: str) -> str:
    """Return the config that holds the neurons: a text-only config shares those of the full one."""
    return config.removesuffix(TEXT_ONLY)


def overlap(board: BoardDefinition, split: SplitDefinition, declared: Iterable[str]) -> str:
    """Return why a split is refused for a method trained on ``declared``; empty if it is not.

    Raises:
        InputError: If a declared name is unknown.
    """
    tested = selections_of(split.source, learnt=False, board=board)
    overlapping = [
        name
        for name in declared
        if any(p.overlaps(t) for p in selections_of(name, learnt=True, board=board) for t in tested)
    ]
    if not overlapping:
        return ""
    return f"trained on {', '.join(overlapping)}, which holds neurons of this split"


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

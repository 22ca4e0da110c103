"""Which neurons the pages show, and in what order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from milannotations.errors import InputError, did_you_mean
from milannotations.record import NeuronKey
from milannotations.untrusted_text import clean, clip

_MAX_NAME = 60


@dataclass(frozen=True)
class Layer:
    """One layer of one network.

    Attributes:
        model: The network's architecture.
        dataset: The data that the network was trained on.
        name: The layer's name.
        label: Its unique label in links: its name, with the network if several have such a layer.
        folder: Name of the folder of its files: plain ASCII, and unique.
        units: The units' numbers, ascending.
        rows: Row of each unit's record in the dataset.
    """

    model: str
    dataset: str
    name: str
    label: str
    folder: str
    units: tuple[int, ...]
    rows: tuple[int, ...]

    def key(self, position: int) -> NeuronKey:
        """Return the key of the unit at a position of ``units``."""
        return NeuronKey(self.model, self.dataset, self.name, self.units[position])


def choose(
    keys: Sequence[NeuronKey], layers: Sequence[str] | None = None, units: str | None = None
) -> list[Layer]:
    """Group neurons by layer, and keep those that are wanted.

    Args:
        keys: Keys of all neurons, in the dataset's order; layers keep the order of occurrence.
        layers: Names, or patterns such as ``layer*``; default all.
        units: Numbers and ranges, such as ``0-99,512``; default all.

    Raises:
        InputError: If a pattern does not match any layer, no unit is left, or a neuron occurs
            twice.
    """
    wanted = _ranges(units) if units is not None else None
    units_of: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for row, key in enumerate(keys):
        units_of.setdefault(key[:3], []).append((key.unit, row))
    names = {name for _, _, name in units_of}
    for pattern in layers or ():
        if not any(_matches(name, pattern) for name in names):
            raise InputError(
                f"no layer matches {pattern!r}{did_you_mean(pattern, names)} (layers: "
                f"{', '.join(sorted(names))})"
            )
    several = _ambiguous(list(units_of))
    chosen: list[Layer] = []
    labels: set[str] = set()
    for (model, dataset, name), members in units_of.items():
        if layers and not any(_matches(name, pattern) for pattern in layers):
            continue
        selected = sorted(member for member in members if wanted is None or wanted(member[0]))
        for (unit, _), (following, _) in pairwise(selected):
            if unit == following:
                raise InputError(
                    f"{NeuronKey(model, dataset, name, unit)} is there twice; if the dataset has "
                    "several splits, choose one with --split"
                )
        if not selected:
            continue
        label = f"{model}-{dataset}:{name}" if name in several else name
        label = _unused(str(clean(label)) or "layer", labels)
        chosen.append(
            Layer(
                model,
                dataset,
                name,
                label,
                f"{len(chosen):03d}-{_safe(name)}",
                tuple(unit for unit, _ in selected),
                tuple(row for _, row in selected),
            )
        )
    if not chosen:
        raise InputError(f"no unit of the chosen layers is in --units {units}")
    return chosen


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def _ranges(text: str) -> Callable[[int], bool]:
    """Return a test for the numbers that a text such as ``0-99,512`` or ``0:100`` names."""
    spans = []
    for piece in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9})|:([1-9][0-9]{0,8}))?\s*", piece)
        # As in numpy and in `build`, 0:100 excludes its end; 0-99 includes it.
        last = int(match[2] or (int(match[3]) - 1 if match[3] else match[1])) if match else -1
        if not match or last < int(match[1]):
            raise InputError(
                f"--units {text!r}: write numbers and ranges, such as 0:100 or 0-99,512"
            )
        spans.append((int(match[1]), last))
    return lambda unit: any(first <= unit <= last for first, last in spans)


def _ambiguous(layers: Sequence[tuple[str, str, str]]) -> set[str]:
    names = [name for _, _, name in layers]
    return {name for name in names if names.count(name) > 1}


def _unused(label: str, taken: set[str]) -> str:
    """Return a label that is not taken yet, and mark it as taken."""
    label = clip(label, 200)
    name, number = label, 2
    while name in taken:
        name, number = f"{label} ({number})", number + 1
    taken.add(name)
    return name


def _safe(name: str) -> str:
    """Return part of a file name that every system and web server accepts unchanged."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:_MAX_NAME].strip("_") or "layer"

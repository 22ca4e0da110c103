"""Published values, and whether a value of ours is comparable with them.

Values are comparable only if network, data, references, protocol, encoder and signature are the
same: the networks and annotations of the release, all annotations of a neuron as references at
once, roberta-large with idf weights and baseline rescaling, and the published search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.experiments.cells import CONTROLS, Cell
from benchmark.references import ORIGINAL
from benchmark.splits.definitions import published as published_splits
from benchmark.splits.released import count_neurons

PUBLISHED = Path(__file__).parent / "published.csv"
RELEASE = "release"
# Parts of the signature of the published BERTScore; the version of bert-score is left open.
SIGNATURE = {
    "bertscore-f1": "",
    "encoder": "roberta-large",
    "layer": "17",
    "idf": "references",
    "rescaled": "yes",
    "protocol": ORIGINAL,
}
# The options of the published methods that differ from the defaults (baselines.py and
# generalization.py of the original code). The segmentations that gave the two dissection baselines
# their labels are not published.
RECIPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "milan": ("milan", {"variant": "rerank"}),
    "milan-no-pmi": ("milan", {"variant": "greedy"}),
}
FOLLOWED = (
    "Published numbers are those of Hernandez et al. (ICLR 2022), tables 2 and 3. Ours beside them "
    "follow their protocol: all references of a neuron at once, BERTScore of roberta-large with "
    "idf weights and baseline rescaling, and greedy search for milan-no-pmi."
)


def published_value(cell: Cell, metric: str) -> tuple[float | None, str]:
    """Return the published value that is comparable with a cell's.

    Returns:
        The value or None; and, if a published value is not comparable, the reason.
    """
    if cell.method in CONTROLS:
        return None, ""
    if cell.data != RELEASE:
        return None, "these networks are not those of the paper"
    table = _table()
    key = (cell.family, cell.train, cell.test, cell.method, metric)
    if key not in table:
        return None, ""
    reason = _difference(cell, metric)
    return (None, reason) if reason else (table[key], "")


def remarks(cells: Sequence[Cell]) -> list[str]:
    """Return the remarks about published values for a table, each reason once."""
    values = [published_value(cell, metric) for cell in cells for metric in cell.scores]
    reasons = dict.fromkeys(reason for _, reason in values if reason)
    lines = [FOLLOWED] if any(value is not None for value, _ in values) else []
    return [*lines, *(f"Published numbers are left out: {reason}." for reason in reasons)]


def _difference(cell: Cell, metric: str) -> str:
    """Return how a cell differs from the published setting; empty if it does not."""
    if cell.family == "within-network":
        return "within a network, the paper held out other neurons, and does not say which"
    if cell.protocol != ORIGINAL:
        return (
            "one annotation was held out here, while the paper scores against all of them "
            f"(--protocol {ORIGINAL} does)"
        )
    signature = _fields(cell.scores[metric].signature)
    for name, value in SIGNATURE.items():
        if signature.get(name) != value:
            return (
                f"the signature of {metric} here has {name}:{signature.get(name, 'nothing')}, and "
                f"the paper's has {name}:{value or 'that'}"
            )
    if cell.method not in RECIPES:
        return f"which segmentations gave {cell.method} its labels was not published"
    describer, options = RECIPES[cell.method]
    if (cell.describer, cell.options) != (describer, dict(options)):
        wanted = ",".join(f"{name}={value}" for name, value in options.items())
        return f"{cell.method} of the paper is {describer}:{wanted} with no other option"
    units = _units(cell)
    if cell.neurons != units:
        return f"{cell.neurons:,} neurons of {cell.test} were scored, and {units:,} in the paper"
    return ""


def _fields(signature: str) -> dict[str, str]:
    return {name: value for name, _, value in (p.partition(":") for p in signature.split("|"))}


def _units(cell: Cell) -> int:
    """Return the number of neurons that the published split of a cell describes."""
    split = next(
        split
        for split in published_splits(cell.family)
        if (split.train, split.test) == (cell.train, cell.test)
    )
    return count_neurons(split.describe)


@cache
def _table() -> dict[tuple[str, ...], float]:
    rows = pd.read_csv(PUBLISHED)
    keys = rows[["family", "train", "test", "method", "metric"]].itertuples(index=False, name=None)
    return dict(zip(keys, rows["value"].astype(float), strict=True))

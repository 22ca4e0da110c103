"""Lists splits with their numbers of neurons and their leakage."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.splits import FAMILIES, published
from benchmark.splits.categories import by_category
from benchmark.splits.config import CategoriesConfig, LeakageConfig, SplitListConfig
from benchmark.splits.leakage import leakage
from benchmark.splits.released import count_neurons
from benchmark.splits.selecting import select
from benchmark.tasks import load_task
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.terminal import Console, FittedTable


def print_splits(config: SplitListConfig) -> None:
    """Print a table of the published splits with their numbers of neurons."""
    rows = []
    for family in [config.family] if config.family else FAMILIES:
        for split in published(family):
            counts = [f"{count_neurons(side):,}" for side in (split.learn, split.describe)]
            rows.append([family, split.train, split.test, *counts])
    head = ["family", "train", "test", "neurons to learn", "neurons to describe"]
    Console().print(
        FittedTable("Published splits of MILANNOTATIONS", head, rows, words=(0, 1, 2), keys=3)
    )


def leakage_of(config: LeakageConfig) -> Iterator[tuple[str, list[str]]]:
    """Yield each split's name and the overlap of its test neurons with its training neurons.

    Raises:
        InputError: If there is no such family or split, or its neurons cannot be loaded.
    """
    splits = [split for split in published(config.family) if config.name in (None, split.name)]
    if not splits:
        names = ", ".join(split.name for split in published(config.family))
        raise InputError(f"{config.family} has no split {config.name!r} (splits: {names})")
    for split in splits:
        learn, describe = select(split.learn, load_split), select(split.describe, load_split)
        yield split.name, list(leakage(learn, describe).lines())


def count_categories(config: CategoriesConfig) -> dict[str, int]:
    """Return how many annotated neurons each concept category has."""
    neurons = load_task(config.references, config.split).neurons
    return {name: len(members) for name, members in by_category(neurons).items()}

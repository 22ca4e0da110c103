"""Broader concepts: unions of the labels that a user's list puts under one name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, hstack

from baselines.concepts.dataset_files import read_table
from baselines.concepts.labelled_images import VisualConcept
from baselines.concepts.partition import Partition
from milannotations.errors import InputError, did_you_mean

CATEGORY = "group"


def read_hierarchy(path: Path, concepts: Sequence[VisualConcept]) -> dict[str, tuple[int, ...]]:
    """Read broader concepts.

    Args:
        path: A CSV file with the columns ``concept`` (the name of a label) and ``parent`` (the name
            of the broader concept). A parent can have a parent itself: ``dog,animal`` and
            ``animal,living thing``.
        concepts: The labels.

    Returns:
        For each parent, in order of first occurrence, the positions of all labels below it, and of
        a label with its own name if there is one.

    Raises:
        InputError: If the file cannot be read, a name is neither a label nor a parent, or a concept
            is its own ancestor.
    """
    pairs = [(row["concept"], row["parent"]) for row in read_table(path, ["concept", "parent"])]
    children: dict[str, list[str]] = {}
    for child, parent in pairs:
        if not child or not parent:
            raise InputError(
                f"{path}: a row lacks its concept or its parent: {child!r}, {parent!r}"
            )
        children.setdefault(parent, []).append(child)
    labels: dict[str, list[int]] = {}
    for position, concept in enumerate(concepts):
        labels.setdefault(concept.name, []).append(position)
    names = {*labels, *children}
    for child, _ in pairs:
        if child not in names:
            hint = did_you_mean(child, names)
            raise InputError(f"{path}: {child!r} is neither a label nor a parent{hint}")
    return {parent: tuple(sorted(_below(path, parent, children, labels))) for parent in children}


def with_groups(partition: Partition, groups: Mapping[str, Sequence[int]]) -> Partition:
    """Return the partition with one more concept for each group, named ``any <group>``."""
    numbers = [c.number for c in partition.concepts]
    first = max(numbers, default=0) + 1
    more = tuple(VisualConcept(f"any {name}", CATEGORY, first + i) for i, name in enumerate(groups))
    picks = np.zeros((len(partition.concepts), len(more)))
    for column, members in enumerate(groups.values()):
        picks[list(members), column] = 1
    united = csr_array(partition.holds @ csr_array(picks) > 0).astype(np.uint8)
    return Partition(
        partition.concepts + more,
        (*partition.categories, CATEGORY),
        csr_array(hstack([partition.membership, united])),
        partition.areas,
    )


def _below(
    path: Path,
    parent: str,
    children: Mapping[str, Sequence[str]],
    labels: Mapping[str, Sequence[int]],
    above: tuple[str, ...] = (),
) -> set[int]:
    if parent in above:
        chain = " < ".join((*above[above.index(parent) :], parent))
        raise InputError(f"{path}: {parent!r} is a kind of itself: {chain}")
    positions = set(labels.get(parent, ()))
    for child in children.get(parent, ()):
        positions |= _below(path, child, children, labels, (*above, parent))
    return positions

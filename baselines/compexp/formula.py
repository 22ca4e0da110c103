"""Formulas over labels: ``(a OR b)``, ``(a AND b)``, ``(a AND (NOT b))`` and combinations of them.

Every formula is *left-deep*, as in the published search: a formula, an operator and one label. NOT
always follows AND and stands before a single label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from milannotations.errors import InputError

OPERATORS = ("OR", "AND", "AND NOT")
NONE = "NONE"


@dataclass(frozen=True)
class Formula:
    """A label, followed by operators with further labels.

    Attributes:
        first: Position of the first label among the concepts; None for the formula of a unit
            that no label overlaps.
        rest: From left to right, each operator, as a position in ``OPERATORS``, with the label on
            its right.

    >>> Formula(0, ((0, 1), (2, 2))).text(["river", "lake", "blue-c"])
    '((river OR lake) AND (NOT blue-c))'
    """

    first: int | None
    rest: tuple[tuple[int, int], ...] = ()

    def joined(self, operator: int, label: int) -> Formula:
        """Return the formula with another label added."""
        return Formula(self.first, (*self.rest, (operator, label)))

    @property
    def before(self) -> Formula:
        """The formula without its last label."""
        return Formula(self.first, self.rest[:-1])

    @property
    def labels(self) -> tuple[int, ...]:
        """Its labels, from left to right."""
        first = () if self.first is None else (self.first,)
        return first + tuple(label for _, label in self.rest)

    @property
    def length(self) -> int:
        """Number of labels."""
        return len(self.labels)

    @property
    def published_length(self) -> int:
        """Length as the penalty of the original code counts it: each NOT adds one."""
        return 1 + sum(2 if operator == 2 else 1 for operator, _ in self.rest)

    def text(self, names: Sequence[str]) -> str:
        """Return the formula as the original code prints it."""
        if self.first is None:
            return NONE
        text = names[self.first]
        for operator, label in self.rest:
            right = f"(NOT {names[label]})" if operator == 2 else names[label]
            text = f"({text} {OPERATORS[operator].split()[0]} {right})"
        return text

    def atoms(self, columns: csc_array) -> NDArray[np.bool_]:
        """Return the atoms for which the formula is true.

        Args:
            columns: ``Partition.holds`` by columns.

        Returns:
            Boolean of shape (atoms,).
        """
        true = np.zeros(columns.shape[0], dtype=bool)
        if self.first is None:
            return true
        true[_column(columns, self.first)] = True
        for operator, label in self.rest:
            rows = _column(columns, label)
            if operator == 0:
                true[rows] = True
            elif operator == 2:
                true[rows] = False
            else:
                both = np.zeros_like(true)
                both[rows] = true[rows]
                true = both
        return true


def parse(text: str, names: Sequence[str]) -> Formula:
    """Read a formula in the notation of the original.

    Args:
        text: The formula, as ``Formula.text`` writes it.
        names: Names of all labels. Of two with the same name the first is meant.

    Raises:
        InputError: If the text is no formula, or names an unknown label.

    >>> parse("((a OR b) AND (NOT c))", ["a", "b", "c"])
    Formula(first=0, rest=((0, 1), (2, 2)))
    """
    position: dict[str, int] = {}
    for i, name in enumerate(names):
        position.setdefault(name, i)
    if text == NONE and NONE not in position:
        return Formula(None)
    dead_end: str | None = None
    seen: set[str] = set()
    # Names may contain operators and parentheses, so a text may have several readings. Each is the
    # beginning that is still to be read, and the operators and labels read from the end.
    readings: list[tuple[str, tuple[tuple[int, int], ...]]] = [(text, ())]
    while readings:
        left, rest = readings.pop()
        if left in position:
            return Formula(position[left], rest)
        if left in seen:
            continue
        seen.add(left)
        steps = _last(left, position)
        if not steps and dead_end is None:
            dead_end = left
        readings += [(before, (step, *rest)) for before, step in steps]
    raise InputError(f"{text!r} is no formula over these labels: {dead_end!r} is not known")


def _last(text: str, position: dict[str, int]) -> list[tuple[str, tuple[int, int]]]:
    """Split the last operator and label off a formula in all possible ways; the likeliest last."""
    splits: list[tuple[str, tuple[int, int]]] = []
    if not (text.startswith("(") and text.endswith(")")):
        return splits
    inside = text[1:-1]
    # A lookahead, as operators in names may share a space.
    for match in re.finditer(r" (OR|AND)(?= )", inside):
        before, operator, after = inside[: match.start()], match[1], inside[match.end() + 1 :]
        if after in position:
            splits.append((before, (OPERATORS.index(operator), position[after])))
        if operator == "AND" and after.startswith("(NOT ") and after.endswith(")"):
            name = after[5:-1]
            if name in position:
                splits.append((before, (2, position[name])))
    return splits


def _column(columns: csc_array, label: int) -> NDArray[np.int32]:
    rows: NDArray[np.int32] = columns.indices[columns.indptr[label] : columns.indptr[label + 1]]
    return rows

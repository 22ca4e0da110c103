"""Formulas over labels: ``(a OR b)``, ``(a AND b)``, ``(a AND (NOT b))`` and what is made of them.

Every formula is *left-deep*: a formula, an operator and one label, as the published search makes
them. What NOT stands before is always a label, and what it stands after is always AND.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from milannotations.errors import InputError

OPERATORS = ("OR", "AND", "AND NOT")
NONE = "NONE"


@dataclass(frozen=True)
class Formula:
    """A label, and what is joined to it, from left to right.

    Attributes:
        first: Position of the first label among the concepts; None for the formula of a unit
            that no label overlaps.
        rest: Operators, as positions in ``OPERATORS``, each with the label on its right.

    >>> Formula(0, ((0, 1), (2, 2))).text(["river", "lake", "blue-c"])
    '((river OR lake) AND (NOT blue-c))'
    """

    first: int | None
    rest: tuple[tuple[int, int], ...] = ()

    def joined(self, operator: int, label: int) -> Formula:
        """Return the formula with one label more."""
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
        """Length as the original code counts it for its penalty: each NOT adds one."""
        return 1 + sum(2 if operator == 2 else 1 for operator, _ in self.rest)

    def text(self, names: Sequence[str]) -> str:
        """Return it as the original code prints it."""
        if self.first is None:
            return NONE
        text = names[self.first]
        for operator, label in self.rest:
            right = f"(NOT {names[label]})" if operator == 2 else names[label]
            text = f"({text} {OPERATORS[operator].split()[0]} {right})"
        return text

    def atoms(self, columns: csc_array) -> NDArray[np.bool_]:
        """Return which atoms it is true of.

        Args:
            columns: ``Partition.holds`` by columns.

        Returns:
            Boolean of shape (atoms,).
        """
        found = np.zeros(columns.shape[0], dtype=bool)
        if self.first is None:
            return found
        found[_column(columns, self.first)] = True
        for operator, label in self.rest:
            rows = _column(columns, label)
            if operator == 0:
                found[rows] = True
            elif operator == 2:
                found[rows] = False
            else:
                both = np.zeros_like(found)
                both[rows] = found[rows]
                found = both
        return found


def parse(text: str, names: Sequence[str]) -> Formula:
    """Read a formula in the original's form.

    Args:
        text: As ``Formula.text`` writes it.
        names: Of all labels. Where two have the same name the first is meant.

    Raises:
        InputError: If it is not so written, or names a label that there is not.

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
    # Names may hold operators and parentheses, so that there can be more than one way to read a
    # text: what is left of it, and what was read of its end.
    ways: list[tuple[str, tuple[tuple[int, int], ...]]] = [(text, ())]
    while ways:
        left, rest = ways.pop()
        if left in position:
            return Formula(position[left], rest)
        if left in seen:
            continue
        seen.add(left)
        steps = _last(left, position)
        if not steps and dead_end is None:
            dead_end = left
        ways += [(before, (step, *rest)) for before, step in steps]
    raise InputError(f"{text!r} is no formula over these labels: {dead_end!r} is not known")


def _last(text: str, position: dict[str, int]) -> list[tuple[str, tuple[int, int]]]:
    """Return ways to take the last operator and label off a formula; the likeliest last."""
    found: list[tuple[str, tuple[int, int]]] = []
    if not (text.startswith("(") and text.endswith(")")):
        return found
    inside = text[1:-1]
    # Looking ahead, as operators in names may share a space.
    for match in re.finditer(r" (OR|AND)(?= )", inside):
        before, operator, after = inside[: match.start()], match[1], inside[match.end() + 1 :]
        if after in position:
            found.append((before, (OPERATORS.index(operator), position[after])))
        if operator == "AND" and after.startswith("(NOT ") and after.endswith(")"):
            name = after[5:-1]
            if name in position:
                found.append((before, (2, position[name])))
    return found


def by_columns(holds: csr_array) -> csc_array:
    """Return which atoms hold each concept, ready for ``Formula.atoms``."""
    return csc_array(holds)


def _column(columns: csc_array, label: int) -> NDArray[np.int32]:
    rows: NDArray[np.int32] = columns.indices[columns.indptr[label] : columns.indptr[label + 1]]
    return rows

"""Damage to a file: bytes that are changed or inserted, and ends that are cut off."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

Edit = tuple[int, int, str]  # where; the byte; f to change it, i to insert it, c to cut there


def edits(length: int, most: int) -> st.SearchStrategy[list[Edit]]:
    """Draw up to so many edits of a file of about some length; half of them change a byte."""
    kinds = st.sampled_from("ffic")
    one_edit = st.tuples(st.integers(0, length), st.integers(0, 255), kinds)
    return st.lists(one_edit, min_size=1, max_size=most)


def damaged(data: bytes, changes: Sequence[Edit]) -> bytes:
    """Return what some edits make of a file."""
    changed = bytearray(data)
    for at, value, kind in changes:
        at %= len(changed) + 1
        if kind == "c":
            del changed[at:]
        elif kind == "i":
            changed.insert(at, value)
        elif at < len(changed):
            changed[at] = value
    return bytes(changed)

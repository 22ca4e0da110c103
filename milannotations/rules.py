"""Two rules by which the code of the MILAN paper differs from the default of this package.

``InPlace`` says when an output that a later module changes in place is read, and ``MaskRule`` how
an activation map becomes a mask.
"""

from __future__ import annotations

from typing import Literal, get_args

from milannotations.errors import InputError

# No torch here: the command line reads this module to write its help.
InPlace = Literal["before", "after"]
MaskRule = Literal["bilinear", "original"]


def checked_in_place(rule: str) -> InPlace:
    """Return a rule for outputs that are changed in place.

    Raises:
        InputError: If it is neither ``before`` nor ``after``.
    """
    for choice in get_args(InPlace):
        if rule == choice:
            checked: InPlace = choice
            return checked
    raise InputError(f"in-place rule {rule!r}; choose before or after")


def checked_mask_rule(rule: str) -> MaskRule:
    """Return a rule for masks.

    Raises:
        InputError: If there is no such rule.
    """
    for choice in get_args(MaskRule):
        if rule == choice:
            checked: MaskRule = choice
            return checked
    raise InputError(f"mask rule {rule!r}; choose one of {', '.join(get_args(MaskRule))}")

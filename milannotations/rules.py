"""Two rules in which the MILAN paper's code differs from this package's defaults.

``InPlace`` says when to read an output that a later module changes in place, and ``MaskRule`` how
an activation map becomes a mask.
"""

from __future__ import annotations

from typing import Literal, get_args

from milannotations.errors import InputError

# No torch here: the command line reads this module to write its help.
InPlace = Literal["before", "after"]
MaskRule = Literal["bilinear", "original"]


def checked_in_place(rule: str) -> InPlace:
    """Return a checked rule for outputs that are changed in place.

    Raises:
        InputError: If it is neither ``before`` nor ``after``.
    """
    for choice in get_args(InPlace):
        if rule == choice:
            checked: InPlace = choice
            return checked
    raise InputError(f"in-place rule {rule!r}; choose before or after")


def checked_mask_rule(rule: str) -> MaskRule:
    """Return a checked rule for masks.

    Raises:
        InputError: If the rule is unknown.
    """
    for choice in get_args(MaskRule):
        if rule == choice:
            checked: MaskRule = choice
            return checked
    raise InputError(f"mask rule {rule!r}; choose one of {', '.join(get_args(MaskRule))}")

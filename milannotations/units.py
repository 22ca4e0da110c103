"""A choice of units of a layer: numbers and ranges, written like slices of numpy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from milannotations.errors import InputError

UNITS_HELP = "numbers and ranges as numpy writes them, as 0:100 or 3,5,8 or -10:"
_ITEM = re.compile(r"(-?[0-9]{1,9})|(-?[0-9]{1,9})?:(-?[0-9]{1,9})?(?::([0-9]{1,9}))?", re.ASCII)
# The notation of earlier versions of `milannotations view`, which includes the last number.
_INCLUSIVE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True)
class UnitSelection:
    """Some units of every layer.

    Attributes:
        text: As it was written.
        parts: Single numbers, and slices.
    """

    text: str
    parts: tuple[int | slice, ...]

    @classmethod
    def parse(cls, text: str) -> UnitSelection:
        """Read numbers and ranges, separated by commas.

        >>> UnitSelection.parse("0:3, 7, -1").of(10, "conv")
        [0, 1, 2, 7, 9]

        Raises:
            InputError: If the text has another form.
        """
        return cls(text, tuple(_part(item.strip(), text) for item in text.split(",")))

    def of(self, count: int, layer: str) -> list[int]:
        """Return the numbers of the chosen units of a layer with ``count`` units, ascending.

        Like slices, ranges end where the layer ends.

        Raises:
            InputError: If there is no such unit, or no unit is chosen; names the layer.
        """
        chosen: set[int] = set()
        for index in self.parts:
            if isinstance(index, slice):
                chosen.update(range(count)[index])
            elif -count <= index < count:
                chosen.add(index % count)
            else:
                raise InputError(
                    f"--units {self.text}: layer {layer!r} has units 0 to {count - 1}, no {index}"
                )
        if not chosen:
            raise InputError(f"--units {self.text} leaves none of the {count} units of {layer!r}")
        return sorted(chosen)


def _part(item: str, text: str) -> int | slice:
    if inclusive := _INCLUSIVE.fullmatch(item):
        first, last = int(inclusive[1]), int(inclusive[2])
        if first <= last:
            return slice(first, last + 1)
    match = _ITEM.fullmatch(item)
    if not match or match[4] == "0":
        raise InputError(
            f"--units {text!r}: write numbers and ranges as numpy does, as 0:100 (100 units) or "
            "3,5,8; 0-99 includes both ends"
        )
    if match[1] is not None:
        return int(match[1])
    return slice(*(int(end) if end is not None else None for end in match.groups()[1:]))

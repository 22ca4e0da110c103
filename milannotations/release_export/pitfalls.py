"""Where the original code would misread an exported release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_NAMED = 3


def original_pitfalls(units: Mapping[str, Sequence[int]]) -> list[str]:
    """Return warnings about layers that the original code would misread.

    In ``lookup``, and wherever an annotation count is set, that code finds a unit's images by
    taking the unit's number for its position. Without an annotation count, it does not match a
    layer whose name is a number with its folder, and finds no annotations.

    Args:
        units: The units of each layer, in the order in which their arrays are written.
    """
    warnings = []
    displaced = {
        layer: sum(1 for at, unit in enumerate(numbers) if at != unit)
        for layer, numbers in units.items()
    }
    displaced = {layer: count for layer, count in displaced.items() if count}
    if displaced:
        layers = [
            f"{layer} ({count} of {len(units[layer])} units)" for layer, count in displaced.items()
        ]
        warnings.append(
            f"units do not stand at the position of their number: {_listed(layers)}. The "
            "original code looks units up by position when an annotation count is set (for the "
            "published data it is 3), and gives their annotations to the images of other units, "
            "or stops. Have it load with annotation_count=None, or export whole layers"
        )
    numbered = [layer for layer in units if layer.isdigit()]
    if numbered:
        warnings.append(
            f"the names of layers {_listed(numbered)} are numbers: with annotation_count=None the "
            "original code finds no annotations of them; load with a count there"
        )
    return warnings


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

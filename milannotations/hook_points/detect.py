"""Detects how a layer's output is laid out, from its shape and what the pass has shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from milannotations.hook_points.layer_spec import LayerSpec
from milannotations.hook_points.layout import SEQUENCES, Layout, UnusableError, shape_of
from milannotations.hook_points.survey import (
    Grid,
    Survey,
    declared_grid,
    declared_prefixes,
    works_channels_first,
    works_channels_last,
)

_MOST_PREFIX_TOKENS = 9  # a class token and eight registers; DINOv2 and DINOv3 have five in all
_SAY = "say how with --layout"


def given_layout(spec: LayerSpec, layouts: Mapping[str, Layout]) -> Layout | None:
    """Return a layer's given layout: under its exact name, else by the last matching pattern."""
    names = (str(spec), spec.module)
    for name in names:
        if name in layouts:
            return layouts[name]
    matching = [
        layout
        for pattern, layout in layouts.items()
        if any(fnmatchcase(name, pattern) for name in names)
    ]
    return matching[-1] if matching else None


def settle(layout: Layout, tensor: Tensor, survey: Survey) -> Layout:
    """Return a given layout, with the grid of its tokens filled in if it was left open."""
    if layout.kind not in SEQUENCES or layout.grid is not None or tensor.ndim != 3:
        return layout
    count = tensor.shape[1 if layout.kind == "tokens" else 2]
    return replace(layout, grid=_exact_grid(count - layout.prefix, survey))


@dataclass(frozen=True)
class Readings:
    """How an output may be laid out.

    Attributes:
        layouts: The possible layouts, the most common first. The order in which the tokens of a
            sequence run over the grid is not known yet; see ``TokenOrders``.
        problem: What is wrong, unless the network shows that one of the layouts holds.
    """

    layouts: list[Layout]
    problem: UnusableError | None = None


def detect_layouts(tensor: Tensor, module: nn.Module, survey: Survey) -> Readings:
    """Detect the layout of a module's output or input.

    Args:
        tensor: Two to four dimensions, images first.
        module: The module it belongs to.
        survey: The survey of the same pass.

    Raises:
        ValueError: If the layout cannot be detected, or these are not activation maps.
    """
    if tensor.ndim == 2:
        return Readings([Layout("vector")])
    if tensor.ndim == 3:
        return _sequences(tensor, module, survey)
    if tensor.ndim == 4:
        return Readings([_planes(tensor, module, survey)])
    raise UnusableError(
        "of too many or too few dimensions",
        f"gives {shape_of(tensor)}, which are neither maps (four dimensions), tokens (three) nor a "
        "vector (two)",
    )


def _planes(tensor: Tensor, module: nn.Module, survey: Survey) -> Layout:
    if works_channels_first(module):
        return Layout("spatial")
    first, last = tuple(tensor.shape[2:]), tuple(tensor.shape[1:3])
    if _is_attention(tensor, survey):
        raise UnusableError(
            "attention weights",
            f"gives {shape_of(tensor)}, attention weights between tokens, which are not activation "
            f"maps; name the module around it instead (if these are maps, {_SAY})",
        )
    if works_channels_last(module):
        return Layout("channels_last")
    units_first, units_last = _fits(first, survey), _fits(last, survey)
    if units_first and units_last:
        if not survey.channels_last:  # nothing in this model has units last
            return Layout("spatial")
        units_first, units_last = first in survey.grids, last in survey.grids
    elif units_first and first[0] in survey.token_counts and first not in survey.grids:
        units_first = False  # heads × tokens × channels of a head, nearly square by coincidence
    if units_first != units_last:
        return Layout("spatial" if units_first else "channels_last")
    image = survey.proportions()
    seen = f"an image of {image[0]} × {image[1]}" if image else "this input"
    raise UnusableError(
        "of a layout that cannot be told",
        f"gives {shape_of(tensor)}, and for {seen} it cannot be told whether units come first or "
        f"last, or whether these are maps at all; {_SAY} (heads of attention: name the input of "
        "its projection, as attn.proj@in)",
    )


def _is_attention(tensor: Tensor, survey: Survey) -> bool:
    """Return whether a tensor N × heads × tokens × tokens, or with heads last, is attention."""
    _, first, two, three = tensor.shape
    patches = survey.stem or survey.patches
    if (
        first == two
        and first in survey.token_counts
        and patches
        and (first, two) not in survey.grids
    ):
        # Maps of that size would be far finer than the patches.
        return first >= patches[0] * patches[1] > 1
    if two != three or two == 1 or (two, three) in survey.grids:
        return False
    sums = tensor.float().sum(-1)
    weights = bool((tensor >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-2)
    return weights or (two in survey.token_counts and (first, two) not in survey.grids)


def _fits(grid: tuple[int, ...], survey: Survey) -> bool:
    """Return whether a map can have the image's proportions, each side rounded by up to one."""
    image = survey.proportions()
    if image is None:
        return True
    (height, width), (rows, columns) = grid, image
    return (height - 1) * columns <= rows * (width + 1) and (width - 1) * rows <= columns * (
        height + 1
    )


def _sequences(tensor: Tensor, module: nn.Module, survey: Survey) -> Readings:
    """Return the possible layouts of three dimensions: N × tokens × units or N × units × tokens."""
    layouts: list[Layout] = []
    problems: list[UnusableError] = []
    if not works_channels_first(module):
        try:
            layouts.append(_tokens(tensor, survey))
        except UnusableError as error:
            problems.append(error)
    if not works_channels_last(module):
        try:
            layout = _tokens(tensor.transpose(1, 2), survey)
            layouts.append(replace(layout, kind="tokens_last"))
        except UnusableError as error:
            problems.append(error)
    if not layouts:
        raise problems[0]
    # The number of units may equal that of a grid by coincidence.
    unusual = layouts[0].kind == "tokens_last" and not works_channels_first(module)
    return Readings(layouts, problems[0] if unusual else None)


def _tokens(tensor: Tensor, survey: Survey) -> Layout:
    count = tensor.shape[1]
    grid = _exact_grid(count, survey)
    if grid is not None:
        return Layout("tokens", grid)
    declared = declared_prefixes(survey.model)
    bases = _bases(survey)
    fitting: list[tuple[int, Grid]] = []
    for base in bases:
        prefix = count - base[0] * base[1]
        if prefix > 0 and prefix <= max(_MOST_PREFIX_TOKENS, *declared, 0):
            fitting.append((prefix, base))
    if fitting:
        prefix, grid = min(fitting)
        # A model declares how many there are, or none if they are added later.
        if declared - {0} and prefix not in declared:
            counts = " or ".join(map(str, sorted(declared)))
            raise UnusableError(
                "of a layout that cannot be told",
                f"gives {count} tokens, {prefix} more than the {grid[0]} × {grid[1]} patches, but "
                f"the model says that it has {counts} class and register tokens; {_SAY}",
            )
        return Layout("tokens", grid, prefix)
    if not bases:
        square = survey.image is None or survey.image[0] == survey.image[1]
        prefixes = [p for p in (0, 1) if count > p and math.isqrt(count - p) ** 2 == count - p]
        if square and len(prefixes) == 1:
            side = math.isqrt(count - prefixes[0])
            return Layout("tokens", (side, side), prefixes[0])
    patches = survey.patches or survey.stem
    of = f"patches of {patches[0]} × {patches[1]}" if patches else "no patch embedding was seen"
    raise UnusableError(
        "of a layout that cannot be told",
        f"gives {shape_of(tensor)}, and it cannot be told on which grid its {count} tokens are "
        f"({of}); {_SAY}",
    )


def _exact_grid(count: int, survey: Survey) -> Grid | None:
    """Return the grid with exactly this number of positions, among those that have been seen."""
    bases = _bases(survey)
    for grid in (*bases, *reversed(survey.grids)):
        if grid[0] * grid[1] == count:
            return grid
    for grid in bases:  # hierarchical networks merge tokens two by two
        for rounded in (1, 0):
            height, width = grid
            while height * width > max(count, 1):
                height, width = (height + rounded) // 2, (width + rounded) // 2
            if height * width == count:
                return height, width
    return None


def _bases(survey: Survey) -> list[Grid]:
    """Return the possible grids of patches, the most likely first."""
    grids = [survey.stem, survey.patches]
    if not survey.grids:  # patches are embedded without a convolution
        grids.append(declared_grid(survey.model))
    return [grid for grid in dict.fromkeys(grids) if grid is not None]

"""Detects where tokens lie on the image, by which of them change when a region of it changes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from milannotations.hook_points.detect import Readings
from milannotations.hook_points.hooks import HookedCall, attach
from milannotations.hook_points.layer_spec import LayerSpec
from milannotations.hook_points.layout import SEQUENCES, Layout, UnusableError
from milannotations.hook_points.token_order import BY_ROWS, TokenOrder, usual_orders

_SIDE = 4  # the image is changed in each of 4 × 4 regions
_REGIONS_PER_PASS = 4  # divides their number; the unchanged image is in each pass, too
_WIDTH = 0.2  # standard deviation, in image sides, of the area on which a region is expected to act
# Measured on all layers of 19 families of timm with random weights: in the right order tokens reach
# a correlation of .3 to .9 wherever regions act differently at all, and in wrong orders at most .1.
# Where the correlation is below .1 in every order, as after a matrix has mixed tokens, changes
# differ by up to .2 (natural logarithms, standard deviation); in wrong orders of tokens that change
# locally they differ by more than 1.
_TELLS = 0.3
_LEAD = 0.1
_STRONG = 0.5
# A prefix that is really a suffix shifts every token by a few positions.
_SHIFT_LEAD = 0.01


@dataclass
class _Changes:
    """How much a module's three-dimensional output changes with each region of the image.

    Attributes:
        second: Change at each index of axis 1, one tensor per region.
        third: The same for axis 2.
    """

    second: list[Tensor]
    third: list[Tensor]

    def along(self, layout: Layout) -> Tensor:
        """Return the changes along the axis of tokens, shape (regions, tokens)."""
        return torch.stack(self.second if layout.kind == "tokens" else self.third)


class TokenOrders:
    """The order of tokens of all layers of one network, detected when it is first needed.

    Args:
        model: The network, in evaluation mode.
        specs: The layers that may be asked for.
        inputs: What the network is called with. If the first is no image, as for a generator,
            tokens are assumed to run row by row.
    """

    def __init__(
        self, model: nn.Module, specs: Sequence[LayerSpec], inputs: tuple[Tensor, ...]
    ) -> None:
        self._model = model
        self._specs = specs
        self._inputs = inputs
        self._locality: Locality | None = None

    def settled(self, spec: LayerSpec, readings: Readings) -> Layout:
        """Return which of its possible layouts a layer has, with the order of its tokens.

        Raises:
            UnusableError: As ``Locality.order_of``; and the readings' problem, if the network does
                not show which of them holds.
        """
        layouts = readings.layouts
        grid = layouts[0].grid
        is_image = self._inputs[0].ndim == 4 and min(self._inputs[0].shape[2:]) >= _SIDE
        is_sequence = layouts[0].kind in SEQUENCES and grid is not None and max(grid) > 1
        shown = None
        if is_sequence and is_image:
            if self._locality is None:
                self._locality = Locality(self._model, self._specs, self._inputs)
            try:
                shown = self._locality.order_of(spec, layouts)
            except UnusableError as error:
                raise readings.problem or error from error
        if shown is None and readings.problem is not None:
            raise readings.problem
        return shown or layouts[0]


class Locality:
    """Where the outputs of a network change when one region of its input image changes.

    Each of 4 × 4 regions is replaced by noise in turn. A pass takes the unchanged image and four
    copies with one changed region each, so there are four passes of five images.

    Args:
        model: The network, in evaluation mode.
        specs: Layers to look at, in addition to the outputs of all modules.
        inputs: What the network is called with, the image first. Only the first row is used.
    """

    def __init__(
        self, model: nn.Module, specs: Sequence[LayerSpec], inputs: tuple[Tensor, ...]
    ) -> None:
        self._changes: dict[str, _Changes] = {}  # in the order in which they are computed
        self._store = _Store()
        self._seen: set[str] = set()
        names = [name for name, _ in model.named_modules() if name]
        specs = [*dict.fromkeys([*map(LayerSpec, names), *specs])]
        with ExitStack() as stack, torch.no_grad():
            for spec in specs:
                handle = attach(model, spec, partial(self._note, spec))
                stack.callback(handle.remove)
            for changed in _changed_inputs(inputs):
                self._seen.clear()
                model(*changed)

    def order_of(self, spec: LayerSpec, layouts: Sequence[Layout]) -> Layout | None:
        """Return which of the layouts of a sequence holds, with the order of its tokens.

        If the layer itself does not show it, because a region acts on all its tokens alike, the
        last layer before it with the same number of tokens decides. None if no layer shows it.

        Args:
            spec: The layer.
            layouts: Of kind ``tokens`` or ``tokens_last``, the most common first.

        Raises:
            UnusableError: If tokens change locally, but in no known order.
        """
        own = self._changes.get(str(spec))
        if own is None:
            return None
        shown = _laid_out(own, layouts)
        if shown is not None:
            return shown
        names = [*self._changes]
        for name in reversed(names[: names.index(str(spec))]):
            for layout in layouts:
                order = self._order_before(name, layout, own.along(layout).shape[1])
                if order is not None:
                    return replace(layout, order=order)
        return None

    def _order_before(self, name: str, layout: Layout, tokens: int) -> str | None:
        """Return the order that an earlier layer shows, if one of its axes has that many tokens."""
        changes = self._changes[name]
        either = [replace(layout, kind=kind) for kind in SEQUENCES]
        fitting = [candidate for candidate in either if changes.along(candidate).shape[1] == tokens]
        shown = _laid_out(changes, fitting) if fitting else None
        return None if shown is None else shown.order

    def _note(self, spec: LayerSpec, call: HookedCall) -> None:
        name = str(spec)
        try:
            outputs = call.tensor()
        except ValueError:
            return
        if outputs.ndim != 3 or len(outputs) != 1 + _REGIONS_PER_PASS or name in self._seen:
            return
        self._seen.add(name)
        changes = self._changes.setdefault(name, _Changes([], []))
        for changed in outputs[1:]:
            change = (changed.float() - outputs[0].float()).abs()
            changes.second.append(self._store.copy(change.sum(1)))
            changes.third.append(self._store.copy(change.sum(0)))


class _Store:
    """Holds many small tensors in a few large blocks.

    Otherwise small tensors that outlive a pass would lie between the network's large ones, and the
    C library's heap could not reuse the gaps: ViT-L/14 took 13 GB.
    """

    _BLOCK = 2**24  # numbers; blocks of 64 MiB are mapped, and take memory only where written

    def __init__(self) -> None:
        self._block = torch.empty(0)

    def copy(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor of one dimension, as float32 on the CPU."""
        if len(tensor) > len(self._block):
            self._block = torch.empty(max(self._BLOCK, len(tensor)))
        copied, self._block = self._block[: len(tensor)], self._block[len(tensor) :]
        return copied.copy_(tensor)


def _changed_inputs(inputs: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """Return batches of the first image: unchanged, then with one changed region each."""
    image = inputs[0][:1]
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
    spread = image.float().std()
    scale = spread if bool(spread > 0) else torch.ones_like(spread)
    other = image.mean() + noise * scale.to(image.dtype)
    height, width = image.shape[2:]
    changed_images = []
    for row in range(_SIDE):
        for column in range(_SIDE):
            changed = image.clone()
            rows = slice(row * height // _SIDE, (row + 1) * height // _SIDE)
            columns = slice(column * width // _SIDE, (column + 1) * width // _SIDE)
            changed[:, :, rows, columns] = other[:, :, rows, columns]
            changed_images.append(changed)
    size = 1 + _REGIONS_PER_PASS
    others = [tensor[:1].expand(size, *tensor.shape[1:]) for tensor in inputs[1:]]
    return [
        (torch.cat([image, *changed_images[start : start + _REGIONS_PER_PASS]]), *others)
        for start in range(0, _SIDE**2, _REGIONS_PER_PASS)
    ]


def _laid_out(changes: _Changes, layouts: Sequence[Layout]) -> Layout | None:
    """Return the layout that changes show; None if they show none. Raise for an unknown order."""
    best: tuple[float, Layout] | None = None
    strong = False
    for layout in layouts:
        effects = changes.along(layout)
        if len(effects) < _SIDE**2:  # not run for every image
            return None
        here = _best_order(_effects(effects[:, layout.prefix :]), layout)
        strong = strong or here[2]
        if best is None or here[0] > best[0] + _LEAD:
            best = here[:2]
    assert best is not None
    correlation, layout = best
    if correlation >= _TELLS:
        _check_prefix(changes.along(layout), layout, correlation)
        return layout
    if strong:
        raise UnusableError(
            "of tokens in an unknown order",
            "gives tokens that are laid out neither row by row nor in another usual order: one "
            "region of the image acts on tokens that are scattered over the grid. Say how with "
            "--layout, if it is one of the orders known there, or name another layer",
        )
    return None


def _best_order(effects: Tensor, layout: Layout) -> tuple[float, Layout, bool]:
    """Return the greatest correlation, its layout, and whether regions act very differently."""
    assert layout.grid is not None
    height, width = layout.grid
    by_rows = _correlation(effects, BY_ROWS, height, width)
    best: tuple[float, TokenOrder] = by_rows, BY_ROWS
    for order in usual_orders(height, width)[1:]:
        correlation = _correlation(effects, order, height, width)
        if correlation > best[0] + (_LEAD if best[1] == BY_ROWS else 0):
            best = correlation, order
    strong = float(effects.std()) >= _STRONG
    return best[0], replace(layout, order=str(best[1])), strong


def _check_prefix(changes: Tensor, layout: Layout, correlation: float) -> None:
    """Raise if the tokens outside the grid come last or in the middle."""
    assert layout.grid is not None
    order = TokenOrder.parse(layout.order)
    count, extra = changes.shape[1] - layout.prefix, layout.prefix
    middle = count // 2
    without = {
        "last": changes[:, :count],
        "in the middle": torch.cat([changes[:, :middle], changes[:, middle + extra :]], dim=1),
    }
    for where, tokens in without.items() if extra else ():
        if _correlation(_effects(tokens), order, *layout.grid) > correlation + _SHIFT_LEAD:
            height, width = layout.grid
            raise UnusableError(
                "of extra tokens that do not come first",
                f"gives {changes.shape[1]} tokens, of which {extra} are not of the grid of "
                f"{height} × {width} and come {where}, not first: its maps would be shifted; name "
                "a layer without them",
            )


def _effects(changes: Tensor) -> Tensor:
    """Return the logarithm of changes, less the means over regions and over tokens."""
    # Tokens that a region does not reach would have no logarithm.
    logarithms = (changes + 1e-3 * changes.max().clamp(min=1e-30)).log()
    return _centred(logarithms)


def _centred(table: Tensor) -> Tensor:
    return table - table.mean(0, keepdim=True) - table.mean(1, keepdim=True) + table.mean()


def _correlation(effects: Tensor, order: TokenOrder, height: int, width: int) -> float:
    """Return the correlation of effects with the nearness of tokens to regions in an order.

    Args:
        effects: Shape (regions, tokens).
        order: Of the tokens.
        height: Of their grid.
        width: Of their grid.
    """
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    centres = (torch.arange(_SIDE) + 0.5) / _SIDE
    near_rows = -((rows - centres[:, None]) ** 2) / (2 * _WIDTH**2)
    near_columns = -((columns - centres[:, None]) ** 2) / (2 * _WIDTH**2)
    nearness = (near_rows[:, None, :, None] + near_columns[None, :, None, :]).exp()
    expected = _centred(nearness.flatten(2).flatten(0, 1))
    seen = order.on_grid(effects, height, width).flatten(1)
    scale = torch.linalg.vector_norm(expected) * torch.linalg.vector_norm(seen)
    return float((expected * seen).sum() / scale.clamp(min=1e-12))

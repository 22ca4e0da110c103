"""Changing what a layer gives while the network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor, nn, where
from torch.utils.hooks import RemovableHandle

from milannotations.ablation.sites import Ablation, Site
from milannotations.errors import InputError, did_you_mean

Change = Callable[[Tensor], Tensor]
# What ablated channels are set to, float (channels,) of each layer; layers left out are set to 0.
Fill = Mapping[str, Tensor]


@contextmanager
def ablated(
    model: nn.Module, sites: Mapping[str, Site], ablation: Ablation, fill: Fill | None = None
) -> Iterator[nn.Module]:
    """Run a network without some units, as long as the ``with`` block lasts.

    An ablated unit has the same value at all positions, class and register tokens included.

    Args:
        model: The network.
        sites: Its layers, from ``sites_of``.
        ablation: Which units, by layer.
        fill: What they are set to, float (channels,) by layer; default 0. The mean of a unit
            disturbs what follows less than 0 does.

    Gives:
        The network itself.

    Raises:
        InputError: If a layer or a unit is unknown.
    """
    with ExitStack() as stack:
        for layer, units in ablation.items():
            if not len(units):
                continue
            site = site_named(sites, layer)
            change = _one(site, site.mask(units), (fill or {}).get(layer))
            stack.callback(attach(model, site, change).remove)
        yield model


def site_named(sites: Mapping[str, Site], layer: str) -> Site:
    """Return a layer's site.

    Raises:
        InputError: If it is not among them; near names are suggested.
    """
    if layer not in sites:
        raise InputError(f"layer {layer!r} is not looked at{did_you_mean(layer, sites)}")
    return sites[layer]


def attach(model: nn.Module, site: Site, change: Change) -> RemovableHandle:
    """Have a layer's tensor replaced by ``change`` of it; return the handle."""
    module, spec = model.get_submodule(site.spec.module), site.spec
    if spec.is_input:

        def before(
            _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if args:
                return tuple(_replaced(args, spec.item, change)), kwargs
            names = list(kwargs)
            return args, dict(
                zip(names, _replaced([*kwargs.values()], spec.item, change), strict=True)
            )

        return module.register_forward_pre_hook(before, with_kwargs=True)

    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        if isinstance(output, Tensor) and spec.item is None:
            return change(output)
        if is_dataclass(output) and not isinstance(output, dict):
            names = [field.name for field in fields(output)]
            values = _replaced([getattr(output, n) for n in names], spec.item, change)
            return replace(output, **dict(zip(names, values, strict=True)))  # type: ignore[type-var]
        if isinstance(output, dict):  # also the outputs of transformers
            output = copy(output)  # what is remembered must stay as it was
            values = _replaced([*output.values()], spec.item, change)
            for name, value in zip([*output], values, strict=True):
                output[name] = value
            return output
        items = _replaced(output, spec.item, change)
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)

    return module.register_forward_hook(after)


def fixed(tensor: Tensor, site: Site, chosen: Tensor, fill: Tensor | None) -> Tensor:
    """Return a tensor with some channels of each row fixed.

    Args:
        tensor: What the layer gives, of any layout.
        site: Where its channels are.
        chosen: bool (sets, channels). The tensor's rows are as many groups of equal size.
        fill: float (channels,); default 0.
    """
    if tensor.shape[site.axis] != site.channels:
        raise InputError(
            f"layer {site.layer!r} gives {tensor.shape[site.axis]} channels, and gave "
            f"{site.channels} in the probe"
        )
    axis = site.axis % tensor.ndim
    shape = [1] * tensor.ndim
    shape[axis] = site.channels
    sets = len(chosen)
    groups = tensor.unflatten(0, (sets, -1))
    mask = chosen.to(tensor.device).view(sets, 1, *shape[1:])
    if fill is None:
        return groups.masked_fill(mask, 0).flatten(0, 1)
    value = fill.to(tensor.device, tensor.dtype).view(1, 1, *shape[1:])
    return where(mask, value, groups).flatten(0, 1)


def _one(site: Site, chosen: Tensor, fill: Tensor | None) -> Change:
    return lambda tensor: fixed(tensor, site, chosen[None], fill)


def _replaced(values: Any, item: int | None, change: Change) -> list[Any]:
    """Change the item, or the first tensor of floating-point numbers where none is named."""
    listed = list(values)
    if item is None:
        item = next(
            i for i, v in enumerate(listed) if isinstance(v, Tensor) and v.is_floating_point()
        )
    listed[item] = change(listed[item])
    return listed

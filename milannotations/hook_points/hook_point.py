"""Where in a model activations are read: the spelling of layers, and one layer's reading."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from milannotations.errors import InputError
from milannotations.hook_points.layout import Layout, UnusableError, shape_of

SPELLING = (
    "write MODULE, then @in for its input or @1 for item 1 of its output, then @heads=6 for one "
    "unit per attention head or @sae for the latents of a sparse autoencoder"
)
_SPELLED = re.compile(
    r"([^@]+)(@in)?(?:@([0-9]{1,9}))?(?:@heads=(0*[1-9][0-9]{0,8}))?(@sae)?", re.ASCII
)


@dataclass(frozen=True)
class Spec:
    """A layer as users name it, ``blocks.3.attn.proj@in@heads=6``, in its parts.

    Attributes:
        module: Path of the module, as PyTorch names it, or a pattern of such paths.
        is_input: Whether the module's input is meant, not its output.
        item: Which item of an output that is a tuple, a list or a dictionary; with ``is_input``
            which argument. They count from 0.
        heads: Number of attention heads: the units are the norms of their slices of channels.
        sae: Whether the latents of an attached autoencoder are the units.
    """

    module: str
    is_input: bool = False
    item: int | None = None
    heads: int | None = None
    sae: bool = False

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read a layer's name.

        >>> Spec.parse("blocks.3.attn.proj@in@heads=6").heads
        6

        Raises:
            InputError: If it is not spelled so.
        """
        match = _SPELLED.fullmatch(text.strip())
        if not match:
            raise InputError(f"layer {text!r} is not well spelled; {SPELLING}")
        module, is_input, item, heads, sae = match.groups()
        if heads and sae:
            raise InputError(
                f"layer {text!r}: an autoencoder takes a layer's channels, not the norms of heads; "
                "leave out one of the two"
            )
        return cls(
            module,
            is_input=bool(is_input),
            item=int(item) if item else None,
            heads=int(heads) if heads else None,
            sae=bool(sae),
        )

    @property
    def marks(self) -> str:
        """What follows the module's path."""
        return (
            ("@in" if self.is_input else "")
            + ("" if self.item is None else f"@{self.item}")
            + ("" if self.heads is None else f"@heads={self.heads}")
            + ("@sae" if self.sae else "")
        )

    def __str__(self) -> str:
        return self.module + self.marks


@dataclass(frozen=True)
class HookPoint:
    """One layer's activation maps: where they are read and what they are like.

    Attributes:
        layer: The layer's name, as records have it; see ``Spec``.
        units: Number of units that the layer has.
        height: Height of an activation map; 1 where units have one activation per image.
        width: Width of an activation map.
        layout: How the module's output becomes maps.
        changed_by: What changes the output in place, and is waited for before it is read: a
            module's path and which of its calls since the layer was run. None reads the output
            as soon as it is computed.
        numbers: Which units are read, ascending; None for all.
    """

    layer: str
    units: int
    height: int
    width: int
    layout: Layout
    changed_by: tuple[str, int] | None = None
    numbers: tuple[int, ...] | None = None

    @property
    def read_units(self) -> int:
        """How many units are read."""
        return self.units if self.numbers is None else len(self.numbers)

    def picked(self, maps: Tensor) -> Tensor:
        """Return the maps of the units that are read: a view where their distances are equal."""
        if self.numbers is None:
            return maps
        first, last = self.numbers[0], self.numbers[-1]
        step = self.numbers[1] - first if len(self.numbers) > 1 else 1
        if self.numbers == tuple(range(first, last + 1, step)):
            return maps[:, first : last + 1 : step]
        return maps[:, torch.tensor(self.numbers, device=maps.device)]


OnCall = Callable[[tuple[Any, ...], Mapping[str, Any], Any], None]


def hook(model: nn.Module, spec: Spec, on_call: OnCall) -> RemovableHandle:
    """Have ``on_call(args, kwargs, output)`` called at a layer; return the handle.

    Inputs are seen before the module can change them in place, and then there is no output yet;
    outputs before anything that follows can.
    """
    module = model.get_submodule(spec.module)

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        on_call(args, kwargs, None)

    def after(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        on_call(args, kwargs, out)

    if spec.is_input:
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after, with_kwargs=True)


def raw(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Tensor:
    """Return the tensor a spec names, of a module's call.

    Args:
        spec: What is meant.
        args: What the module was called with.
        kwargs: The same, by keyword; looked at only if nothing was given by position.
        output: What it gave; None if it has not been run yet.

    Raises:
        ValueError: If there is no such tensor, or it is not clear which is meant.
    """
    if not spec.is_input:
        if isinstance(output, Tensor) and spec.item is None:
            return output
        names, values = _items(output)
        verb = "gives"
    else:
        names, values = _items(args if args else kwargs)
        verb = "is given"
        if spec.item is None:
            values = [v for v in values if isinstance(v, Tensor) and v.is_floating_point()][:1]
    if spec.item is not None:
        if spec.item >= len(values):
            raise UnusableError(
                "without such an item",
                f"{verb} {_described(names, values)}: there is no item {spec.item}",
            )
        chosen = values[spec.item]
        if not isinstance(chosen, Tensor):
            raise UnusableError(
                "without such an item",
                f"{verb} {_described(names, values)}: item {spec.item} is no tensor",
            )
        return chosen
    tensors = [v for v in values if isinstance(v, Tensor) and v.is_floating_point()]
    if not tensors:
        raise UnusableError(
            "no tensors", f"{verb} {_described(names, values)}, not a tensor of activations"
        )
    if len(tensors) > 1:
        at = next(i for i, value in enumerate(values) if value is tensors[0])
        raise UnusableError(
            "several tensors",
            f"{verb} {_described(names, values)}: name one of them, as {spec.module}@{at}",
        )
    return tensors[0]


def read(spec: Spec, layout: Layout, tensor: Tensor, attached: Mapping[str, nn.Module]) -> Tensor:
    """Return activation maps, N × units × height × width, from the tensor a spec names.

    Raises:
        ValueError: If the layout or the number of heads does not fit.
    """
    maps = layout.maps(tensor)
    if spec.heads is not None:
        if maps.shape[1] % spec.heads:
            raise UnusableError(
                "not divisible into heads",
                f"has {maps.shape[1]} channels, which {spec.heads} heads do not divide",
            )
        heads = maps.unflatten(1, (spec.heads, -1))
        # Squares of half-precision numbers overflow early.
        return torch.linalg.vector_norm(heads, dim=2, dtype=torch.float32)
    if spec.sae:
        # The tokens that are no part of the image are gone here: they are not encoded. One image
        # after the other, so that what the autoencoder needs besides its latents stays small.
        encoder = autoencoder_of(spec, attached)
        channels_last = maps.permute(0, 2, 3, 1)
        first = encoder(channels_last[0])
        latents = first.new_empty(len(maps), *first.shape)
        latents[0] = first
        for row in range(1, len(maps)):
            latents[row] = encoder(channels_last[row])
        return latents.permute(0, 3, 1, 2)
    return maps


def autoencoder_of(spec: Spec, attached: Mapping[str, nn.Module]) -> nn.Module:
    """Return the autoencoder attached to a layer, named with or without ``@in`` and ``@1``.

    Raises:
        ValueError: If there is none; names those that there are.
    """
    for name in (str(spec).removesuffix("@sae"), spec.module):
        if name in attached:
            return attached[name]
    others = f"; there are some for {listed([*attached])}" if attached else ""
    raise UnusableError(
        "without an autoencoder",
        f"has no sparse autoencoder: give one with --sae {spec.module}=PATH{others}",
    )


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Return names in a row, cut short where there are many."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _items(value: Any) -> tuple[list[str], list[Any]]:
    """Return the names, empty where there are none, and the items of what a module gave."""
    if isinstance(value, Mapping):  # also the outputs of transformers
        return [str(name) for name in value], list(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return names, [getattr(value, name) for name in names]
    if isinstance(value, tuple | list):
        return list(getattr(value, "_fields", [""] * len(value))), list(value)
    return [""], [value]


def _described(names: Sequence[str], values: Sequence[Any]) -> str:
    """Say what a module gave: a type if it is one thing, else all items with their shapes."""
    texts = [
        shape_of(value) if isinstance(value, Tensor) else type(value).__name__ for value in values
    ]
    if len(values) == 1 and not names[0]:
        one = values[0]
        return f"{texts[0]} of {one.dtype}" if isinstance(one, Tensor) else f"a {texts[0]}"
    pairs = enumerate(zip(names, texts, strict=False))
    items = (f"{at}: {' '.join(filter(None, pair))}" for at, pair in pairs)
    return f"{len(values)} items ({', '.join(items)})"

"""Where in a model activations are read: the spelling of layers, and one layer's reading."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.exemplars.layout import Layout

SPELLING = (
    "write MODULE, then @in for its input, @1 for item 1 of its output, @heads=6 for one unit per "
    "attention head, @sae for the latents of a sparse autoencoder"
)


@dataclass(frozen=True)
class Spec:
    """A layer as users name it, ``blocks.3.attn.proj@in@heads=6``, in its parts.

    Attributes:
        module: Path of the module, as PyTorch names it, or a pattern of such paths.
        is_input: Whether the module's input is meant, not its output.
        item: Which item of an output that is a tuple.
        heads: Number of attention heads whose norms are the units.
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
        module, *marks = text.split("@")
        found: dict[str, Any] = {}
        for mark in marks:
            if mark == "in":
                found["is_input"] = True
            elif re.fullmatch(r"\d+", mark):
                found["item"] = int(mark)
            elif re.fullmatch(r"heads=[1-9]\d*", mark):
                found["heads"] = int(mark.removeprefix("heads="))
            elif mark == "sae":
                found["sae"] = True
            else:
                raise InputError(f"layer {text!r}: {mark!r} is not known; {SPELLING}")
        if not module or len(found) < len(marks):
            raise InputError(f"layer {text!r} is not well spelled; {SPELLING}")
        return cls(module, **found)

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
class Tap:
    """One layer's activation maps: where they are read and what they are like.

    Attributes:
        layer: The layer's name, as records have it; see ``Spec``.
        units: Number of units.
        height: Height of an activation map; 1 where units have one activation per image.
        width: Width of an activation map.
        layout: How the module's output becomes maps.
    """

    layer: str
    units: int
    height: int
    width: int
    layout: Layout


def raw(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Tensor:
    """Return the tensor a spec names, of a module's call.

    Args:
        spec: What is meant.
        args: What the module was called with.
        kwargs: The same, by keyword.
        output: What it gave; None if it has not been run yet.

    Raises:
        ValueError: If there is no such tensor, or it is not clear which is meant.
    """
    if spec.is_input:
        found = (*args, *kwargs.values())
        value = found[0] if found else None
    else:
        value = output
    if isinstance(value, Tensor):
        if spec.item is not None:
            raise ValueError(f"gives one tensor, which has no item {spec.item}")
        return value
    values = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(values, list | tuple):
        raise ValueError(f"gives a {type(value).__name__}, not a tensor")
    if spec.item is not None:
        if spec.item >= len(values) or not isinstance(values[spec.item], Tensor):
            raise ValueError(f"gives {_items(values)}: item {spec.item} is no tensor")
        chosen: Tensor = values[spec.item]
        return chosen
    tensors = [one for one in values if isinstance(one, Tensor) and one.is_floating_point()]
    if len(tensors) != 1:
        raise ValueError(f"gives {_items(values)}; say which is meant, as {spec}@0")
    return tensors[0]


def read(spec: Spec, layout: Layout, tensor: Tensor, attached: Mapping[str, nn.Module]) -> Tensor:
    """Return activation maps, N × units × height × width, from the tensor a spec names.

    Raises:
        ValueError: If the layout, the heads or the autoencoder do not fit.
    """
    maps = layout.maps(tensor)
    if spec.heads is not None:
        if maps.shape[1] % spec.heads:
            raise ValueError(f"has {maps.shape[1]} units, which {spec.heads} heads do not divide")
        maps = torch.linalg.vector_norm(maps.unflatten(1, (spec.heads, -1)), dim=2)
    if spec.sae:
        encoder = attached[str(spec).removesuffix("@sae")]
        # The tokens that are no part of the image are gone here: they are not encoded.
        maps = encoder(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return maps


def _items(values: list[Any] | tuple[Any, ...]) -> str:
    described = [
        " × ".join(map(str, one.shape)) if isinstance(one, Tensor) else type(one).__name__
        for one in values
    ]
    return f"{len(values)} items ({', '.join(described)})"


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Return names in a row, cut short where there are many."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more

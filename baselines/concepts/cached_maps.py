"""Activation maps of small data sets, kept on the disk, so that the network runs once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from baselines.concepts.activations import ActivationMaps, Advance, Say
from milannotations.exemplars.collect import Update
from milannotations.exemplars.tail import rank_from_top
from milannotations.storage import atomic_path

_BATCH = 32  # images
# Activations looked at at once: 64 MB. Of pieces below 32 MB the C library may keep what is freed.
_VALUES = 2**24


class CachedMaps:
    """Other maps, written to files span by span when they are first asked for.

    Always ask for the same spans.

    Args:
        maps: Where they come from.
        layers: Which layers are kept.
        folder: Where the files lie; those of an interrupted run are used.
        device: Where maps are handed out.
    """

    def __init__(
        self, maps: ActivationMaps, layers: Sequence[str], folder: Path, device: torch.device
    ) -> None:
        self._maps = maps
        self._numbers = {layer: str(number) for number, layer in enumerate(layers)}
        self._folder = folder
        self._device = device
        self.layers, self.input_size = maps.layers, maps.input_size

    def __len__(self) -> int:
        return len(self._maps)

    def identity(self) -> dict[str, Any]:
        """Return what the other maps say."""
        return self._maps.identity()

    def run(
        self, span: range, layers: Sequence[str], update: Update, advance: Advance, say: Say
    ) -> None:
        """See ``ActivationMaps``."""
        path = self._file(span)
        if not self._whole(path, span):
            self._keep(path, span, advance, say)
            advance = _nothing
        with safe_open(path, framework="pt") as file:
            for layer in layers:
                kept = file.get_slice(self._numbers[layer])
                for start in range(0, len(span), _BATCH):
                    stop = min(start + _BATCH, len(span))
                    ids = torch.arange(span.start + start, span.start + stop, device=self._device)
                    bad = update(layer, ids, kept[start:stop].to(self._device))
                    assert not bool(bad.any()), "maps were looked at before they were kept"
        advance(len(span))

    def ensure(self, spans: Sequence[range], advance: Advance, say: Say) -> None:
        """Have all files written; errors as of the other maps."""
        for span in spans:
            if self._whole(self._file(span), span):
                advance(len(span))
            else:
                self._keep(self._file(span), span, advance, say)

    def quantiles(
        self, layer: str, spans: Sequence[range], q: float, seen: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return each unit's exact quantile, float32 (units,).

        Args:
            layer: Which layer.
            spans: All spans, which are there.
            q: The quantile, strictly between 0 and 1.
            seen: Turns maps (any number, height, width) into what it is a quantile of.
        """
        units, height, width = self.layers[layer]
        positions = seen(torch.zeros(1, height, width, device=self._device)).numel()
        rank = rank_from_top(q, len(self) * positions)
        some = max(1, _VALUES // (len(self) * positions))
        found = []
        for first in range(0, units, some):
            last = min(first + some, units)
            values = torch.cat(
                [
                    seen(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]).flatten(2)
                    for maps in self._slices(layer, spans, first, last)
                ]
            )
            # Of shape (images, units, positions).
            flat = values.transpose(0, 1).flatten(1)
            found.append(flat.kthvalue(flat.shape[1] - rank + 1, dim=1).values)
        return torch.cat(found)

    def _slices(
        self, layer: str, spans: Sequence[range], first: int, last: int
    ) -> Iterator[Tensor]:
        for span in spans:
            with safe_open(self._file(span), framework="pt") as file:
                kept = file.get_slice(self._numbers[layer])[:, first:last]
            yield kept.to(self._device)

    def _keep(self, path: Path, span: range, advance: Advance, say: Say) -> None:
        seen: dict[str, list[Tensor]] = {layer: [] for layer in self._numbers}

        def keep(layer: str, ids: Tensor, maps: Tensor) -> Tensor:
            bad = ~maps.flatten(2).isfinite().all(2)
            seen[layer].append(maps.to("cpu", torch.float32, copy=True))
            return bad

        self._maps.run(span, list(self._numbers), keep, advance, say)
        tensors = {
            number: torch.cat(seen[layer]).contiguous() for layer, number in self._numbers.items()
        }
        with atomic_path(path, alone=True) as partial:
            save_file(tensors, partial)

    def _whole(self, path: Path, span: range) -> bool:
        try:
            with safe_open(path, framework="pt") as file:
                return all(
                    tuple(file.get_slice(number).get_shape()) == (len(span), *self.layers[layer])
                    for layer, number in self._numbers.items()
                )
        except (OSError, SafetensorError):
            return False

    def _file(self, span: range) -> Path:
        return self._folder / f"maps-{span.start:07d}.safetensors"


def _nothing(_: int) -> None:
    pass

"""Activation maps of small data sets, cached on disk so that the network runs only once."""

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
# Activations processed at once: 64 MB. Freed blocks below 32 MB may stay with the C library.
_VALUES = 2**24


class CachedMaps:
    """Other maps, written to one file per span when the span is first needed.

    Every run must use the same spans.

    Args:
        maps: The other maps.
        layers: Which layers are cached.
        folder: Folder of the files; those of an interrupted run are used.
        device: Device of the maps that are returned.
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
        """Return the identity of the other maps."""
        return self._maps.identity()

    def run(
        self, span: range, layers: Sequence[str], update: Update, advance: Advance, say: Say
    ) -> None:
        """See ``ActivationMaps``."""
        path = self._file(span)
        if not self._is_complete(path, span):
            self._write(path, span, advance, say)
            advance = _ignore
        with safe_open(path, framework="pt") as file:
            for layer in layers:
                cached = file.get_slice(self._numbers[layer])
                for start in range(0, len(span), _BATCH):
                    stop = min(start + _BATCH, len(span))
                    ids = torch.arange(span.start + start, span.start + stop, device=self._device)
                    bad = update(layer, ids, cached[start:stop].to(self._device))
                    assert not bool(bad.any()), "maps are checked before they are cached"
        advance(len(span))

    def ensure(self, spans: Sequence[range], advance: Advance, say: Say) -> None:
        """Write all files that are missing; errors are those of the other maps."""
        for span in spans:
            if self._is_complete(self._file(span), span):
                advance(len(span))
            else:
                self._write(self._file(span), span, advance, say)

    def quantiles(
        self, layer: str, spans: Sequence[range], q: float, seen: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return the exact quantile of each unit, float32 (units,).

        Args:
            layer: The layer.
            spans: All spans, whose files exist.
            q: The quantile, strictly between 0 and 1.
            seen: Turns maps of shape (n, height, width) into the values of the quantile.
        """
        units, height, width = self.layers[layer]
        positions = seen(torch.zeros(1, height, width, device=self._device)).numel()
        rank = rank_from_top(q, len(self) * positions)
        step = max(1, _VALUES // (len(self) * positions))
        quantiles = []
        for first in range(0, units, step):
            last = min(first + step, units)
            values = torch.cat(
                [
                    seen(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]).flatten(2)
                    for maps in self._slices(layer, spans, first, last)
                ]
            )
            # Of shape (images, units, positions).
            flat = values.transpose(0, 1).flatten(1)
            quantiles.append(flat.kthvalue(flat.shape[1] - rank + 1, dim=1).values)
        return torch.cat(quantiles)

    def _slices(
        self, layer: str, spans: Sequence[range], first: int, last: int
    ) -> Iterator[Tensor]:
        for span in spans:
            with safe_open(self._file(span), framework="pt") as file:
                cached = file.get_slice(self._numbers[layer])[:, first:last]
            yield cached.to(self._device)

    def _write(self, path: Path, span: range, advance: Advance, say: Say) -> None:
        seen: dict[str, list[Tensor]] = {layer: [] for layer in self._numbers}

        def collect(layer: str, ids: Tensor, maps: Tensor) -> Tensor:
            bad = ~maps.flatten(2).isfinite().all(2)
            seen[layer].append(maps.to("cpu", torch.float32, copy=True))
            return bad

        self._maps.run(span, list(self._numbers), collect, advance, say)
        tensors = {
            number: torch.cat(seen[layer]).contiguous() for layer, number in self._numbers.items()
        }
        with atomic_path(path, alone=True) as partial:
            save_file(tensors, partial)

    def _is_complete(self, path: Path, span: range) -> bool:
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


def _ignore(_: int) -> None:
    pass

"""Per-unit statistics over a stream of activation maps: mergeable top-k, quantile and sample.

All depend only on the set of images seen, not on batch size, order or the division of images
among processes: merging is commutative and associative, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from milannotations.exemplars.histogram import QuantileHistogram
from milannotations.exemplars.quantile import quantile_of
from milannotations.exemplars.tail import ExactTail

_SAMPLED_IMAGES = 256
_SAMPLED_POSITIONS = 8


class TopK:
    """The k images that activate each unit most, with their activation maps.

    Images are ordered by peak activation, ties by image index, lower first.

    Attributes:
        values: Peak activations, shape (units, k), descending; -inf where fewer were seen.
        ids: Image indices, shape (units, k).
    """

    def __init__(
        self, units: int, k: int, height: int, width: int, device: torch.device | str = "cpu"
    ) -> None:
        self.k = k
        self.values = torch.full((units, k), -torch.inf, device=device)
        self.ids = torch.full((units, k), torch.iinfo(torch.int64).max, device=device)
        # Maps stay in their slots; ``slots`` holds the slot of each rank's map. A new winner then
        # costs one copy instead of a shift of all maps that rank below it.
        self._slots = torch.arange(k, device=device).repeat(units, 1)
        self._maps = torch.zeros((units, k, height, width), device=device)

    def maps(self, units: slice = slice(None)) -> Tensor:
        """Return the activation maps of some units, shape (units, k, height, width), by rank."""
        slots = self._slots[units][:, :, None, None].expand(-1, -1, *self._maps.shape[2:])
        return self._maps[units].gather(1, slots)

    def update(self, ids: Tensor, peaks: Tensor, maps: Tensor) -> None:
        """Add images.

        Args:
            ids: Their indices, shape (images,); each index may be added only once.
            peaks: Peak activations, shape (images, units).
            maps: Activation maps, shape (images, units, height, width).
        """
        self._merge(ids.expand(peaks.shape[1], -1), peaks.T, maps.transpose(0, 1))

    def merge(self, other: TopK) -> None:
        """Add everything that another top-k of the same units has seen."""
        self._merge(other.ids, other.values, other.maps())

    def state(self) -> dict[str, Tensor]:
        """Return everything as tensors on the CPU."""
        tensors = {"values": self.values, "ids": self.ids, "maps": self.maps()}
        return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned.

        Raises:
            ValueError: If it has another shape.
        """
        for name, mine in (("values", self.values), ("ids", self.ids), ("maps", self._maps)):
            if state[name].shape != mine.shape:
                raise ValueError(f"{name} have shape {tuple(state[name].shape)}")
            mine.copy_(state[name])
        self._slots = torch.arange(self.k, device=self.ids.device).repeat(len(self.ids), 1)

    def _merge(self, ids: Tensor, values: Tensor, maps: Tensor) -> None:
        """Add ids and values of shape (units, n) with their maps (units, n, height, width)."""
        changed = (values >= self.values[:, -1:]).any(1).nonzero().squeeze(1)
        all_ids = torch.cat([self.ids[changed], ids[changed]], dim=1)
        all_values = torch.cat([self.values[changed], values[changed]], dim=1)
        by_id = all_ids.argsort(dim=1, stable=True)
        by_value = all_values.gather(1, by_id).argsort(dim=1, descending=True, stable=True)
        winners = by_id.gather(1, by_value[:, : self.k])
        self.values[changed] = all_values.gather(1, winners)
        self.ids[changed] = all_ids.gather(1, winners)
        self._store(changed, winners, maps)

    def _store(self, changed: Tensor, winners: Tensor, maps: Tensor) -> None:
        """Put the maps of new winners into the slots of those they displaced.

        ``winners`` of shape (changed units, k) counts the old ranks first, then ``maps``.
        """
        new = winners >= self.k
        slots = self._slots[changed].gather(1, winners.clamp(max=self.k - 1))
        taken = torch.zeros_like(new)
        row, rank = (~new).nonzero(as_tuple=True)
        taken[row, slots[row, rank]] = True
        free_first = taken.to(torch.uint8).argsort(dim=1, stable=True)
        slots = torch.where(new, free_first.gather(1, (new.cumsum(1) - 1).clamp(min=0)), slots)
        row, rank = new.nonzero(as_tuple=True)
        source = maps[changed[row], winners[row, rank] - self.k]
        self._maps[changed[row], slots[row, rank]] = source.to(self._maps.dtype)
        self._slots[changed] = slots


class Sample:
    """A fixed sample of every unit's activations, which shows their distribution.

    It takes evenly spaced positions of evenly spaced images, so it does not depend on the order
    either. It holds at most 256 × 8 activations per unit.
    """

    def __init__(self, units: int, images: int, device: torch.device | str = "cpu") -> None:
        self._step = max(1, math.ceil(images / _SAMPLED_IMAGES))
        slots = math.ceil(images / self._step)
        # NaN where nothing has been seen yet.
        self.values = torch.full((units, slots, _SAMPLED_POSITIONS), torch.nan, device=device)

    def update(self, ids: Tensor, flat: Tensor) -> None:
        """Add maps of shape (images, units, positions) of the images ``ids``."""
        chosen = (ids % self._step == 0).nonzero().squeeze(1)
        if not len(chosen):
            return
        picks = torch.linspace(0, flat.shape[2] - 1, _SAMPLED_POSITIONS).round().long()
        picked = flat[chosen][:, :, picks.to(flat.device)]
        self.values[:, ids[chosen] // self._step] = picked.transpose(0, 1).to(self.values.dtype)

    def merge(self, other: Sample) -> None:
        """Add everything that another sample of the same stream has seen."""
        self.values = torch.where(self.values.isnan(), other.values, self.values)

    def state(self) -> dict[str, Tensor]:
        """Return everything as tensors on the CPU."""
        return {"values": self.values.cpu()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned.

        Raises:
            ValueError: If it has another shape.
        """
        if state["values"].shape != self.values.shape:
            raise ValueError(f"sample has shape {tuple(state['values'].shape)}")
        self.values.copy_(state["values"])


class LayerStatistics:
    """The statistics of one layer in one pass: a top-k, a quantile and a sample.

    Args:
        units: Number of units.
        k: Exemplars per unit.
        height: Height of an activation map.
        width: Width of an activation map.
        quantile: The activation quantile that becomes the threshold.
        images: Number of images in the whole stream.
        device: Where the statistics are stored.
    """

    def __init__(
        self,
        units: int,
        k: int,
        height: int,
        width: int,
        quantile: float,
        images: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.top = TopK(units, k, height, width, device)
        self.quantile = quantile_of(units, quantile, images * height * width, device)
        self.sample = Sample(units, images, device)

    def update(self, ids: Tensor, maps: Tensor) -> Tensor:
        """Add activation maps of shape (images, units, height, width) of the images ``ids``.

        Returns:
            Boolean of shape (images, units): True where a map holds NaN or infinity. If any
            element is True, nothing was added.
        """
        flat = maps.flatten(2)
        peaks, lows = flat.amax(2).float(), flat.amin(2).float()
        bad = ~(peaks.isfinite() & lows.isfinite())
        if not bool(bad.any()):
            self.top.update(ids, peaks, maps)
            self.quantile.update(flat, lows.amin(0), peaks.amax(0), ids)
            self.sample.update(ids, flat)
        return bad

    def merge(self, other: LayerStatistics) -> None:
        """Add everything that other statistics of the same layer have seen."""
        self.top.merge(other.top)
        same_kind: Any = other.quantile  # both were created for the same stream
        self.quantile.merge(same_kind)
        self.sample.merge(other.sample)

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors on the CPU."""
        parts: dict[str, TopK | ExactTail | QuantileHistogram | Sample] = {
            "top": self.top,
            "quantile": self.quantile,
            "sample": self.sample,
        }
        return {
            f"{prefix}.{name}": tensor
            for prefix, component in parts.items()
            for name, tensor in component.state().items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state`` returned.

        Raises:
            ValueError: If it has another shape, or is inconsistent.
            KeyError: If something is missing.
        """

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.partition(".")[2]: v for k, v in state.items() if k.startswith(prefix + ".")}

        self.top.restore(part("top"))
        self.quantile.restore(part("quantile"))
        self.sample.restore(part("sample"))

"""From activation maps to masks, and from masks to counts of activated pixels per atom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from baselines.concepts.masking import Masking
from baselines.concepts.packing import PackedConcepts
from baselines.concepts.tally import StrongestImages, Tally
from baselines.concepts.upsampling import matrices
from milannotations.exemplars.statistics import TopK

# Masks processed at once: 256 of 112 × 112 in double precision take 26 MB.
_MASKS = 256
SHOWN = 5  # exemplars of a unit that are kept for pictures


class Upsampler:
    """Brings the maps of a layer to the size of the label maps.

    >>> cpu = torch.device("cpu")
    >>> upsampler = Upsampler(Masking(), (2, 2), (4, 4), (8, 8), cpu)
    >>> upsampler(torch.ones(1, 2, 2)).shape
    torch.Size([1, 4, 4])

    Args:
        masking: How maps are upsampled.
        size: Height and width of the maps.
        shape: Height and width of the label maps.
        input_size: Height and width of the network's input.
        device: Where the maps are.
    """

    def __init__(
        self,
        masking: Masking,
        size: tuple[int, int],
        shape: tuple[int, int],
        input_size: tuple[int, int],
        device: torch.device,
    ) -> None:
        rows, columns = matrices(masking.upsampling, size, shape, input_size)
        self._zeros_around = masking.upsampling == "grid"
        # Double precision, so that a value equal to the threshold stays equal: weights that only
        # nearly add up to 1 could lift it above. MPS has no double precision.
        self._dtype = torch.float32 if device.type == "mps" else torch.float64
        self._rows = rows.to(device, self._dtype)
        self._columns = columns.to(device, self._dtype).T.contiguous()

    def __call__(self, maps: Tensor) -> Tensor:
        """Return maps of shape (n, height, width) as float32 in the size of the label maps."""
        return (self._rows @ maps.to(self._dtype) @ self._columns).float()

    def upper_bounds(self, peaks: Tensor) -> Tensor:
        """Return upper bounds of the upsampled maps, from the greatest values of the maps."""
        # Weights are never negative, and add up to 1, or to less where zeros surround the map.
        return peaks.clamp(min=0) if self._zeros_around else peaks


@dataclass
class LayerCounter:
    """Counts the activated pixels of one layer, image by image.

    Attributes:
        concepts: The labels.
        upsampler: The upsampler of this layer.
        thresholds: Activation thresholds, (units,), on the device of the maps.
    """

    concepts: PackedConcepts
    upsampler: Upsampler
    thresholds: Tensor
    _counts: list[tuple[NDArray[np.int64], ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._counts = []
        shape = (len(self.thresholds), len(self.concepts.partition.categories))
        self._in_images = np.zeros(shape, dtype=np.int64)
        self._in_masks = np.zeros(shape, dtype=np.int64)
        self._top: TopK | None = None

    def update(self, ids: Tensor, maps: Tensor) -> Tensor:
        """Add maps of shape (images, units, height, width).

        Returns:
            Boolean of shape (images, units): True where a map contains NaN or infinity. If any is
            True, nothing was added.
        """
        flat = maps.flatten(2)
        peaks = flat.amax(2)
        bad = ~(peaks.isfinite() & flat.amin(2).isfinite())
        if bool(bad.any()):
            return bad
        if self._top is None:
            units, height, width = maps.shape[1:]
            self._top = TopK(units, SHOWN, height, width, maps.device)
        self._top.update(ids, peaks.float(), maps.float())
        image, unit = (self.upsampler.upper_bounds(peaks.float()) > self.thresholds).nonzero(
            as_tuple=True
        )
        indices = ids.tolist()
        lists = [self.concepts.atoms_of(i) for i in indices]
        stride = max(len(atoms) for atoms in lists)
        table = np.zeros((len(lists), stride), dtype=np.int64)
        for row, atoms in enumerate(lists):
            table[row, : len(atoms)] = atoms
        local = np.stack([self.concepts.map(i) for i in indices]).astype(np.int64)
        where = torch.from_numpy(local).to(maps.device)
        presence = self.concepts.presence[indices]
        for first in range(0, len(image), _MASKS):
            some = slice(first, first + _MASKS)
            self._count(maps, image[some], unit[some], where, table, presence)
        return bad

    def take(self, layer: str) -> Tally:
        """Return the tally of all maps that were added since the last call."""
        units, atoms = len(self.thresholds), len(self.concepts.partition.areas)
        columns = [np.concatenate(c) for c in zip(*self._counts, strict=True)] or [
            np.zeros(0, dtype=np.int64)
        ] * 3
        # csr_array adds up entries of the same unit and atom.
        counts = csr_array((columns[2], (columns[0], columns[1])), shape=(units, atoms))
        top = None if self._top is None else _top(self._top)
        tally = Tally(
            layer,
            self.thresholds.cpu().numpy(),
            counts,
            self._in_images,
            self._in_masks,
            top,
        )
        self._forget()
        return tally

    def _count(
        self,
        maps: Tensor,
        image: Tensor,
        unit: Tensor,
        where: Tensor,
        table: NDArray[np.int64],
        presence: NDArray[np.bool_],
    ) -> None:
        """Add the masks of pairs of an image and a unit.

        Args:
            maps: See ``update``.
            image: Row in ``maps`` of each pair.
            unit: Unit of each pair.
            where: Position of each pixel in the list of atoms of its image, (images, pixels).
            table: The lists of atoms, (images, positions).
            presence: Whether an image has labels of a category, (images, categories).
        """
        stride = table.shape[1]
        masks = self.upsampler(maps[image, unit]) > self.thresholds[unit, None, None]
        pair, pixel = masks.flatten(1).nonzero(as_tuple=True)
        key = pair * stride + where[image[pair], pixel]
        counts = torch.bincount(key, minlength=len(image) * stride).view(len(image), stride)
        row, position = (t.cpu().numpy() for t in counts.nonzero(as_tuple=True))
        times = counts[counts > 0].cpu().numpy()
        images, units = image.cpu().numpy(), unit.cpu().numpy()
        atoms = table[images[row], position]
        self._counts.append((units[row], atoms, times))
        if not len(row):
            return
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        fired = row[starts]
        active = np.add.reduceat(times, starts)[:, None]
        has = np.logical_or.reduceat(self.concepts.partition.atom_categories[atoms], starts, axis=0)
        np.add.at(self._in_images, units[fired], active * presence[images[fired]])
        np.add.at(self._in_masks, units[fired], active * has)


def united(tallies: list[Tally]) -> Tally:
    """Merge tallies of one layer over disjoint sets of images."""
    counts = tallies[0].counts
    for other in tallies[1:]:
        counts = counts + other.counts
    return Tally(
        tallies[0].layer,
        tallies[0].thresholds,
        csr_array(counts),
        np.sum([t.in_images for t in tallies], axis=0),
        np.sum([t.in_masks for t in tallies], axis=0),
        _united_tops([t.top for t in tallies if t.top is not None]),
    )


def _top(top: TopK) -> StrongestImages:
    state = top.state()
    return StrongestImages(state["ids"].numpy(), state["values"].numpy(), state["maps"].numpy())


def _united_tops(tops: list[StrongestImages]) -> StrongestImages | None:
    if not tops:
        return None
    units, k, height, width = tops[0].maps.shape
    every = TopK(units, k, height, width)
    for top in tops:
        other = TopK(units, k, height, width)
        arrays = {"ids": top.ids, "values": top.peaks, "maps": top.maps}
        other.restore({name: torch.from_numpy(array) for name, array in arrays.items()})
        every.merge(other)
    return _top(every)

"""Per-unit statistics over a stream of activation maps: mergeable top-k and quantile.

Both depend only on the set of images seen, not on batch size, order or how the images were
divided between processes: merging is commutative and associative, to the last bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Magnitudes from 2^-40 to 2^24 are told apart to 8 binary digits: 64 octaves of 256 bins. What
# is smaller counts as zero, what is larger as the largest.
_MANTISSA_BITS = 8
_LOWEST_EXPONENT, _HIGHEST_EXPONENT = -40, 24
_OCTAVES = _HIGHEST_EXPONENT - _LOWEST_EXPONENT
_OCTAVE = 1 << _MANTISSA_BITS
_BINS = _OCTAVES * _OCTAVE
_SHIFT = 23 - _MANTISSA_BITS  # a float32 has 23 stored digits
_BIAS = (127 + _LOWEST_EXPONENT) << _MANTISSA_BITS
_INT32_MAX = 2**31 - 1
_GROWTH = 2  # the floor is raised each time the data seen has grown by this factor


class QuantileHistogram:
    """One upper quantile of every unit's activations, from a histogram with logarithmic bins.

    A bin is a binary octave cut into 256, found by shifting the bits of the float: relative
    width at most 1/256, as in HdrHistogram and DDSketch (Masson et al., VLDB 2019). Within a bin
    values are taken as evenly spread. Unlike KLL sketches, the result does not depend on the
    order of the data, so parallel and resumed runs agree exactly with serial ones.

    Most values need not be counted. Where the whole stream will hold ``n`` values, its quantile
    is the value with rank ``r = n - ceil(q n) + 1`` from the top; once ``r`` values at or above
    some bin have been seen, the quantile cannot lie below that bin, and what is below it is
    skipped from then on. On a stream in random order that leaves ``(1-q)(1 - ln(1-q))`` of the
    values, 5.6 % at q = 0.99. The order only changes the speed.

    Memory is 64 KB per unit (128 KB where activations are negative), whatever the number of
    images. The rank error at 0.99 is below 0.0005 for any distribution without narrow peaks far
    from zero (a normal distribution with mean 60 standard deviations from zero is the limit).

    Args:
        units: Number of units.
        q: The quantile wanted, strictly between 0 and 1.
        expected: How many values of each unit the whole stream holds, over all processes that
            share it; fewer may come, more may not.
        device: Where the counts live.
    """

    def __init__(
        self, units: int, q: float, expected: int, device: torch.device | str = "cpu"
    ) -> None:
        self.q = q
        self.count = 0
        self.positive = torch.zeros((units, _BINS), dtype=torch.int32, device=device)
        self.negative: Tensor | None = None  # allocated when the first negative value comes
        self.minimum = torch.full((units,), torch.inf, device=device)
        self.maximum = torch.full((units,), -torch.inf, device=device)
        # Below this value, the lower edge of the bin of that signed index, nothing is counted.
        self.floor = torch.full((units,), -torch.inf, device=device)
        self.floor_bin = torch.full((units,), 1 - _BINS, device=device)
        self._rank = _rank_from_top(q, expected)
        self._expected = expected
        self._raise_at = self._rank

    def update(self, values: Tensor, minimum: Tensor, maximum: Tensor) -> None:
        """Add values of shape (images, units, positions), whose extremes per unit are known.

        Args:
            values: Finite float32 activations.
            minimum: Least value of each unit in ``values``, shape (units,).
            maximum: Greatest value of each unit, shape (units,).

        Raises:
            ValueError: If more values come than were announced.
        """
        self.minimum = torch.minimum(self.minimum, minimum)
        self.maximum = torch.maximum(self.maximum, maximum)
        images, _, positions = values.shape
        done = 0
        while done < images:
            # Small steps at first, so that a floor is found before much has been counted.
            step = max(1, (max(self._raise_at, self._rank) - self.count) // positions)
            part = values[done : done + step]
            self._tally(part)
            self._add_count(part.shape[0] * positions)
            done += step
            if self.count >= self._raise_at:
                self._raise_floor()

    def merge(self, other: QuantileHistogram) -> None:
        """Add all that another histogram of the same units and stream has seen."""
        self._add_count(other.count)
        self.positive += other.positive
        if other.negative is not None:
            self.negative = self._allow_negative() + other.negative
        self.minimum = torch.minimum(self.minimum, other.minimum)
        self.maximum = torch.maximum(self.maximum, other.maximum)
        # Below the higher of the two floors one side has not counted everything.
        self.floor = torch.maximum(self.floor, other.floor)
        self.floor_bin = torch.maximum(self.floor_bin, other.floor_bin)

    def quantile(self) -> Tensor:
        """Return the value below which a share ``q`` of each unit's activations lies.

        Returns:
            Float32 of shape (units,), within each unit's own extremes.

        Raises:
            ValueError: If nothing has been seen.
        """
        if not self.count:
            raise ValueError("no activations have been seen")
        rank = _rank_from_top(self.q, self.count)
        found, above, inside = self._locate(rank)
        lower, upper = _edges(found)
        share = ((rank - above).float() / inside.clamp(min=1)).clamp(0, 1)
        value = upper - (upper - lower) * share
        return torch.minimum(torch.maximum(value, self.minimum), self.maximum)

    def _tally(self, values: Tensor) -> None:
        """Count values of shape (images, units, positions) that are not below the floor."""
        _, units, positions = values.shape
        kept = (values >= self.floor[:, None]).flatten().nonzero().squeeze(1)
        chosen = values.flatten()[kept]
        unit = kept.div_(positions, rounding_mode="floor").remainder_(units)
        below = chosen < 0
        if bool(below.any()):
            _count_bins(self._allow_negative(), unit[below], -chosen[below])
            chosen, unit = chosen[~below], unit[~below]
        _count_bins(self.positive, unit, chosen)

    def _allow_negative(self) -> Tensor:
        if self.negative is None:
            self.negative = torch.zeros_like(self.positive)
        return self.negative

    def _add_count(self, more: int) -> None:
        self.count += more
        if self.count > self._expected:
            raise ValueError(f"{self.count} values per unit; {self._expected} were announced")
        if self.count > _INT32_MAX and self.positive.dtype == torch.int32:
            # Widened before any counter can overflow.
            self.positive = self.positive.long()
            self.negative = self.negative.long() if self.negative is not None else None

    def _raise_floor(self) -> None:
        found, _, _ = self._locate(self._rank)
        higher = found > self.floor_bin
        lower, _ = _edges(found)
        # How many values are zero never matters: only those above are counted.
        lower = torch.where(found == 0, _edges(torch.ones_like(found))[0], lower)
        self.floor = torch.where(higher, lower, self.floor)
        self.floor_bin = torch.where(higher, found, self.floor_bin)
        self._raise_at = math.ceil(self.count * _GROWTH)

    def _locate(self, rank: int) -> tuple[Tensor, Tensor, Tensor]:
        """Find the bin of the value with that rank from the top.

        Returns:
            Three int64 tensors of shape (units,): the bin's signed index (0 is zero, negative
            ones hold negative values), the values above it, and those in it.
        """
        units = self.positive.shape[0]
        # First the octave, then the bin within it: most of the table is read only to be summed.
        tables = [
            t.view(units, _OCTAVES, _OCTAVE)
            for t in (self.positive, self.negative)
            if t is not None
        ]
        # In the table's own type, which is wide enough for all that was counted.
        sums = [table.sum(2, dtype=table.dtype) for table in tables]
        octave, above = _first_reaching(torch.cat([sums[0].flip(1), *sums[1:]], dim=1), rank)
        positive = octave < _OCTAVES
        unit = torch.arange(units, device=octave.device)
        bins = tables[0][unit, (_OCTAVES - 1 - octave).clamp(min=0)].flip(1)
        if len(tables) > 1:
            below = tables[1][unit, (octave - _OCTAVES).clamp(min=0)]
            bins = torch.where(positive[:, None], bins, below)
        at, above_here = _first_reaching(bins, rank - above)
        magnitude = torch.where(
            positive,
            (_OCTAVES - octave) * _OCTAVE - 1 - at,
            (octave - _OCTAVES) * _OCTAVE + at,
        )
        found = torch.where(positive, magnitude, -magnitude)
        inside = bins.gather(1, at[:, None]).squeeze(1).long()
        # Nothing was counted below the floor, so a search that ends there ends at the floor.
        low = found < self.floor_bin
        found = torch.where(low, self.floor_bin, found)
        return found, above + above_here, inside


def _first_reaching(counts: Tensor, rank: int | Tensor) -> tuple[Tensor, Tensor]:
    """Return the first column at which the running sum reaches rank, and the sum before it."""
    cumulative = counts.cumsum(1, dtype=torch.int64)
    target = torch.zeros_like(cumulative[:, 0]).add_(rank)[:, None]
    at = torch.searchsorted(cumulative, target).clamp_(max=counts.shape[1] - 1)
    before = cumulative.gather(1, at) - counts.gather(1, at)
    return at.squeeze(1), before.squeeze(1)


def _rank_from_top(q: float, count: int) -> int:
    """Return the rank from the top (1 is the greatest) of the q-quantile of ``count`` values."""
    return count - max(1, math.ceil(q * count)) + 1


def _magnitude_bins(magnitudes: Tensor) -> Tensor:
    bits = magnitudes.contiguous().view(torch.int32)
    return (bits >> _SHIFT).sub_(_BIAS).clamp_(0, _BINS - 1)


def _edges(bins: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower and the upper edge of bins given by their signed index."""

    def edge(magnitude: Tensor) -> Tensor:
        return ((magnitude + _BIAS) << _SHIFT).to(torch.int32).view(torch.float32)

    near, far = edge(bins.abs()), edge(bins.abs() + 1)
    lower = torch.where(bins < 0, -far, near)
    upper = torch.where(bins < 0, -near, far)
    zero = torch.zeros_like(lower)
    return torch.where(bins == 0, zero, lower), torch.where(bins == 0, zero, upper)


def _count_bins(table: Tensor, unit: Tensor, magnitudes: Tensor) -> None:
    """Add magnitudes, each of the unit beside it, to a table of shape (units, bins)."""
    flat = unit.mul_(_BINS).add_(_magnitude_bins(magnitudes))
    # Faster than a bincount as soon as few of the table's cells are hit.
    one = torch.ones(1, dtype=table.dtype, device=table.device)
    table.view(-1).scatter_add_(0, flat, one.expand_as(flat))


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
        # Maps stay where they were first put; slots says where the map of each rank lies. So a
        # new winner costs one copy, not a shift of all that rank below it.
        self._slots = torch.arange(k, device=device).repeat(units, 1)
        self._maps = torch.zeros((units, k, height, width), device=device)

    def maps(self, units: slice = slice(None)) -> Tensor:
        """Return the activation maps of some units, shape (units, k, height, width), by rank."""
        slots = self._slots[units][:, :, None, None].expand(-1, -1, *self._maps.shape[2:])
        return self._maps[units].gather(1, slots)

    def update(self, ids: Tensor, peaks: Tensor, maps: Tensor) -> None:
        """Add images.

        Args:
            ids: Their indices, shape (images,); an index must be added only once.
            peaks: Peak activations, shape (images, units).
            maps: Activation maps, shape (images, units, height, width).
        """
        self._merge(ids.expand(peaks.shape[1], -1), peaks.T, maps.transpose(0, 1))

    def merge(self, other: TopK) -> None:
        """Add all that another top-k of the same units has seen."""
        self._merge(other.ids, other.values, other.maps())

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
        """Put new winners' maps into the slots of those they displaced.

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


class LayerStatistics:
    """All that one pass keeps of one layer: a top-k and a quantile histogram.

    Args:
        units: Number of units.
        k: Exemplars per unit.
        height: Height of an activation map.
        width: Width of an activation map.
        quantile: The activation quantile that becomes the threshold.
        images: How many images the whole stream holds.
        device: Where the statistics live.
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
        self.histogram = QuantileHistogram(units, quantile, images * height * width, device)

    def update(self, ids: Tensor, maps: Tensor) -> Tensor:
        """Add activation maps of shape (images, units, height, width) of the images ``ids``.

        Returns:
            Boolean of shape (images, units): True where a map holds NaN or infinity. If any is
            True nothing was added.
        """
        maps = maps.float()
        flat = maps.flatten(2)
        peaks, lows = flat.amax(2), flat.amin(2)
        bad = ~(peaks.isfinite() & lows.isfinite())
        if not bool(bad.any()):
            self.top.update(ids, peaks, maps)
            self.histogram.update(flat, lows.amin(0), peaks.amax(0))
        return bad

    def merge(self, other: LayerStatistics) -> None:
        """Add all that other statistics of the same layer have seen."""
        self.top.merge(other.top)
        self.histogram.merge(other.histogram)

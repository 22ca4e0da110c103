"""Exact values from the upper tail of a fixed subsample, which show where values tie."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from milannotations.exemplars.tail import ExactTail, rank_from_top

# Sampled values stored per unit, 8 KB: twice as many as lie above the quantile, so that the sample
# covers the quantile's bin on both sides of the quantile.
KEPT = 2048
_CRITICAL = 1.36


class TailSample:
    """The greatest values at a fixed share of all positions, for every unit.

    Position ``p`` of image ``i`` is in the sample if ``i × positions + p`` is a multiple of a
    prime ``step``. The sample therefore depends neither on the order of the images nor on their
    division among processes, and visits all positions of a map in turn.

    Args:
        units: Number of units.
        q: The quantile, strictly between 0 and 1.
        expected: Number of values of each unit in the whole stream.
        device: Where the values are stored.

    Attributes:
        step: One value in ``step`` is in the sample.
    """

    def __init__(
        self, units: int, q: float, expected: int, device: torch.device | str = "cpu"
    ) -> None:
        self.step = _prime_from(math.ceil(rank_from_top(q, expected) / (KEPT // 2)))
        self._seen = 0  # images without an id, which follow one another
        sampled = -(-expected // self.step)
        # There may be one more image if the ids are not those of a whole stream.
        self._tail = ExactTail(units, q, 2 * sampled + 1, device, length=min(KEPT, sampled))

    def update(self, values: Tensor, ids: Tensor | None) -> None:
        """Add values of shape (images, units, positions) of the images ``ids``, shape (images,).

        Without ids the images are those that follow the ones already seen.
        """
        images, _, positions = values.shape
        if ids is None:
            ids = torch.arange(self._seen, self._seen + images, device=values.device)
            self._seen += images
        first = (-ids * positions) % self.step
        offsets = torch.arange(0, positions, self.step, device=values.device)
        at = first[:, None] + offsets
        image, column = (at < positions).nonzero(as_tuple=True)
        if not len(image):
            return
        sampled = values[image, :, at[image, column]].float()[:, :, None]
        self._tail.update(sampled, sampled.amin((0, 2)), sampled.amax((0, 2)))

    def merge(self, other: TailSample) -> None:
        """Add everything that another sample of the same stream has seen."""
        self._seen += other._seen
        self._tail.merge(other._tail)

    @property
    def values(self) -> Tensor:
        """The greatest sampled values, shape (units, at most 2048), descending; -inf where none."""
        return self._tail.values

    def value_at(self, inside: Tensor, rank: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sampled value that represents a rank among some neighbouring values.

        Args:
            inside: Which of ``values`` are among them: true from some column to another.
            rank: Rank from the top among all of them, sampled or not, shape (units,); from 1.
            count: Number of those values, sampled or not, shape (units,).

        Returns:
            The values, and the number of sampled ones they were chosen from, both of shape
            (units,). A value has no meaning where that number is 0.
        """
        sampled = inside.sum(1)
        # If the sample ends among them, the number of them in it is an expectation.
        total = torch.where(inside[:, -1], -(-count // self.step), sampled).clamp(min=1)
        at = -(-rank * total // count.clamp(min=1)) - 1
        at = torch.minimum(at, sampled - 1).clamp(min=0)
        at = (at + inside.int().argmax(1)).clamp(max=inside.shape[1] - 1)
        return self.values.gather(1, at[:, None]).squeeze(1), sampled

    def is_even(self, inside: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        """Return whether sampled values may be evenly spread between two edges.

        A Kolmogorov-Smirnov test at the level of 5 % (its asymptotic critical value, 1.36 divided
        by the root of the number of values; Smirnov, Annals of Mathematical Statistics, 1948).

        Args:
            inside: Which of ``values`` are meant: true from some column to another.
            lower: Their lower edge, shape (units,).
            upper: Their upper edge, shape (units,).

        Returns:
            Boolean of shape (units,); True where there are none.
        """
        number = inside.sum(1).clamp(min=1)[:, None]
        rank = inside.cumsum(1).double()  # from the top, from 1
        expected = (upper[:, None] - self.values) / (upper - lower)[:, None]
        far = torch.maximum(rank / number - expected, expected - (rank - 1) / number)
        distance = torch.where(inside, far, 0).amax(1)
        return distance <= _CRITICAL / number.squeeze(1).sqrt()

    def state(self) -> dict[str, Tensor]:
        """Return everything as tensors on the CPU."""
        return {**self._tail.state(), "images": torch.tensor(self._seen)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned.

        Raises:
            ValueError: If it has another shape.
        """
        self._seen = int(state["images"])
        self._tail.restore(state)


def _prime_from(least: int) -> int:
    """Return the least prime at or above a number; 1 for 1.

    >>> [_prime_from(n) for n in (1, 2, 4, 90)]
    [1, 2, 5, 97]
    """
    number = max(least, 1)
    while number > 1 and any(number % d == 0 for d in range(2, math.isqrt(number) + 1)):
        number += 1
    return number

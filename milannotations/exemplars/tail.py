"""One upper quantile of every unit's activations, exactly, where its rank is small."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from milannotations.exemplars.histogram import QuantileHistogram, rank_from_top

# Greatest activations kept per unit: 4 KB. At the 0.99 quantile that is enough for 102,300
# activations: 2,000 images with maps of 7 × 7, or 100,000 images with one activation each.
LONGEST = 1024


class ExactTail:
    """One upper quantile, from the greatest values of each unit, all kept.

    Where the whole stream holds ``n`` values, its quantile is the one of rank
    ``n - ceil(q n) + 1`` from the top; no value below it can matter.

    Args:
        units: Number of units.
        q: The quantile wanted, strictly between 0 and 1.
        expected: How many values of each unit the whole stream holds; fewer may come, not more.
        device: Where the values live.

    Attributes:
        count: Values seen of each unit.
        minimum: Least activation of each unit, shape (units,).
        maximum: Greatest activation of each unit, shape (units,).
    """

    def __init__(
        self, units: int, q: float, expected: int, device: torch.device | str = "cpu"
    ) -> None:
        self.q = q
        self.count = 0
        self.minimum = torch.full((units,), torch.inf, device=device)
        self.maximum = torch.full((units,), -torch.inf, device=device)
        self._expected = expected
        length = rank_from_top(q, expected)
        self._values = torch.full((units, length), -torch.inf, device=device)  # descending

    def update(self, values: Tensor, minimum: Tensor, maximum: Tensor) -> None:
        """Add values of shape (images, units, positions), whose extremes per unit are known.

        Raises:
            ValueError: If more values come than were announced.
        """
        self._see(values.shape[0] * values.shape[2], minimum, maximum)
        higher = (maximum > self._values[:, -1]).nonzero().squeeze(1)
        if len(higher):
            self._take(higher, values[:, higher].transpose(0, 1).flatten(1).float())

    def merge(self, other: ExactTail) -> None:
        """Add all that another tail of the same units and stream has seen."""
        self._see(other.count, other.minimum, other.maximum)
        self._take(torch.arange(len(self._values), device=self._values.device), other._values)

    def quantile(self) -> Tensor:
        """Return the least activation that at least a share ``q`` of them does not exceed.

        Returns:
            Float32 of shape (units,).

        Raises:
            ValueError: If nothing has been seen.
        """
        if not self.count:
            raise ValueError("no activations have been seen")
        return self._values[:, rank_from_top(self.q, self.count) - 1].clone()

    def state(self) -> dict[str, Tensor]:
        """Return everything as tensors on the CPU."""
        kept = {
            "count": torch.tensor(self.count),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "values": self._values,
        }
        return {name: tensor.cpu().contiguous() for name, tensor in kept.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` returned.

        Raises:
            ValueError: If it is of another shape.
        """
        for name, mine in (
            ("minimum", self.minimum),
            ("maximum", self.maximum),
            ("values", self._values),
        ):
            if state[name].shape != mine.shape:
                raise ValueError(f"{name} have shape {tuple(state[name].shape)}")
            mine.copy_(state[name])
        self.count = int(state["count"])

    def _see(self, count: int, minimum: Tensor, maximum: Tensor) -> None:
        self.count += count
        if self.count > self._expected:
            raise ValueError(f"{self.count} values per unit; {self._expected} were announced")
        self.minimum = torch.minimum(self.minimum, minimum)
        self.maximum = torch.maximum(self.maximum, maximum)

    def _take(self, units: Tensor, values: Tensor) -> None:
        """Keep the greatest of what is kept and of values of shape (units, any number)."""
        candidates = torch.cat([self._values[units], values], dim=1)
        self._values[units] = candidates.topk(self._values.shape[1], dim=1).values


def quantile_of(
    units: int, q: float, expected: int, device: torch.device | str = "cpu"
) -> ExactTail | QuantileHistogram:
    """Return what finds a quantile of a stream: exactly, where few enough values decide it."""
    kind = ExactTail if rank_from_top(q, expected) <= LONGEST else QuantileHistogram
    return kind(units, q, expected, device)

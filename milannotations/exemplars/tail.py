"""An exact upper quantile of every unit's activations, for small ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def rank_from_top(q: float, count: int) -> int:
    """Return the rank from the top (1 is the greatest) of the q-quantile of ``count`` values."""
    return count - max(1, math.ceil(q * count)) + 1


class ExactTail:
    """An upper quantile, from the greatest values of each unit, all of which are stored.

    The quantile of a stream of ``n`` values is the one with rank ``n - ceil(q n) + 1`` from the
    top; values below it do not matter.

    Args:
        units: Number of units.
        q: The quantile, strictly between 0 and 1.
        expected: Number of values of each unit in the whole stream; fewer may come, not more.
        device: Where the values are stored.
        length: Number of values to store per unit; None stores as many as decide the quantile.

    Attributes:
        count: Number of values seen of each unit.
        minimum: Least activation of each unit, shape (units,).
        maximum: Greatest activation of each unit, shape (units,).
    """

    def __init__(
        self,
        units: int,
        q: float,
        expected: int,
        device: torch.device | str = "cpu",
        length: int | None = None,
    ) -> None:
        self.q = q
        self.count = 0
        self.minimum = torch.full((units,), torch.inf, device=device)
        self.maximum = torch.full((units,), -torch.inf, device=device)
        self._expected = expected
        length = rank_from_top(q, expected) if length is None else length
        self._values = torch.full((units, length), -torch.inf, device=device)  # descending

    @property
    def values(self) -> Tensor:
        """The greatest values of each unit, shape (units, length), descending; -inf where none."""
        return self._values

    def update(
        self, values: Tensor, minimum: Tensor, maximum: Tensor, ids: Tensor | None = None
    ) -> None:
        """Add values of shape (images, units, positions), given their extremes per unit.

        ``ids``, the indices of the images, are not used: no value that matters is left out.

        Raises:
            ValueError: If more values come than were announced.
        """
        self._see(values.shape[0] * values.shape[2], minimum, maximum)
        higher = (maximum > self._values[:, -1]).nonzero().squeeze(1)
        if len(higher):
            self._take(higher, values[:, higher].transpose(0, 1).flatten(1).float())

    def merge(self, other: ExactTail) -> None:
        """Add everything that another tail of the same units and stream has seen."""
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
        tensors = {
            "count": torch.tensor(self.count),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "values": self._values,
        }
        return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state`` returned.

        Raises:
            ValueError: If it has another shape.
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
        """Store the greatest of the stored values and of values of shape (units, any number)."""
        candidates = torch.cat([self._values[units], values], dim=1)
        self._values[units] = candidates.topk(self._values.shape[1], dim=1).values

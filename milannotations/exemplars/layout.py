"""How a layer's output becomes activation maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """How a layer's output becomes activation maps.

    Attributes:
        kind: ``spatial`` is N × units × height × width, ``channels_last`` is N × height × width ×
            units, ``tokens`` is N × tokens × units, ``vector`` is N × units: one activation per
            image.
        grid: Height and width in which tokens are laid out, row by row.
        prefix: How many tokens that are not of the grid (class and register tokens) come first.
    """

    kind: Literal["spatial", "channels_last", "tokens", "vector"]
    grid: tuple[int, int] | None = None
    prefix: int = 0

    def maps(self, output: Tensor) -> Tensor:
        """Return a layer's output as N × units × height × width, without copying it.

        Raises:
            ValueError: If the output cannot be laid out so.
        """
        if self.kind == "tokens":
            height, width = self.grid or (0, 0)
            if output.ndim != 3 or output.shape[1] != self.prefix + height * width:
                raise ValueError(
                    f"{_shape(output)} are not {self.prefix} + {height} × {width} tokens"
                )
            return output[:, self.prefix :].unflatten(1, (height, width)).permute(0, 3, 1, 2)
        if output.ndim != (2 if self.kind == "vector" else 4):
            raise ValueError(f"{_shape(output)} is not {self.kind.replace('_', ' ')}")
        if self.kind == "vector":
            return output[:, :, None, None]
        return output.permute(0, 3, 1, 2) if self.kind == "channels_last" else output


def _shape(output: Tensor) -> str:
    return " × ".join(str(length) for length in output.shape)

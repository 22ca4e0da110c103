"""How a layer's output becomes activation maps."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from milannotations.errors import InputError
from milannotations.hook_points.token_order import TokenOrder

_OTHER = "of another shape than their --layout says"
Kind = Literal["spatial", "channels_last", "tokens", "tokens_last", "vector"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SEQUENCES: tuple[Kind, ...] = ("tokens", "tokens_last")


class UnusableError(ValueError):
    """A layer's output that cannot become activation maps.

    The message follows the layer's name, as in ``'layer4.0.relu' is run 2 times …``.

    Attributes:
        reason: A short form that many layers have in common, as in ``8 run more than once``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnusableError], tuple[str, str]]:
        return type(self), (self.reason, str(self))


def reason_of(error: ValueError) -> str:
    """Return why a layer cannot be used, in a few words.

    >>> reason_of(UnusableError("not run", "is not run by the model's forward pass"))
    'not run'
    >>> reason_of(ValueError("gives 3 things: name one"))
    'gives 3 things'
    """
    if isinstance(error, UnusableError):
        return error.reason
    return re.split(r"[:;]", str(error))[0]


@dataclass(frozen=True)
class Layout:
    """How a layer's output becomes activation maps.

    Attributes:
        kind: ``spatial`` is N × units × height × width, ``channels_last`` is N × height × width ×
            units, ``tokens`` is N × tokens × units, ``tokens_last`` is N × units × tokens (as in
            one-dimensional convolutions), ``vector`` is N × units: one activation per image.
        grid: Height and width of the grid of tokens; for other kinds, of the output. None takes it
            from the output; the number of tokens must then be a square.
        prefix: Number of tokens before the grid (class and register tokens).
        order: Order in which the tokens run over the grid, as ``TokenOrder`` spells it: ``rows``,
            ``columns``, ``windows=7x7`` or ``strides=2x2.2x2``.

    Raises:
        InputError: If the kind is unknown, or a number is out of range.
    """

    kind: Kind
    grid: tuple[int, int] | None = None
    prefix: int = 0
    order: str = "rows"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"layout {self.kind!r}; known are {', '.join(KINDS)}")
        if self.grid is not None and (len(self.grid) != 2 or min(self.grid) < 1):
            raise InputError(f"a grid of {self.grid}; write it as (height, width), both above 0")
        if self.prefix < 0:
            raise InputError(f"{self.prefix} prefix tokens; there cannot be fewer than 0")
        if self.prefix and self.kind not in SEQUENCES:
            raise InputError(f"the layout {self.kind} has no prefix; only tokens have")
        if TokenOrder.parse(self.order).kind != "rows" and self.kind not in SEQUENCES:
            raise InputError(f"the layout {self.kind} has no order; only tokens have")

    def maps(self, output: Tensor) -> Tensor:
        """Return a layer's output as N × units × height × width.

        This is a view; a copy only if the order of tokens is ``windows`` or ``strides``.

        Raises:
            ValueError: If the output does not fit the layout; says what it is.
        """
        if self.kind in SEQUENCES:
            return self._from_tokens(output)
        if self.kind == "vector":
            if output.ndim != 2:
                raise UnusableError(_OTHER, f"gives {shape_of(output)}, but a vector is N × units")
            return output[:, :, None, None]
        if output.ndim != 4:
            axes = {"spatial": "N × units × height × width"}.get(
                self.kind, "N × height × width × units"
            )
            raise UnusableError(
                _OTHER, f"gives {shape_of(output)}, but the layout {self.kind} is {axes}"
            )
        maps = output.permute(0, 3, 1, 2) if self.kind == "channels_last" else output
        if self.grid is not None and tuple(maps.shape[2:]) != tuple(self.grid):
            height, width = self.grid
            raise UnusableError(
                _OTHER, f"gives {shape_of(output)}, whose maps are not {height} × {width}"
            )
        return maps

    def _from_tokens(self, output: Tensor) -> Tensor:
        if output.ndim != 3:
            axes = "N × tokens × units" if self.kind == "tokens" else "N × units × tokens"
            raise UnusableError(
                _OTHER,
                f"gives {shape_of(output)}, but {self.kind.replace('_', ' ')} are {axes}",
            )
        if self.kind == "tokens_last":
            output = output.transpose(1, 2)
        count = output.shape[1] - self.prefix
        side = math.isqrt(max(count, 0))
        height, width = self.grid or (side, side)
        if count < 1 or height * width != count:
            grid = f"{self.grid[0]} × {self.grid[1]}" if self.grid else "a square"
            raise UnusableError(
                _OTHER,
                f"gives {output.shape[1]} tokens, which are not {self.prefix} before a grid of "
                f"{grid}",
            )
        order = TokenOrder.parse(self.order)
        try:
            maps = order.on_grid(output[:, self.prefix :], height, width)
        except ValueError as error:
            raise UnusableError(_OTHER, str(error)) from error
        return maps.permute(0, 3, 1, 2)


def shape_of(tensor: Tensor) -> str:
    """Return a tensor's shape for people.

    >>> import torch
    >>> shape_of(torch.zeros(1, 197, 384))
    '1 × 197 × 384'
    """
    return " × ".join(str(length) for length in tensor.shape) or "a single number"

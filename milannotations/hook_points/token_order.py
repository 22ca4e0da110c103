"""The order in which a sequence of tokens runs over the image."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from milannotations.errors import InputError

Kind = Literal["rows", "columns", "strides", "windows"]
Sizes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TokenOrder:
    """The order in which tokens run over a grid.

    Attributes:
        kind: ``rows`` is row by row, the first row first. ``columns`` is column by column.
            ``windows`` is window by window, row by row in each. ``strides`` is the order of Hiera
            (Ryali et al., ICML 2023), whose pooling is along the slowest axis: first the offset
            within blocks of the first size, then the offset of these within blocks of the next
            size, and so on, then the remaining blocks row by row.
        sizes: Height and width of the window, or of the blocks, from fine to coarse.

    Raises:
        InputError: If the kind is unknown, or the sizes do not fit it.
    """

    kind: Kind = "rows"
    sizes: Sizes = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"token order {self.kind!r}; there are {', '.join(get_args(Kind))}")
        wanted = {"rows": range(1), "columns": range(1), "windows": range(1, 2)}
        if len(self.sizes) not in wanted.get(self.kind, range(1, 16)):
            raise InputError(
                f"token order {self.kind} with {len(self.sizes)} sizes; write rows, columns, "
                "windows=7x7 or strides=2x2.2x2"
            )
        if any(min(size) < 1 for size in self.sizes):
            raise InputError(f"token order {self}: sizes must be above 0")

    @classmethod
    def parse(cls, text: str) -> TokenOrder:
        """Read an order as ``str`` writes it.

        >>> TokenOrder.parse("strides=2x2.2x2").sizes
        ((2, 2), (2, 2))

        Raises:
            InputError: If it is not spelled like that.
        """
        match = re.fullmatch(
            r"([a-z]+)(?:=(\d{1,4}x\d{1,4}(?:\.\d{1,4}x\d{1,4})*))?", text, re.ASCII
        )
        if not match:
            raise InputError(
                f"token order {text!r}; write rows, columns, windows=7x7 or strides=2x2.2x2"
            )
        kind: Kind = match[1]  # type: ignore[assignment]  # checked by __post_init__
        pairs = [size.split("x") for size in (match[2] or "").split(".") if size]
        return cls(kind, tuple((int(height), int(width)) for height, width in pairs))

    def __str__(self) -> str:
        sizes = ".".join(f"{height}x{width}" for height, width in self.sizes)
        return f"{self.kind}={sizes}" if sizes else self.kind

    def fits(self, height: int, width: int) -> bool:
        """Return whether the sizes divide a grid."""
        rows = math.prod(size[0] for size in self.sizes)
        columns = math.prod(size[1] for size in self.sizes)
        return height % rows == 0 and width % columns == 0

    def on_grid(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Return N × tokens × … as N × height × width × ….

        A view if the order is by rows or columns; otherwise a copy.

        Raises:
            ValueError: If the sizes do not divide the grid.
        """
        if self.kind == "rows":
            return tokens.unflatten(1, (height, width))
        if self.kind == "columns":
            return tokens.unflatten(1, (width, height)).transpose(1, 2)
        if not self.fits(height, width):
            raise ValueError(f"is on a grid of {height} × {width}, which {self} does not divide")
        rows, columns = height, width
        for size in self.sizes:
            rows, columns = rows // size[0], columns // size[1]
        blocks = [length for size in self.sizes for length in size]
        if self.kind == "windows":
            axes = tokens.unflatten(1, (rows, columns, *blocks))
            order = [1, 3, 2, 4]
        else:
            axes = tokens.unflatten(1, (*blocks, rows, columns))
            number = len(self.sizes)
            coarse_to_fine = range(number, -1, -1)
            order = [2 * i + 1 for i in coarse_to_fine] + [2 * i + 2 for i in coarse_to_fine]
        rest = range(1 + len(order), axes.ndim)
        return axes.permute(0, *order, *rest).reshape(len(tokens), height, width, *tokens.shape[2:])


BY_ROWS = TokenOrder()


def usual_orders(height: int, width: int) -> list[TokenOrder]:
    """Return the orders in which networks lay out a grid of tokens; row by row comes first."""
    orders = [BY_ROWS, TokenOrder("columns")]
    # Blocks as large as the grid add nothing to the blocks within them.
    numbers = [number for number in range(1, 5) if 2**number < max(height, width)]
    strides = [TokenOrder("strides", ((2, 2),) * number) for number in numbers]
    sides = range(2, max(2, min(height, width)))
    windows = [TokenOrder("windows", ((side, side),)) for side in sides]
    return orders + [order for order in strides + windows if order.fits(height, width)]

"""How many units are ablated, in how many steps, and how often in random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from milannotations.errors import InputError


@dataclass(frozen=True)
class AblationSchedule:
    """How units are ablated.

    >>> AblationSchedule(steps=5).fraction
    0.5

    Attributes:
        fraction: Share of the units that are ablated after the last step.
        steps: Number of steps.
        trials: Number of random orders.
        ties: Number of orders that are drawn for a property on which units tie.
        seed: Seed of all random draws.

    Raises:
        InputError: If a value is out of range.
    """

    fraction: float = 0.5
    steps: int = 10
    trials: int = 20
    ties: int = 3
    seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction is {self.fraction}; it must be above 0 and at most 1")
        for name, least in (("steps", 1), ("trials", 2), ("ties", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")

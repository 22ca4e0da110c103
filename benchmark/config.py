"""Options that several commands of the benchmark share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from milannotations.command_options import Config


class BootstrapConfig(Config):
    """How intervals are estimated.

    Attributes:
        resamples: Bootstrap resamples.
        seed: Seed of all that is drawn.
    """

    resamples: Annotated[int, Field(ge=1000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0

"""How activation maps become masks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Masking:
    """How activation maps become masks.

    Attributes:
        quantile: Share of the activations that lie above a unit's threshold.
        upsampling: How maps are brought to the size of the label maps; see
            ``baselines.concepts.upsampling``.
        over: Which activations the threshold is a quantile of: ``maps``, or ``upsampled`` maps.
        threshold: One threshold for all units in place of a quantile.
    """

    quantile: float = 0.005
    upsampling: str = "pillow"
    over: str = "maps"
    threshold: float | None = None

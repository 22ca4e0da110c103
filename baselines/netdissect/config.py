"""Settings of Network Dissection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from baselines.concepts.config import DissectorConfig
from baselines.concepts.label_text import milan_label, plain
from baselines.concepts.masking import Masking
from baselines.netdissect.variants import VARIANTS, Variant
from milannotations.describer_config import at_least, one_of

TEXTS: dict[str, Callable[[str], str]] = {"milan": milan_label, "english": plain, "label": str}


class NetDissectConfig(DissectorConfig):
    """Settings of Network Dissection.

    >>> NetDissectConfig(concepts="worlds:0:50", variant="segmenter").masking.quantile
    0.01

    Attributes:
        variant: Which of the published implementations is followed: ``original``, ``lite`` or
            ``segmenter``; see ``baselines.netdissect.variants``.
        quantile: Share of the activations above a unit's threshold; default the variant's.
        threshold: One activation threshold for all units in place of a quantile.
        text: ``milan``: as the MILAN paper compares labels; ``english``: without the suffixes of
            the data set; or ``label``: as the data set has them.
        top: How many labels to name; the first is the description.
    """

    variant: Annotated[str, one_of(VARIANTS)] = "lite"
    quantile: float | None = None
    threshold: float | None = None
    text: Annotated[str, one_of(TEXTS)] = "milan"
    top: Annotated[int, at_least(1)] = 10

    @property
    def implementation(self) -> Variant:
        """The settings of the published implementation."""
        return VARIANTS[self.variant]

    @property
    def masking(self) -> Masking:
        """How activation maps become masks."""
        variant = self.implementation
        return Masking(
            quantile=variant.quantile if self.quantile is None else self.quantile,
            upsampling=variant.upsampling,
            over=variant.over,
            threshold=self.threshold,
        )

    @property
    def label_shape(self) -> tuple[int, int] | None:
        """Height and width of the label maps; None for the data's own, or else 112 × 112."""
        return self.implementation.shape

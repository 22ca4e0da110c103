"""The three published codes of Network Dissection, each with its own settings and score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Variant:
    """What a published code does.

    Attributes:
        name: The variant.
        quantile: Share of the activations above a unit's threshold.
        upsampling: See ``baselines.concepts.upsampling``.
        over: Whether the threshold is a quantile of the ``maps``, or of the ``upsampled`` maps.
        shape: Height and width of the label maps; None for the data's own.
        gate: Which images' activated pixels count against a label: those that hold any label of
            its category (``image``), those where such a label and the mask overlap (``mask``), or
            None for all.
        multiplicity: Whether a label counts twice where two channels give it to a pixel.
        epsilon: Added to the union.
        at_bar: Whether an IoU that is the bar itself makes a detector.
        source: Where this is from.
    """

    name: str
    quantile: float
    upsampling: str
    over: Literal["maps", "upsampled"]
    shape: tuple[int, int] | None
    gate: Literal["image", "mask"] | None
    multiplicity: bool
    epsilon: float
    at_bar: bool
    source: str


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(
            "original", 0.005, "fieldmap", "maps", None, "image", True, 1e-20, True,
            "CSAILVision/NetDissect: labelprobe.py, makeresult.py, rundissect.sh",
        ),
        Variant(
            "lite", 0.005, "pillow", "maps", None, "mask", True, 1e-10, True,
            "CSAILVision/NetDissect-Lite: feature_operation.py, settings.py",
        ),
        Variant(
            "segmenter", 0.01, "grid", "upsampled", (56, 56), None, False, 0.0, False,
            "davidbau/dissect: dissect_experiment.py, tally.py; used for the MILAN paper's table",
        ),
    )
}  # fmt: skip

"""The three published implementations of Network Dissection, whose settings and scores differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Variant:
    """Settings of a published implementation.

    Attributes:
        name: Name of the variant.
        quantile: Share of the activations above a unit's threshold.
        upsampling: See ``baselines.concepts.upsampling``.
        over: Whether the threshold is a quantile of the ``maps`` or of the ``upsampled`` maps.
        shape: Height and width of the label maps; None for the data's own.
        gate: Images whose activated pixels count in the union with a label: those with any label of
            its category (``image``), those where such a label and the mask overlap (``mask``), or
            None for all.
        multiplicity: Whether a label counts twice where two channels give it to a pixel.
        epsilon: Added to the union.
        at_bar: Whether an IoU equal to the bar makes a detector.
        source: The published code.
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

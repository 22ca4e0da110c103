"""The Network Dissection describer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.concepts.counting import Masking
from baselines.concepts.dissector import NOTHING, Dissector
from baselines.concepts.label_text import milan_label, plain
from baselines.concepts.tally import Tally
from baselines.netdissect.detector_report import write_report
from baselines.netdissect.scores import UnitResult, detect
from baselines.netdissect.variants import VARIANTS, Variant
from milannotations.describer import Description
from milannotations.errors import InputError, did_you_mean

TEXTS: dict[str, Callable[[str], str]] = {"milan": milan_label, "english": plain, "label": str}


class NetDissect(Dissector):
    """Describe a unit with the label that its masks overlap most (Bau et al., CVPR 2017).

    Args:
        concepts: Labelled images; see ``baselines.concepts.names``.
        variant: One of ``VARIANTS``: which published code the numbers are those of.
        quantile: Share of the activations above a unit's threshold; default the variant's.
        threshold: One activation threshold for all units instead.
        text: ``milan``: as the MILAN paper compares labels; ``english``: without the data's marks;
            or ``label``: as the data has them.
        top: How many concepts to name; the first is the description.
        options: See ``Dissector``.

    Raises:
        InputError: If an option makes no sense.
    """

    def __init__(
        self,
        concepts: str = "",
        variant: str = "lite",
        quantile: float | None = None,
        threshold: float | None = None,
        text: str = "milan",
        top: int = 10,
        **options: Any,
    ) -> None:
        self.variant = chosen(variant)
        if text not in TEXTS:
            raise InputError(f"text {text!r}{did_you_mean(text, TEXTS)}: one of {', '.join(TEXTS)}")
        if top < 1:
            raise InputError(f"top is {top}; it must be at least 1")
        self._said, self._top = TEXTS[text], top
        masking = Masking(
            quantile=self.variant.quantile if quantile is None else float(quantile),
            upsampling=self.variant.upsampling,
            over=self.variant.over,
            threshold=None if threshold is None else float(threshold),
        )
        super().__init__(concepts, masking=masking, shape=self.variant.shape, **options)

    def describe_units(self, tally: Tally, units: Sequence[int]) -> list[Description]:
        """Return each unit's best label; a dead one is described as ``nothing``."""
        results = self.results(tally)
        return [self._description(results[unit]) for unit in units]

    def report(self, tallies: Mapping[str, Tally], folder: Path) -> list[str]:
        """See ``baselines.netdissect.detector_report.write_report``."""
        results = {layer: self.results(tally) for layer, tally in tallies.items()}
        settings = {"variant": self.variant.name, **vars(self.masking)}
        facts = self.facts("netdissect", settings)
        pictures = {
            layer: self.pictures(tally, _strongest_first(results[layer]))
            for layer, tally in tallies.items()
        }
        return write_report(
            folder, facts, results, self.concepts.partition.categories, self.variant,
            pictures=pictures,
        )  # fmt: skip

    def results(self, tally: Tally) -> list[UnitResult]:
        """Return the scores of all units of a layer."""
        return detect(self.concepts.partition, tally, self.variant, self._top)

    def _description(self, result: UnitResult) -> Description:
        if result.best is None:
            return Description(text=NOTHING, score=0.0)
        texts = list(dict.fromkeys(self._said(match.name) for match in result.top))
        return Description(text=texts[0], score=result.best.iou, alternatives=tuple(texts[1:]))


def _strongest_first(results: Sequence[UnitResult]) -> list[int]:
    return [r.unit for r in sorted(results, key=lambda r: -(r.best.iou if r.best else 0))]


def chosen(name: str) -> Variant:
    """Return the variant of that name; raise InputError if there is none."""
    if name not in VARIANTS:
        hint = did_you_mean(name, VARIANTS)
        raise InputError(f"variant {name!r}{hint}: one of {', '.join(VARIANTS)}")
    return VARIANTS[name]

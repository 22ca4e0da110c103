"""The Network Dissection describer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from baselines.concepts.dissector import NOTHING, Dissector
from baselines.concepts.tally import Tally
from baselines.netdissect.config import TEXTS, NetDissectConfig
from baselines.netdissect.detector_report import write_report
from baselines.netdissect.scores import UnitResult, detect
from milannotations.describer import Description


class NetDissect(Dissector[NetDissectConfig]):
    """Describe a unit with the label that its masks overlap most (Bau et al., CVPR 2017).

    The settings are those of ``NetDissectConfig``.
    """

    config_type = NetDissectConfig

    def describe_units(self, tally: Tally, units: Sequence[int]) -> list[Description]:
        """Return each unit's best label; a dead one is described as ``nothing``."""
        results = self.results(tally)
        return [self._description(results[unit]) for unit in units]

    def report(self, tallies: Mapping[str, Tally], folder: Path) -> list[str]:
        """See ``baselines.netdissect.detector_report.write_report``."""
        results = {layer: self.results(tally) for layer, tally in tallies.items()}
        settings = {"variant": self.config.variant, **vars(self.config.masking)}
        facts = self.facts("netdissect", settings)
        pictures = {
            layer: self.pictures(tally, _strongest_first(results[layer]))
            for layer, tally in tallies.items()
        }
        return write_report(
            folder, facts, results, self.concepts.partition.categories, self.config.implementation,
            pictures=pictures,
        )  # fmt: skip

    def results(self, tally: Tally) -> list[UnitResult]:
        """Return the scores of all units of a layer."""
        return detect(self.concepts.partition, tally, self.config.implementation, self.config.top)

    def _description(self, result: UnitResult) -> Description:
        if result.best is None:
            return Description(text=NOTHING, score=0.0)
        written = TEXTS[self.config.text]
        texts = list(dict.fromkeys(written(match.name) for match in result.top))
        return Description(text=texts[0], score=result.best.iou, alternatives=tuple(texts[1:]))


def _strongest_first(results: Sequence[UnitResult]) -> list[int]:
    return [r.unit for r in sorted(results, key=lambda r: -(r.best.iou if r.best else 0))]

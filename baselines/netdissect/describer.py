"""The Network Dissection describer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from baselines.concepts.dissector import Dissector
from baselines.concepts.label_text import NOTHING
from baselines.concepts.tally import Tally
from baselines.netdissect.config import TEXTS, NetDissectConfig
from baselines.netdissect.detector_report import write_report
from baselines.netdissect.scores import UnitResult, detect
from milannotations.describer import Description


class NetDissect(Dissector[NetDissectConfig, UnitResult]):
    """Describe a unit with the label that its masks overlap most (Bau et al., CVPR 2017).

    The settings are those of ``NetDissectConfig``. A unit that is never activated is described as
    ``nothing``.

    >>> NetDissect(concepts="worlds:0:5", variant="original").config.masking.upsampling
    'fieldmap'
    """

    config_type = NetDissectConfig

    def results(self, tally: Tally, units: Sequence[int]) -> list[UnitResult]:
        """Return the labels and scores of some units of a layer."""
        partition, variant = self.concepts.partition, self.config.implementation
        every = detect(partition, tally, variant, self.config.top)
        return [every[unit] for unit in units]

    def description(self, result: UnitResult) -> Description:
        """Describe a unit with its best label."""
        if result.best is None:
            return Description(text=NOTHING, score=0.0)
        written = TEXTS[self.config.text]
        texts = list(dict.fromkeys(written(match.name) for match in result.top))
        return Description(text=texts[0], score=result.iou, alternatives=tuple(texts[1:]))

    def write_report(
        self,
        folder: Path,
        results: Mapping[str, Sequence[UnitResult]],
        pictures: Mapping[str, Mapping[int, str]],
    ) -> list[str]:
        """See ``baselines.netdissect.detector_report.write_report``."""
        settings = {"variant": self.config.variant, **vars(self.config.masking)}
        return write_report(
            folder,
            self.facts("netdissect", settings),
            results,
            self.concepts.partition.categories,
            self.config.implementation,
            pictures=pictures,
        )

"""The describer of Compositional Explanations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from baselines.compexp.beam import BeamSearchConfig, SearchResult, Space, search
from baselines.compexp.config import CompExpConfig
from baselines.compexp.english import english
from baselines.compexp.explanation import Explanation, ExplanationCache
from baselines.compexp.formula import Formula, parse
from baselines.compexp.formula_report import write_report
from baselines.compexp.proofs import AT_ONCE, prove
from baselines.concepts.dissector import NOTHING, Dissector
from baselines.concepts.hierarchy import read_hierarchy, with_groups
from baselines.concepts.label_text import milan_formula
from baselines.concepts.partition import Partition
from baselines.concepts.tally import Tally
from milannotations.describer import Description
from milannotations.progress import Bar, progress_bar

_UNITS = 32  # between two savings


class CompExp(Dissector[CompExpConfig]):
    """Describe a unit with a formula over labels (Mu and Andreas, NeurIPS 2020).

    The settings are those of ``CompExpConfig``.
    """

    config_type = CompExpConfig

    def describe_units(self, tally: Tally, units: Sequence[int]) -> list[Description]:
        """Return each unit's best formula; one that no label overlaps is ``nothing``."""
        return [self._description(one) for one in self.explanations(tally, units)]

    def report(self, tallies: Mapping[str, Tally], folder: Path) -> list[str]:
        """See ``baselines.compexp.formula_report.write_report``."""
        found = {
            layer: self.explanations(tally, range(tally.units)) for layer, tally in tallies.items()
        }
        config = self.config
        settings = {"search": config.search, **vars(self._options), **vars(config.masking)}
        settings |= {"seconds": config.seconds, "hierarchy": sorted(self._groups) or None}
        pictures = {
            layer: self.pictures(
                tally, [one.unit for one in sorted(found[layer], key=lambda one: -one.iou)]
            )
            for layer, tally in tallies.items()
        }
        return write_report(folder, self.facts("compexp", settings), found, pictures)

    def explanations(self, tally: Tally, units: Sequence[int]) -> list[Explanation]:
        """Return the explanations of some units; those found before are only read."""
        identity = {
            "labels": self.concepts.content,
            "search": self.config.search,
            "options": vars(self._options),
            "seconds": self.config.seconds,
            "groups": self._groups,
        }
        kept = ExplanationCache(self.work, tally, identity)
        waiting = [unit for unit in units if unit not in kept.found]
        with progress_bar() as progress:
            bar = Bar(progress, f"Formulas of {tally.layer}", len(units))
            bar.advance(len(units) - len(waiting))
            # Proofs can take long, so no more of them are at stake than run at once.
            proving = self.config.search == "optimal"
            step = AT_ONCE * (os.cpu_count() or 1) if proving else _UNITS
            for first in range(0, len(waiting), step):
                some = waiting[first : first + step]
                kept.add(self._explained(tally, some, bar))
        return [kept.found[unit] for unit in units]

    def _explained(self, tally: Tally, units: list[int], bar: Bar) -> list[Explanation]:
        counts = tally.counts[units]
        proving = self.config.search == "optimal"
        found = search(
            self._space, counts, self._options,
            advance=(lambda _: None) if proving else bar.advance,
        )  # fmt: skip
        explained = [self._explanation(unit, f) for unit, f in zip(units, found, strict=True)]
        if not proving:
            return explained
        proofs = prove(
            self._space, counts, [f.formula for f in found], self._options.length,
            self.config.seconds, bar.advance,
        )  # fmt: skip
        return [
            one.model_copy(
                update=self._facts(proof.formula, proof.iou)
                | {"proved": proof.proved, "bound": proof.bound}
            )
            for one, proof in zip(explained, proofs, strict=True)
        ]

    def _explanation(self, unit: int, found: SearchResult) -> Explanation:
        names, categories = self._names()
        return Explanation(
            unit=unit,
            **self._facts(found.formula, found.iou),
            alternatives=tuple((f.text(names), iou) for f, iou in found.alternatives),
            single=found.best_single.text(names),
            single_category=found.best_single.text(categories),
            single_iou=found.single_iou,
        )

    def _facts(self, formula: Formula, iou: float) -> dict[str, Any]:
        names, categories = self._names()
        return {
            "formula": formula.text(names),
            "english": english(formula, names, categories),
            "category": formula.text(categories),
            "iou": iou,
            "length": formula.length,
        }

    def _names(self) -> tuple[list[str], list[str]]:
        concepts = self._partition.concepts
        return [c.name for c in concepts], [c.category for c in concepts]

    @cached_property
    def _options(self) -> BeamSearchConfig:
        config = self.config
        return BeamSearchConfig(
            config.beam,
            config.length,
            config.penalty,
            config.candidates,
            distinct=config.search != "published",
        )

    @cached_property
    def _groups(self) -> dict[str, tuple[int, ...]]:
        if not self.config.hierarchy:
            return {}
        return read_hierarchy(Path(self.config.hierarchy), self.concepts.partition.concepts)

    @cached_property
    def _partition(self) -> Partition:
        partition = self.concepts.partition
        return with_groups(partition, self._groups) if self._groups else partition

    @cached_property
    def _space(self) -> Space:
        return Space(self._partition.holds, self._partition.areas)

    def _description(self, one: Explanation) -> Description:
        if one.iou == 0:
            return Description(text=NOTHING, score=0.0)

        def said(formula: str) -> str:
            if self.config.text == "english":
                names, categories = self._names()
                return english(parse(formula, names), names, categories)
            return milan_formula(formula) if self.config.text == "milan" else formula

        texts = list(dict.fromkeys([said(one.formula), *(said(f) for f, _ in one.alternatives)]))
        return Description(text=texts[0], score=one.iou, alternatives=tuple(texts[1:]))

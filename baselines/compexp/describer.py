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
from baselines.concepts.dissector import Dissector
from baselines.concepts.hierarchy import read_hierarchy, with_groups
from baselines.concepts.label_text import NOTHING, milan_formula
from baselines.concepts.partition import Partition
from baselines.concepts.tally import Tally
from milannotations.describer import Description
from milannotations.progress import Bar, progress_task

_UNITS = 32  # units between two savings


class CompExp(Dissector[CompExpConfig, Explanation]):
    """Describe a unit with a formula over labels (Mu and Andreas, NeurIPS 2020).

    The settings are those of ``CompExpConfig``. A unit that no label overlaps is described as
    ``nothing``.

    >>> CompExp(concepts="worlds:0:5", length=2).config.search
    'published'
    """

    config_type = CompExpConfig

    def results(self, tally: Tally, units: Sequence[int]) -> list[Explanation]:
        """Return the explanations of some units; those of earlier runs are read from disk."""
        identity = {
            "labels": self.concepts.content,
            "search": self.config.search,
            "options": vars(self._options),
            "seconds": self.config.seconds,
            "groups": self._groups,
        }
        cache = ExplanationCache(self.work, tally, identity)
        missing = [unit for unit in units if unit not in cache.explanations]
        with progress_task(f"Formulas of {tally.layer}", len(units)) as bar:
            bar.advance(len(units) - len(missing))
            # Proofs can take long: each is saved as soon as those that run beside it are done.
            step = AT_ONCE * (os.cpu_count() or 1) if self._proves else _UNITS
            for first in range(0, len(missing), step):
                cache.add(self._explain(tally, missing[first : first + step], bar))
        return [cache.explanations[unit] for unit in units]

    def description(self, result: Explanation) -> Description:
        """Describe a unit with its best formula."""
        if result.iou == 0:
            return Description(text=NOTHING, score=0.0)
        formulas = [result.formula, *(formula for formula, _ in result.alternatives)]
        texts = list(dict.fromkeys(map(self._text, formulas)))
        return Description(text=texts[0], score=result.iou, alternatives=tuple(texts[1:]))

    def write_report(
        self,
        folder: Path,
        results: Mapping[str, Sequence[Explanation]],
        pictures: Mapping[str, Mapping[int, str]],
    ) -> list[str]:
        """See ``baselines.compexp.formula_report.write_report``."""
        config = self.config
        settings = {"search": config.search, **vars(self._options), **vars(config.masking)}
        settings |= {"seconds": config.seconds, "hierarchy": sorted(self._groups) or None}
        return write_report(folder, self.facts("compexp", settings), results, pictures)

    @property
    def _proves(self) -> bool:
        return self.config.search == "optimal"

    def _explain(self, tally: Tally, units: list[int], bar: Bar) -> list[Explanation]:
        counts = tally.counts[units]
        advance = (lambda _: None) if self._proves else bar.advance
        searched = search(self._space, counts, self._options, advance=advance)
        explanations = [self._explanation(u, s) for u, s in zip(units, searched, strict=True)]
        if not self._proves:
            return explanations
        starts, config = [result.formula for result in searched], self.config
        proofs = prove(self._space, counts, starts, config.length, config.seconds, bar.advance)
        return [
            explanation.model_copy(
                update=self._facts(proof.formula, proof.iou)
                | {"proved": proof.proved, "bound": proof.bound}
            )
            for explanation, proof in zip(explanations, proofs, strict=True)
        ]

    def _explanation(self, unit: int, result: SearchResult) -> Explanation:
        names, categories = self._names()
        return Explanation(
            unit=unit,
            **self._facts(result.formula, result.iou),
            alternatives=tuple((f.text(names), iou) for f, iou in result.alternatives),
            single=result.best_single.text(names),
            single_category=result.best_single.text(categories),
            single_iou=result.single_iou,
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

    def _text(self, formula: str) -> str:
        if self.config.text == "english":
            names, categories = self._names()
            return english(parse(formula, names), names, categories)
        return milan_formula(formula) if self.config.text == "milan" else formula

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

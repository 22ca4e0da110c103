"""The describer of Compositional Explanations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from baselines.compexp.beam import BeamSearchConfig, SearchResult, Space, search
from baselines.compexp.english import english
from baselines.compexp.explanation import Explanation, ExplanationCache
from baselines.compexp.formula import Formula, parse
from baselines.compexp.formula_report import write_report
from baselines.compexp.proofs import AT_ONCE, prove
from baselines.concepts.counting import Masking
from baselines.concepts.dissector import NOTHING, Dissector
from baselines.concepts.hierarchy import read_hierarchy, with_groups
from baselines.concepts.label_text import milan_formula
from baselines.concepts.partition import Partition
from baselines.concepts.tally import Tally
from milannotations.describer import Description
from milannotations.errors import InputError, did_you_mean
from milannotations.progress import Bar, progress_bar

SEARCHES = ("published", "distinct", "optimal")
TEXTS = ("milan", "english", "formula")
_UNITS = 32  # between two savings


class CompExp(Dissector):
    """Describe a unit with a formula over labels (Mu and Andreas, NeurIPS 2020).

    Args:
        concepts: Labelled images; see ``baselines.concepts.names``.
        search: ``published``: the beam search as it was published; ``distinct``: the same with
            formulas of the same meaning counted once; ``optimal``: the best formula there is,
            proved, or as far as ``seconds`` allow.
        length: Most labels in a formula.
        beam: Formulas kept from round to round.
        penalty: Each label more multiplies the score by it (the original counts NOT too).
        candidates: Only so many of the best single labels are joined to formulas; default all.
        seconds: How long ``optimal`` may look at one unit; default as long as it takes.
        quantile: Share of the activations above a unit's threshold.
        threshold: One activation threshold for all units instead.
        hierarchy: A CSV file of broader concepts; see ``baselines.concepts.hierarchy``.
        text: ``milan``: as the MILAN paper compares formulas; ``english``; or ``formula``.
        options: See ``Dissector``.

    Raises:
        InputError: If an option makes no sense.
    """

    def __init__(
        self,
        concepts: str = "",
        search: str = "published",
        length: int = 3,
        beam: int = 5,
        penalty: float = 1.0,
        candidates: int | None = None,
        seconds: float | None = None,
        quantile: float = 0.005,
        threshold: float | None = None,
        hierarchy: str | None = None,
        text: str = "milan",
        **options: Any,
    ) -> None:
        for name, value, known in (("search", search, SEARCHES), ("text", text, TEXTS)):
            if value not in known:
                hint = did_you_mean(value, known)
                raise InputError(f"{name} {value!r}{hint}: one of {', '.join(known)}")
        for name, least in (("length", length), ("beam", beam), ("candidates", candidates)):
            if least is not None and least < 1:
                raise InputError(f"{name} is {least}; it must be at least 1")
        if not 0 < penalty <= 1:
            raise InputError(f"penalty is {penalty}; it must be above 0 and at most 1")
        if search == "optimal" and penalty != 1:
            raise InputError("the optimal search knows no penalty; leave it out")
        if seconds is not None and (search != "optimal" or seconds <= 0):
            raise InputError(f"seconds={seconds}: a positive time, for search=optimal only")
        self._hierarchy = Path(hierarchy) if hierarchy else None
        self._search, self._text, self._seconds = search, text, seconds
        self._options = BeamSearchConfig(
            beam, length, penalty, candidates, distinct=search != "published"
        )
        masking = Masking(
            quantile=float(quantile), threshold=None if threshold is None else float(threshold)
        )
        super().__init__(concepts, masking=masking, **options)

    def describe_units(self, tally: Tally, units: Sequence[int]) -> list[Description]:
        """Return each unit's best formula; one that no label overlaps is ``nothing``."""
        return [self._description(one) for one in self.explanations(tally, units)]

    def report(self, tallies: Mapping[str, Tally], folder: Path) -> list[str]:
        """See ``baselines.compexp.formula_report.write_report``."""
        found = {
            layer: self.explanations(tally, range(tally.units)) for layer, tally in tallies.items()
        }
        settings = {"search": self._search, **vars(self._options), **vars(self.masking)}
        settings |= {"seconds": self._seconds, "hierarchy": sorted(self._groups) or None}
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
            "search": self._search,
            "options": vars(self._options),
            "seconds": self._seconds,
            "groups": self._groups,
        }
        kept = ExplanationCache(self.work, tally, identity)
        waiting = [unit for unit in units if unit not in kept.found]
        with progress_bar() as progress:
            bar = Bar(progress, f"Formulas of {tally.layer}", len(units))
            bar.advance(len(units) - len(waiting))
            # Proofs can take long, so no more of them are at stake than run at once.
            proving = self._search == "optimal"
            step = AT_ONCE * (os.cpu_count() or 1) if proving else _UNITS
            for first in range(0, len(waiting), step):
                some = waiting[first : first + step]
                kept.add(self._explained(tally, some, bar))
        return [kept.found[unit] for unit in units]

    def _explained(self, tally: Tally, units: list[int], bar: Bar) -> list[Explanation]:
        counts = tally.counts[units]
        proving = self._search == "optimal"
        found = search(
            self._space, counts, self._options,
            advance=(lambda _: None) if proving else bar.advance,
        )  # fmt: skip
        explained = [self._explanation(unit, f) for unit, f in zip(units, found, strict=True)]
        if not proving:
            return explained
        proofs = prove(
            self._space, counts, [f.formula for f in found], self._options.length,
            self._seconds, bar.advance,
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
    def _groups(self) -> dict[str, tuple[int, ...]]:
        if self._hierarchy is None:
            return {}
        return read_hierarchy(self._hierarchy, self.concepts.partition.concepts)

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
            if self._text == "english":
                names, categories = self._names()
                return english(parse(formula, names), names, categories)
            return milan_formula(formula) if self._text == "milan" else formula

        texts = list(dict.fromkeys([said(one.formula), *(said(f) for f, _ in one.alternatives)]))
        return Description(text=texts[0], score=one.iou, alternatives=tuple(texts[1:]))

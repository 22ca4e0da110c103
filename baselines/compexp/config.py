"""Settings of Compositional Explanations."""

from __future__ import annotations

from typing import Annotated

from pydantic import model_validator

from baselines.concepts.config import DissectorConfig
from baselines.concepts.masking import Masking
from milannotations.describer_config import at_least, one_of
from milannotations.errors import InputError

SEARCHES = ("published", "distinct", "optimal")
TEXTS = ("milan", "english", "formula")


class CompExpConfig(DissectorConfig):
    """Settings of Compositional Explanations.

    >>> CompExpConfig(concepts="worlds:0:50", length=2).masking.quantile
    0.005

    Attributes:
        search: ``published``: the beam search as it was published; ``distinct``: the same, but
            formulas that cover the same pixels are counted once; ``optimal``: the best formula
            that exists, with a proof, or the best that ``seconds`` allow.
        length: Labels in the longest formula.
        beam: Formulas kept from round to round.
        penalty: The score is multiplied by it for each label after the first (and, as in the
            original, for each NOT).
        candidates: How many of the best single labels may be added to formulas; default all.
        seconds: Longest search for one unit with ``optimal``; default no limit.
        quantile: Share of the activations above a unit's threshold.
        threshold: One activation threshold for all units in place of a quantile.
        hierarchy: A CSV file of broader concepts; see ``baselines.concepts.hierarchy``.
        text: ``milan``: as the MILAN paper compares formulas; ``english``; or ``formula``.
    """

    search: Annotated[str, one_of(SEARCHES)] = "published"
    length: Annotated[int, at_least(1)] = 3
    beam: Annotated[int, at_least(1)] = 5
    penalty: float = 1.0
    candidates: Annotated[int | None, at_least(1)] = None
    seconds: float | None = None
    quantile: float = 0.005
    threshold: float | None = None
    hierarchy: str | None = None
    text: Annotated[str, one_of(TEXTS)] = "milan"

    @model_validator(mode="after")
    def _is_consistent(self) -> CompExpConfig:
        if not 0 < self.penalty <= 1:
            raise InputError(f"penalty is {self.penalty}; it must be above 0 and at most 1")
        if self.search == "optimal" and self.penalty != 1:
            raise InputError("search=optimal takes no penalty; leave it out")
        if self.seconds is not None and (self.search != "optimal" or self.seconds <= 0):
            raise InputError(f"seconds={self.seconds}: a positive time, for search=optimal only")
        return self

    @property
    def masking(self) -> Masking:
        """How activation maps become masks."""
        return Masking(quantile=self.quantile, threshold=self.threshold)

"""The results of the sanity checks: one JSON per split, beside the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from benchmark.result import MAX_RESULT_BYTES
from milannotations.json_files import StrictModel, read_model
from milannotations.storage import atomic_path

FOLDER = "sanity"


class CheckOutcome(StrictModel):
    """The result of one check.

    Attributes:
        value: On the scale from 0 (a person's annotations at the wrong neurons) to 1 (at their
            own); None if the metric has no such scale.
        low: Lower end of its 95 % bootstrap interval over neurons.
        high: Upper end of the interval.
        passed: Whether the value is on the good side of the check's bound.
        score: The value of the metric itself.
        detail: The description, if it is the same for all neurons.

    >>> CheckOutcome(value=0.02, low=0.0, high=0.04, passed=True, score=0.5).passed
    True
    """

    value: float | None
    low: float | None
    high: float | None
    passed: bool
    score: float | None
    detail: str = Field(default="", max_length=300)


class MetricSanity(StrictModel):
    """All checks of one metric.

    Attributes:
        title: Title of the metric.
        signature: Signature of the metric.
        human: Its value for people, with one annotation held out.
        wrong: Its value for the same annotations at the wrong neurons.
        tells_people: Whether ``human`` is better than ``wrong``: the interval of their difference
            excludes 0.
        checks: Results by name of the check.
        ladder: Kendall's τ with true quality, by what replaces the descriptions; see
            ``benchmark.sanity.ladder``.
        passed: Whether people differ from chance and every required check is passed. Only then may
            the metric be the main metric of a board.
    """

    title: str
    signature: str
    human: float | None
    wrong: float | None
    tells_people: bool
    checks: dict[str, CheckOutcome]
    ladder: dict[str, float] = Field(default_factory=dict)
    passed: bool


class SanityReport(StrictModel):
    """The results of the checks of several metrics on one split."""

    schema_version: Literal[1] = 1
    split: str
    fingerprint: str
    neurons: int = Field(ge=2)
    seed: int
    metrics: dict[str, MetricSanity]

    def path_below(self, results: Path) -> Path:
        """Return the report's file in a folder of results."""
        return results / FOLDER / f"{self.split}.json"

    def save(self, results: Path) -> Path:
        """Write the report into a subfolder of the results and return its path."""
        target = self.path_below(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as path:
            path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return target


def read_reports(results: Path) -> dict[str, SanityReport]:
    """Read the reports in a folder of results, by split.

    Raises:
        InputError: Names the file and what is wrong with it.
    """
    reports: dict[str, SanityReport] = {}
    for path in sorted((results / FOLDER).glob("*.json")):
        report = read_model(path, SanityReport, whole="report", limit=MAX_RESULT_BYTES)
        reports[report.split] = report
    return reports

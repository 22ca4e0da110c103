"""Runs the sanity checks on metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmark.harness import Task
from benchmark.intervals import RESAMPLES, Interval, interval
from benchmark.metrics.base import Floats, Metric, PredictionsByFold
from benchmark.metrics.corrected import Corrected
from benchmark.references import HELD_OUT
from benchmark.sanity.adversaries import ADVERSARIES, constants, human, reassigned
from benchmark.sanity.best_constant import BestConstant, best_constant
from benchmark.sanity.check_results import CheckOutcome, MetricSanity, SanityReport
from benchmark.sanity.checks import CHECKS, CONSTANT
from benchmark.sanity.ladder import ladder
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint

_HUMAN, _WRONG = "human", "wrong"
_TURNS = 8  # of assigning annotations to wrong neurons; in small layers a single one is noisy


def check_metrics(
    task: Task,
    metrics: Sequence[Metric],
    resamples: int = RESAMPLES,
    seed: int = 0,
    notify: Callable[[str], None] = lambda _: None,
) -> SanityReport:
    """Run every check on every metric.

    Args:
        task: The split with the annotations that the checks are made from.
        metrics: The metrics to check. The best constant of a chance-corrected metric is that of the
            metric it corrects.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of everything drawn for the checks.
        notify: Called with a line before each long step.

    Raises:
        InputError: If the split has too few annotated neurons, or the task holds no annotation
            out.
    """
    if task.protocol != HELD_OUT:
        raise InputError(f"{task.name}: the checks need the protocol {HELD_OUT}")
    if len(task.positions) < 2:
        raise InputError(f"{task.name}: fewer than two neurons have the two annotations needed")
    references = task.references
    predictions: dict[str, PredictionsByFold] = {_HUMAN: human(references)}
    predictions |= {
        f"{_WRONG}-{turn}": reassigned(references, seed, turn) for turn in range(_TURNS)
    }
    predictions |= {name: make(references, seed) for name, make in ADVERSARIES.items()}
    candidates = constants(references)
    best_constants: dict[str, BestConstant] = {}
    checked: dict[str, MetricSanity] = {}
    for metric in metrics:
        base = metric.base if isinstance(metric, Corrected) else metric
        if base.name not in best_constants:
            notify(f"{base.info.title}: searching for the best constant")
            best_constants[base.name] = best_constant(base, references, candidates, seed)
        notify(f"{metric.info.title}: checks")
        best = best_constants[base.name].text
        constant = [[best] * references.neurons] * len(references.folds)
        statistics = metric.statistics(references, {**predictions, CONSTANT: constant})
        turns = [statistics[f"{_WRONG}-{turn}"] for turn in range(_TURNS)]
        statistics[_WRONG] = np.mean(turns, axis=0)
        checked[metric.name] = _judge(
            metric, statistics, best_constants[base.name], resamples, seed
        )
    return SanityReport(
        split=task.name,
        fingerprint=fingerprint(task.neurons),
        neurons=references.neurons,
        seed=seed,
        metrics=checked,
    )


def _judge(
    metric: Metric, statistics: dict[str, Floats], best: BestConstant, resamples: int, seed: int
) -> MetricSanity:
    sign = 1 if metric.info.higher_is_better else -1
    gap = _gap(metric, statistics[_HUMAN], statistics[_WRONG], resamples, seed)
    tells = sign * (gap.low if sign > 0 else gap.high) > 0
    outcomes = {}
    for check in CHECKS:
        position = _position(metric, statistics, check.name, resamples, seed)
        outcomes[check.name] = CheckOutcome(
            # If people do not differ from chance, there is no scale.
            value=_finite(position.value) if tells else None,
            low=_finite(position.low) if tells else None,
            high=_finite(position.high) if tells else None,
            passed=bool(tells and check.passes(position.value)),
            score=_finite(float(metric.aggregate(statistics[check.name].sum(0)))),
            detail=f"“{best.text[:200]}”, best of {best.tried:,}" if check.name == CONSTANT else "",
        )
    return MetricSanity(
        title=metric.info.title,
        signature=metric.signature,
        human=_finite(float(metric.aggregate(statistics[_HUMAN].sum(0)))),
        wrong=_finite(float(metric.aggregate(statistics[_WRONG].sum(0)))),
        tells_people=bool(tells),
        checks=outcomes,
        ladder=ladder(metric, statistics[_HUMAN], statistics[_WRONG], statistics[CONSTANT], seed),
        passed=bool(
            tells and all(outcomes[check.name].passed for check in CHECKS if check.required)
        ),
    )


def _gap(metric: Metric, own: Floats, wrong: Floats, resamples: int, seed: int) -> Interval:
    width = own.shape[1]

    def gap(sums: Floats) -> Floats:
        return metric.aggregate(sums[..., :width]) - metric.aggregate(sums[..., width:])

    return interval(gap, np.concatenate([own, wrong], axis=1), resamples, seed)


def _position(
    metric: Metric, statistics: dict[str, Floats], name: str, resamples: int, seed: int
) -> Interval:
    """Return the position between annotations at wrong neurons (0) and at their own (1)."""
    blocks = [statistics[_HUMAN], statistics[_WRONG], statistics[name]]

    def position(sums: Floats) -> Floats:
        own, wrong, value = (metric.aggregate(s) for s in np.split(sums, 3, axis=-1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((value - wrong) / (own - wrong))

    return interval(position, np.concatenate(blocks, axis=1), resamples, seed)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

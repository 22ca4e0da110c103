"""Ways of choosing the units of an edit: choices on validation images, results on test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from applications.config import EditConfig
from applications.editing.candidates import (
    by_activation,
    by_gradient,
    random_like,
    units_of,
)
from applications.editing.unit_chooser import ADVERSARIAL, EditChoice, UnitChooser
from applications.labelled import AblationEvaluator, ClassImages
from benchmark.intervals import Interval, interval, wilson
from milannotations.ablation import LayerUnit
from milannotations.hook_points.layout import Layout
from milannotations.storage import atomic_path

DESCRIPTIONS, RANDOM, SELECTED = "descriptions", "random", "random, chosen alike"
ACTIVATION, GRADIENT, EFFECT = "activation", "gradient", "effect alone"
METHODS = {
    DESCRIPTIONS: "units whose descriptions name the feature",
    RANDOM: "as many units as were ablated, drawn at random from the same layers",
    SELECTED: "as many candidates as match, drawn at random from the same layers",
    ACTIVATION: "the units whose activation rises most from plain to adversarial images (without "
    "adversarial ones: the most active units)",
    GRADIENT: "the units whose ablation lowers the loss most, to first order",
    EFFECT: "the units with the best effects when each is ablated alone",
}
_FEW_COUNTS = 6
Flags = NDArray[np.float32]


@dataclass(frozen=True)
class ChoiceResult:
    """The result of one choice on one test set.

    Attributes:
        method: See ``EditChoice``.
        trial: See ``EditChoice``.
        test: Name of the test set.
        counts: Numbers of ablated units.
        curve: Accuracy for each of them.
        count: The number that was chosen on validation images.
        before: Accuracy of the original network, with its 95 % interval over images.
        after: Accuracy of the edited network, with such an interval.
        gain: Their difference, paired by image.
    """

    method: str
    trial: int
    test: str
    counts: tuple[int, ...]
    curve: tuple[float, ...]
    count: int
    before: Interval
    after: Interval
    gain: Interval


def choose_all(
    evaluator: AblationEvaluator,
    matched: Sequence[LayerUnit],
    validation: Mapping[str, ClassImages],
    config: EditConfig | None = None,
    *,
    layouts: Mapping[str, Layout] | None = None,
) -> list[EditChoice]:
    """Choose an edit by descriptions and by each other way, on validation images alone.

    Every way but plain random draws gets as many candidates as the descriptions give, and chooses
    among them in the same way.

    Args:
        evaluator: Measures the network.
        matched: Units whose descriptions name the feature.
        validation: Validation sets by name; in one named ``adversarial`` the feature misleads.
        config: Draws, tolerance and the most units of an edit.
        layouts: Layouts of the network's layers, where they cannot be inferred.

    Returns:
        The choice by descriptions, one per random draw, and those of the other ways. If nothing
        matches there is one choice only: no unit.

    Raises:
        InputError: If there are no validation images.
    """
    config = config or EditConfig()
    chooser = UnitChooser(evaluator, validation, config.max_units, config.tolerance)
    if not matched:
        return [chooser.nothing(DESCRIPTIONS)]
    all_units = units_of(evaluator.points)
    chooser.effects(all_units)
    ours = chooser.choose(matched, DESCRIPTIONS)
    rng = np.random.default_rng(config.seed)
    choices = [ours]
    for trial in range(config.trials):
        drawn = random_like(ours.units, evaluator.points, rng)
        counts = tuple(sorted({0, ours.count}))
        choices.append(EditChoice(RANDOM, trial, tuple(drawn), (), counts, (), ours.count))
    choices += [
        chooser.choose(random_like(matched, evaluator.points, rng), SELECTED, trial)
        for trial in range(config.candidate_draws)
    ]
    adversarial = validation.get(ADVERSARIAL)
    plain = next((v for k, v in validation.items() if k != ADVERSARIAL), None)
    first = next(iter(validation.values()))
    ranked = {
        ACTIVATION: by_activation(
            evaluator, plain or first, adversarial if plain else None, layouts=layouts
        ),
        GRADIENT: by_gradient(evaluator, adversarial or first),
        EFFECT: chooser.sorted(all_units),
    }
    size = len(dict.fromkeys(matched))
    return choices + [chooser.choose(order[:size], name) for name, order in ranked.items()]


def save_choices(choices: Sequence[EditChoice], path: Path) -> None:
    """Write choices as JSON, before any test image is opened."""
    content = [{**asdict(choice), "units": choice.units} for choice in choices]
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")


def evaluate(
    evaluator: AblationEvaluator,
    choices: Sequence[EditChoice],
    tests: Mapping[str, Callable[[], ClassImages]],
    resamples: int = 1000,
) -> list[ChoiceResult]:
    """Measure choices on test images, which are opened here for the first time.

    Args:
        evaluator: Measures the network.
        choices: The choices.
        tests: Functions that open the test sets, by name.
        resamples: Bootstrap resamples of the images.
    """
    outcomes = []
    for name, opened in tests.items():
        images = opened()
        # A few numbers of units suffice for the band of random draws.
        counts = [c.few(_FEW_COUNTS) if c.method == SELECTED else c.counts for c in choices]
        ablations = [
            a
            for c, own_counts in zip(choices, counts, strict=True)
            for a in c.ablations(own_counts)
        ]
        results = evaluator.measure(images, ablations, f"Testing: {name}")
        begin = 0
        for choice, own_counts in zip(choices, counts, strict=True):
            correct = results.correct[begin : begin + len(own_counts)]
            begin += len(own_counts)
            before, after = correct[0], correct[own_counts.index(choice.count)]
            outcomes.append(
                ChoiceResult(
                    choice.method,
                    choice.trial,
                    name,
                    own_counts,
                    tuple(correct.mean(1).tolist()),
                    choice.count,
                    proportion(before),
                    proportion(after),
                    paired(after, before, resamples),
                )
            )
    return outcomes


def proportion(correct: Flags) -> Interval:
    """Return an accuracy with its 95 % Wilson interval over images."""
    return wilson(int((correct > 0).sum()), len(correct))


def paired(after: Flags, before: Flags, resamples: int = 1000) -> Interval:
    """Return a difference of accuracies on the same images, with its bootstrap interval."""
    both = np.stack([after - before, np.ones(len(after))], axis=1).astype(np.float64)
    return interval(lambda sums: sums[..., 0] / sums[..., 1], both, resamples)


def better_than_random(
    outcomes: Sequence[ChoiceResult], test: str, method: str = RANDOM
) -> tuple[float, int]:
    """Return a p-value for the gain by descriptions, and the number of random draws.

    The p-value is the share of draws, counting the choice itself as one, whose gain is at least as
    great. It cannot be below 1 / (draws + 1).

    Args:
        outcomes: Results of one edit.
        test: Name of a test set.
        method: ``RANDOM`` or ``SELECTED``.
    """
    here = [o for o in outcomes if o.test == test]
    ours = next(o for o in here if o.method == DESCRIPTIONS)
    draws = [o for o in here if o.method == method]
    at_least = sum(o.gain.value >= ours.gain.value for o in draws)
    return (1 + at_least) / (1 + len(draws)), len(draws)

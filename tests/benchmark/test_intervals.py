"""Intervals cover, tests are exact, corrections are right."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmark.intervals import bootstrap, interval, over_trials, over_trials_and_neurons
from benchmark.metrics.bleu import Bleu
from benchmark.significance import holm, paired_difference, randomization
from tests.benchmark.made_up import Mean, made_up_references, texts


def means(values: np.ndarray) -> np.ndarray:
    """Return the statistics of a mean."""
    return np.stack([values, np.ones(len(values))], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("stratified", [False, True])
def test_95_percent_intervals_cover_93_to_97_percent(stratified: bool) -> None:
    """Neurons of four layers with values as AUCs have them; the truth is known."""
    rng = np.random.default_rng(5)
    layers = np.repeat(["a", "b", "c", "d"], 60)
    worth = np.repeat([6.0, 3.0, 2.0, 1.0], 60)
    truth = (worth / (worth + 2)).mean()
    covered = 0
    for run in range(1000):
        values = rng.beta(worth, 2.0)
        if not stratified:  # layers are drawn too
            drawn = rng.permutation(240)[:200]
            values, some = values[drawn], layers[drawn]
        else:
            some = layers
        found = bootstrap(
            Mean(), means(values), resamples=1000, seed=run, strata=some if stratified else None
        )
        covered += found.low <= truth <= found.high
    assert 930 <= covered <= 970


@pytest.mark.slow
def test_paired_intervals_cover_and_p_is_uniform_under_no_difference() -> None:
    rng = np.random.default_rng(6)
    covered, low_p = 0, 0
    for run in range(600):
        common = rng.beta(2, 1, 150)
        first, second = (common + rng.normal(0, 0.2, 150) for _ in range(2))
        found = paired_difference(
            Mean(), means(first), means(second), resamples=1000, seed=run, rounds=999
        )
        covered += found.low <= 0 <= found.high
        low_p += found.p <= 0.05
    assert 558 <= covered <= 582  # 93 to 97 %
    assert 15 <= low_p <= 45  # 5 % of 600 is 30, with a deviation of 5.3


def test_bootstrap_is_scipys_up_to_chance() -> None:
    rng = np.random.default_rng(0)
    values = rng.beta(2, 1, 300)
    ours = bootstrap(Mean(), means(values), resamples=20_000, seed=1)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", vectorized=True,
        rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert ours.low == pytest.approx(theirs.low, abs=1e-3)
    assert ours.high == pytest.approx(theirs.high, abs=1e-3)
    assert ours == bootstrap(Mean(), means(values), resamples=20_000, seed=1)


def test_strata_keep_their_sizes() -> None:
    """Strata without spread of their own: the interval is a point, and wide without strata."""
    values = means(np.repeat([0.0, 1.0], [30, 70]))
    strata = ["x"] * 30 + ["y"] * 70
    shuffled = np.random.default_rng(0).permutation(100)
    found = bootstrap(Mean(), values[shuffled], 1000, 0, [strata[i] for i in shuffled])
    assert (found.low, found.high) == (0.7, 0.7)
    assert bootstrap(Mean(), values, 1000, 0).low < 0.65
    with pytest.raises(ValueError, match="99 strata for 100 neurons"):
        bootstrap(Mean(), values, 1000, 0, strata[:99])


@pytest.mark.parametrize("metric", [Mean(), Bleu(2)])
def test_randomization_approaches_all_exchanges(metric) -> None:
    """All 2^10 exchanges of ten neurons, also for a metric that is no mean."""
    rng = np.random.default_rng(3)
    if isinstance(metric, Mean):
        first, second = means(rng.normal(0.3, 1, 10)), means(rng.normal(0, 1, 10))
    else:
        of = made_up_references(10, most=2)
        found = metric.statistics(of, {n: [texts(10, n)] * 2 for n in (1, 2)})
        first, second = found[1], found[2]

    def gap(swap: tuple[int, ...]) -> float:
        mask = np.array(swap, dtype=bool)[:, None]
        a, b = np.where(mask, second, first).sum(0), np.where(mask, first, second).sum(0)
        return abs(float(metric.aggregate(a) - metric.aggregate(b)))

    observed = gap((0,) * 10)
    assert observed > 0
    exact = np.mean([gap(s) >= observed - 1e-12 for s in itertools.product((0, 1), repeat=10)])
    assert randomization(metric, first, second, rounds=20_000) == pytest.approx(exact, abs=0.015)


def test_p_values_of_nothing_and_of_everything() -> None:
    same = means(np.random.default_rng(0).random(50))
    assert randomization(Mean(), same, same, rounds=999) == 1.0
    assert randomization(Mean(), same + np.array([1, 0]), same, rounds=999) == 1 / 1000


def test_effect_sizes_by_hand() -> None:
    first, second = np.array([3.0, 2, 5, 1, np.nan]), np.array([1.0, 2, 2, 2, 1])
    statistics = [np.stack([x, ~np.isnan(x)], 1).astype(float) for x in (first, second)]
    statistics[0][4] = 0  # no value for the fifth neuron
    found = paired_difference(Mean(), *statistics, resamples=1000, rounds=99)
    gaps = np.array([2.0, 0, 3, -1])
    assert found.effect == pytest.approx(gaps.mean() / gaps.std(ddof=1))
    assert found.superiority == pytest.approx((2 + 0.5) / 4)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_resamples_without_a_value_are_left_out() -> None:
    values = means(np.linspace(0, 1, 40))
    found = interval(lambda s: np.where(s[..., 0] > 20, s[..., 0], np.nan), values, 1000, 0)
    assert found.low > 20


@pytest.mark.parametrize("trials", [2, 3, 5])
def test_coverage_of_intervals_over_trials(trials: int) -> None:
    """Student's interval covers the truth in 95 % of the runs; the normal one far less often."""
    rng = np.random.default_rng(trials)
    runs = rng.normal(0.5, 0.1, (2000, trials))
    found = [over_trials(run) for run in runs]
    covered = np.mean([one.low <= 0.5 <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=0.015)
    errors = runs.std(axis=1, ddof=1) / trials**0.5
    normal = np.mean(np.abs(runs.mean(axis=1) - 0.5) <= 1.96 * errors)
    assert normal < {2: 0.73, 3: 0.84, 5: 0.91}[trials]
    # Cut where the metric ends, it covers as often.
    cut = [over_trials(run, (0, 1)) for run in runs]
    assert np.mean([one.low <= 0.5 <= one.high for one in cut]) == covered
    assert all(0 <= one.low <= one.high <= 1 for one in cut)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("trials", [2, 4])
def test_coverage_where_trials_share_neurons(ratio: float, trials: int) -> None:
    """Neither error is forgotten: that of the neurons, which all trials share, and the trials'."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1500):
        values = rng.normal() * ratio + rng.normal(size=trials)
        found = over_trials_and_neurons(values, [1.96 * ratio] * trials)
        covered += found.low <= 0 <= found.high
    assert 0.94 <= covered / 1500 <= 0.995

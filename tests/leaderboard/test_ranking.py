"""Ranks: against a slow loop, under added rows, and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.significance import rank, rank_intervals
from leaderboard.definition import BOARDS
from leaderboard.results_folder import load_results

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def _slow(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[int]:
    """Count, one pair after the other, who is clearly better."""
    ranks = []
    for m, mine in enumerate(values):
        above = [k for k, other in enumerate(values) if other > mine]
        better = [
            j
            for j, other in enumerate(values)
            if other > mine and any(low[j] >= high[k] for k in [m, *above])
        ]
        ranks.append(1 + len(better))
    return ranks


def _random_rows(rng: np.random.Generator, count: int) -> Rows:
    values = rng.uniform(0.4, 1, count).round(1 + int(rng.integers(3)))  # some are equal
    return values, values - rng.uniform(0, 0.2, count), values + rng.uniform(0, 0.2, count)


def _joined(first: Rows, second: Rows) -> Rows:
    a, b, c = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    return a, b, c


def test_ranks_are_those_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        rows = _random_rows(rng, int(rng.integers(1, 12)))
        assert rank_intervals(*rows).ranks == _slow(*rows)


def test_a_higher_value_never_has_a_worse_rank() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        rows = _random_rows(rng, 15)
        for chance in (None, 0.5):
            ranks = rank_intervals(*rows, chance).ranks
            ranked = [(v, r) for v, r in zip(rows[0], ranks, strict=True) if r is not None]
            assert all(a <= b for v, a in ranked for w, b in ranked if v > w)


def test_an_added_row_changes_only_ranks_of_rows_that_it_is_better_than() -> None:
    rng = np.random.default_rng(2)
    changed = 0
    for _ in range(300):
        rows, added = _random_rows(rng, 8), _random_rows(rng, 1)
        for chance in (None, 0.5):
            before = rank_intervals(*rows, chance).ranks
            after = rank_intervals(*_joined(rows, added), chance).ranks[:8]
            for value, old, new in zip(rows[0], before, after, strict=True):
                assert old == new or added[0][0] > value
                changed += old != new
    assert changed > 100  # rows that are better do change ranks


def test_rows_at_chance_have_no_rank_and_change_none_above_chance() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        rows = _random_rows(rng, 8)
        noise = rng.uniform(0.4, 0.6, 5)
        at_chance = (noise, np.minimum(noise, 0.5) - 0.01, np.maximum(noise, 0.5) + 0.3)
        before = rank_intervals(*rows, 0.5).ranks
        after = rank_intervals(*_joined(rows, at_chance), 0.5).ranks
        assert after[8:] == [None] * 5
        assert [
            new for new, low in zip(after[:8], rows[1], strict=True) if low > 0.5
        ] == [old for old, low in zip(before, rows[1], strict=True) if low > 0.5]  # fmt: skip


def test_one_row_at_chance_is_not_first() -> None:
    assert rank_intervals([0.52], [0.47], [0.57], 0.5).ranks == [None]
    assert rank_intervals([0.52], [0.47], [0.57]).ranks == [1]
    assert rank_intervals([0.62], [0.57], [0.67], 0.5).ranks == [1]
    # Clearly worse than chance is a rank: the last.
    assert rank_intervals([0.62, 0.3], [0.57, 0.2], [0.67, 0.4], 0.5).ranks == [1, 2]


def _demo() -> tuple[list[str], np.ndarray, np.ndarray]:
    loaded = load_results(BOARDS / "demo" / "results")

    def values(table: pd.DataFrame) -> np.ndarray:
        own: np.ndarray = table.loc[table["split"] == "test", "identification"].to_numpy(float)
        return own

    methods = [one for one in loaded if one.method.kind == "method"]
    random = next(one for one in loaded if one.method.name == "random-train")
    names = [one.method.name for one in methods]
    return names, np.stack([values(one.per_neuron) for one in methods]), values(random.per_neuron)


@pytest.mark.parametrize("chance", [None, 0.5])
def test_rows_at_chance_change_no_rank_of_the_demo_board(chance: float | None) -> None:
    """Shuffled values of random descriptions, as many as anybody cares to send in."""
    names, values, random = _demo()
    rng = np.random.default_rng(0)
    before = rank(values, chance).ranks
    for count in (1, 5, 10, 20, 40, 200):
        added = np.stack([rng.permutation(random) for _ in range(count)])
        assert added.mean() < values.mean(axis=1).min()
        assert rank(np.vstack([values, added]), chance).ranks[: len(names)] == before


def test_noisy_clones_change_no_rank_of_better_rows() -> None:
    _, values, _ = _demo()
    rng = np.random.default_rng(0)
    before = rank(values).ranks
    means = values.mean(axis=1)
    for cloned in range(len(values)):
        clones = np.clip(values[cloned] + rng.normal(scale=0.15, size=(50, 85)), 0, 1)
        after = rank(np.vstack([values, clones])).ranks[: len(values)]
        for mean, old, new in zip(means, before, after, strict=True):
            assert old == new or clones.mean(axis=1).max() > mean


def test_clones_of_one_quality_mostly_share_a_rank() -> None:
    rng = np.random.default_rng(0)
    base = rng.beta(3, 1, 85)
    clones = base + rng.normal(scale=0.1, size=(50, 85))
    assert rank(clones).ranks == [1] * 50


def test_a_slightly_worse_copy_of_the_best_pushes_nobody_down() -> None:
    """A paired test tells the copy from the best, and would let it drag down all below it."""
    rng = np.random.default_rng(0)
    best, other = rng.beta(9, 1, 200), rng.beta(9, 1.1, 200)
    assert best.mean() > other.mean() + 0.002
    copies = np.stack([best - 0.001 * (1 + i) / 10 for i in range(10)])
    assert stats.ttest_rel(best, copies[0] - 1e-9 * rng.normal(size=200)).pvalue < 1e-6
    assert rank(np.stack([best, other])).ranks == [1, 1]
    assert rank(np.vstack([best, other, copies])).ranks == [1] * 12


def test_intervals_are_students_t_over_each_rows_own_neurons() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 30))
    values[0, :10] = np.nan
    own = values[0, 10:]
    low, high = stats.t.interval(0.95, 19, own.mean(), stats.sem(own))
    half = (high - low) / 2
    full = stats.t.ppf(0.975, 29) * stats.sem(values[1])
    for gap, expected in ((half + full + 1e-6, [1, 2]), (half + full - 1e-6, [1, 1])):
        moved = values - np.array([[own.mean() - gap], [values[1].mean()]])
        assert rank(moved).ranks == expected


def test_methods_that_cannot_be_told_apart_share_a_rank() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.8, 0.8, 0.6, 0.6, 0.3])
    values = truth[:, None] + rng.normal(scale=0.3, size=(5, 400))
    assert rank(values).ranks == [1, 1, 3, 3, 5]


def test_values_that_differ_by_rounding_share_a_rank() -> None:
    values = np.random.default_rng(0).uniform(size=400)
    shuffled = np.stack([np.random.default_rng(i).permutation(values) for i in range(5)])
    assert rank(shuffled).ranks == [1] * 5
    assert rank(np.full((3, 7), 0.1) + np.array([[0.0], [1e-16], [2e-16]])).ranks == [1] * 3


@pytest.mark.parametrize("shape", [(1, 10), (0, 10), (2, 1), (2, 0)])
def test_nothing_to_tell_apart(shape: tuple[int, int]) -> None:
    assert rank(np.zeros(shape)).ranks == [1] * shape[0]


@pytest.mark.parametrize(
    ("spread", "correlation", "least", "most"),
    [((1, 1), 0.0, 0.0, 0.02), ((1, 4), 0.0, 0.005, 0.06), ((1, 1), 0.5, 0.0, 0.005)],
)
def test_equals_are_told_apart_as_rarely_as_promised(
    spread: tuple[float, float], correlation: float, least: float, most: float
) -> None:
    """Of two equal methods one is clearly better in at most 5 % of the draws, whatever they are."""
    rng = np.random.default_rng(0)
    rounds = 2000
    covariance = np.outer(spread, spread) * np.array([[1, correlation], [correlation, 1]])
    draws = rng.multivariate_normal([0, 0], covariance, size=(rounds, 60))
    wrong = sum(rank(values.T).better.any() for values in draws) / rounds
    assert least <= wrong <= most

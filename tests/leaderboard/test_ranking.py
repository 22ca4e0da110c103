"""Ranks against brute force and by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from leaderboard.ranking import is_mean, rank


def _exact(values: np.ndarray) -> np.ndarray:
    """All sign patterns, one after the other, with nothing in common with the fast way."""
    count, n = values.shape
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]

    def statistic(i: int, j: int, signs: np.ndarray) -> float:
        gaps = signs * (values[i] - values[j])
        return float(abs(gaps.sum()) / np.sqrt((gaps**2).sum()))

    most = [
        max(statistic(i, j, np.array(signs)) for i, j in pairs)
        for signs in product((-1, 1), repeat=n)
    ]
    adjusted = np.ones((count, count))
    for i, j in pairs:
        own = statistic(i, j, np.ones(n))
        adjusted[i, j] = adjusted[j, i] = np.mean([one >= own - 1e-12 for one in most])
    return adjusted


def test_adjusted_p_is_that_of_all_sign_patterns() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 11)) + np.array([[1.2], [0.6], [0.0], [0.0]])
    found = rank(values, rounds=40_000).adjusted
    assert np.abs(found - _exact(values)).max() < 0.01


def test_two_methods_are_the_paired_permutation_test() -> None:
    from benchmark.metrics.base import MeanMetric
    from benchmark.statistics import randomization

    class Mean(MeanMetric):
        @property
        def signature(self) -> str:
            return ""

        def statistics(self, problem: object, methods: object) -> dict[str, np.ndarray]:
            return {}

    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 60)) + np.array([[0.25], [0.0]])
    ones = np.ones(60)
    expected = randomization(Mean(), np.stack([values[0], ones], 1), np.stack([values[1], ones], 1))
    assert rank(values).adjusted[0, 1] == pytest.approx(expected, abs=0.01)


def test_methods_that_cannot_be_told_apart_share_a_rank() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.8, 0.8, 0.6, 0.6, 0.3])
    values = truth[:, None] + rng.normal(scale=0.3, size=(5, 400))
    assert rank(values).ranks == [1, 1, 3, 3, 5]


def test_the_same_values_are_one_rank() -> None:
    values = np.tile(np.random.default_rng(0).normal(size=50), (3, 1))
    found = rank(values)
    assert found.ranks == [1, 1, 1]
    assert (found.adjusted == 1).all()


def test_neurons_that_one_method_lacks_are_left_out() -> None:
    values = np.array([[1.0] * 20 + [np.nan], [0.0] * 20 + [100.0]])
    values[0, :20] += np.linspace(0, 0.1, 20)
    assert rank(values).ranks == [1, 2]


@pytest.mark.parametrize("shape", [(1, 10), (0, 10), (2, 1), (2, 0)])
def test_nothing_to_tell_apart(shape: tuple[int, int]) -> None:
    assert rank(np.zeros(shape)).ranks == [1] * shape[0]


@pytest.mark.slow
def test_one_wrong_claim_on_a_board_of_equals_is_as_rare_as_promised() -> None:
    rng = np.random.default_rng(0)
    boards = 300
    wrong = sum(
        max(rank(rng.normal(size=(12, 80)) + rng.normal(size=80), rounds=999).ranks) > 1
        for _ in range(boards)
    )
    assert wrong / boards < 0.05 + 3 * np.sqrt(0.05 * 0.95 / boards)
    assert wrong / boards > 0.01  # and it is not simply never significant


def test_is_mean() -> None:
    assert is_mean([1.0, 2.0, float("nan")], 1.5)
    assert not is_mean([1.0, 2.0], 1.6)
    assert not is_mean([], 0.0)

"""Simulate the properties of the ranking rule: false "better", stability, power.

``python scripts/rank_study.py`` prints the tables of docs/rules.md. It compares the rule of
``benchmark.significance.rank_intervals`` with the obvious alternative: a paired test of each pair
(normal, 5 %, not adjusted), and a rank of one plus the number of methods that are significantly
better.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmark.metrics.base import Floats
from benchmark.significance import rank

CHANCE = 0.5
_GRID = np.linspace(0, 1, 801)  # quantiles between these are interpolated, for large n
Better = Callable[[Floats], NDArray[np.bool_]]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="boards of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[t.__name__ for t in TABLES], help="one of the tables")
    options = parser.parse_args()
    for number, table in enumerate(TABLES):
        if options.only not in (None, table.__name__):
            continue
        rng = np.random.default_rng((options.seed, number))
        for line in table(rng, options.rounds):
            print(line, flush=True)
        print()


def by_interval(values: Floats) -> NDArray[np.bool_]:
    """Return which methods are clearly better than which by the rule of the board."""
    return rank(values, CHANCE).better


def by_paired_test(values: Floats) -> NDArray[np.bool_]:
    """Return which methods are significantly better than which by a paired test of each pair."""
    n = values.shape[1]
    mean = values.mean(axis=1)
    covariance = np.cov(values) / n
    spread = np.diag(covariance)
    variance = spread[:, None] + spread[None, :] - 2 * covariance
    gap = mean[:, None] - mean[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(variance > 1e-18, gap / np.sqrt(variance), 0.0)
    significant: NDArray[np.bool_] = z > stats.norm.ppf(0.975)
    return significant


def draw(
    rng: np.random.Generator, means: Floats, n: int, correlation: float, scale: float | Floats = 1.0
) -> Floats:
    """Draw values like those of identification: from 0 to 1, skewed, correlated between methods.

    Each method's values have a Beta distribution with the method's mean (uniform at .5, narrower by
    ``scale``); a Gaussian copula makes the same neurons hard for all methods.

    Args:
        rng: Random number generator.
        means: Mean of each method.
        n: Number of neurons.
        correlation: Correlation of the copula between any two methods.
        scale: Divisor of the variance, one for all methods or one per method.

    Returns:
        Shape (methods, neurons).
    """
    shared = rng.normal(size=n)
    own = rng.normal(size=(len(means), n))
    uniform = stats.norm.cdf(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    size = (3 * np.broadcast_to(scale, len(means)) - 1)[:, None]  # variance m(1-m)/(3 scale)
    a = means[:, None] * size
    if n <= len(_GRID):
        values: Floats = stats.beta.ppf(uniform, a, size - a)
        return values
    return np.stack(
        [
            np.interp(row, _GRID, _quantiles(float(first), float(second)))
            for row, first, second in zip(uniform, a[:, 0], (size - a)[:, 0], strict=True)
        ]
    )


@lru_cache(maxsize=64)
def _quantiles(a: float, b: float) -> Floats:
    quantiles: Floats = stats.beta.ppf(_GRID, a, b)
    return quantiles


def false_claims(rng: np.random.Generator, rounds: int) -> Iterator[str]:
    """Two equal methods: how often is one clearly better?"""
    yield "False 'better' of two equal methods (either way), interval rule / paired test"
    yield "n     mean  correlation  variance ratio  interval  paired"
    for n in (40, 85, 1000):
        for mean, correlation, ratio in (
            (0.7, 0.0, 1), (0.7, 0.5, 1), (0.7, 0.9, 1),
            (0.7, 0.0, 4), (0.7, 0.0, 25), (0.9, 0.0, 1), (0.9, 0.0, 25),
        ):  # fmt: skip
            wrong = np.zeros(2)
            for _ in range(rounds):
                scale = np.array([1.0, ratio])
                values = draw(rng, np.full(2, mean), n, correlation, scale)
                wrong += [by_interval(values).any(), by_paired_test(values).any()]
            shares = wrong / rounds
            yield (
                f"{n:<5} {mean:<5} {correlation:<12} {ratio:<15} {shares[0]:<9.4f} {shares[1]:.4f}"
            )


def boards_of_equals(rng: np.random.Generator, rounds: int) -> Iterator[str]:
    """Boards of equal methods: how often are any told apart, and how many?"""
    yield "Boards of equal methods (85 neurons, mean .8): boards with any false 'better', and"
    yield "share of rows with a rank below 1; interval rule / paired test"
    for methods in (10, 50):
        for correlation in (0.0, 0.5):
            boards, rows = np.zeros(2), np.zeros(2)
            for _ in range(rounds // 4):
                values = draw(rng, np.full(methods, 0.8), 85, correlation)
                for at, better in enumerate((by_interval(values), by_paired_test(values))):
                    boards[at] += better.any()
                    rows[at] += better.any(axis=0).mean()
            b, r = boards / (rounds // 4), rows / (rounds // 4)
            yield (
                f"{methods} methods, correlation {correlation}: boards {b[0]:.3f} / {b[1]:.3f}, "
                f"rows {r[0]:.3f} / {r[1]:.3f}"
            )


def junk(rng: np.random.Generator, values: Floats, count: int) -> Floats:
    """Return rows at chance."""
    return draw(rng, np.full(count, CHANCE), values.shape[1], 0.0)


def clones(rng: np.random.Generator, values: Floats, count: int) -> Floats:
    """Return noisy copies of random rows."""
    chosen = values[rng.integers(0, len(values), count)]
    return np.clip(chosen + rng.normal(scale=0.1, size=chosen.shape), 0, 1)


def worse_copies(rng: np.random.Generator, values: Floats, count: int) -> Floats:
    """Return copies of the best row, each slightly worse at every neuron."""
    best = values[values.mean(axis=1).argmax()]
    copies: Floats = np.clip(best - rng.uniform(0.001, 0.002, (count, len(best))), 0, 1)
    return copies


def stability(rng: np.random.Generator, rounds: int) -> Iterator[str]:
    """Add rows: which ranks change although no added row has a higher value?"""
    yield "40 rows added to boards of 10 (85 neurons, true values .5 to .9, correlation .3):"
    yield "changed ranks of rows that no added row exceeds / of rows that only rows which are not"
    yield "clearly better exceed / inverted pairs, a board; interval rule, then paired test"
    for name, make in (
        ("at chance", junk),
        ("noisy clones", clones),
        ("worse copies", worse_copies),
    ):
        counts = np.zeros((2, 3))
        for _ in range(rounds // 4):
            values = draw(rng, rng.uniform(0.5, 0.9, 10), 85, 0.3)
            both = np.vstack([values, make(rng, values, 40)])
            for at, rule in enumerate((by_interval, by_paired_test)):
                better = rule(both)
                before, after = 1 + rule(values).sum(0), 1 + better.sum(0)
                mean = both.mean(axis=1)
                higher = (mean[10:, None] > mean[None, :10]).any(axis=0)
                proven = better[10:, :10].any(axis=0)
                changed = before != after[:10]
                ranked = _ranked(both) if rule is by_interval else np.ones(len(both), dtype=bool)
                changed &= ranked[:10]
                inverted = (mean[:, None] > mean[None, :] + 1e-12) & (after[:, None] > after[None])
                inverted &= ranked[:, None] & ranked[None, :]
                counts[at] += [
                    (changed & ~higher).sum(), (changed & higher & ~proven).sum(), inverted.sum()
                ]  # fmt: skip
        shares = counts / (rounds // 4)
        yield f"{name}: " + "; ".join(" / ".join(f"{v:.3f}" for v in row) for row in shares)


def _ranked(values: Floats) -> NDArray[np.bool_]:
    return np.array([rank_of_method is not None for rank_of_method in rank(values, CHANCE).ranks])


def power(rng: np.random.Generator, rounds: int) -> Iterator[str]:
    """Find the difference that is detected in 80 % of the draws."""
    yield "Difference told apart with a power of 80 % (the better method's mean is .85)"
    yield "n      correlation  interval  paired"
    rules: tuple[Better, ...] = (by_interval, by_paired_test)
    for n in (85, 1000, 12_000):
        for correlation in (0.0, 0.5, 0.9):
            sizes = [
                _detectable(rng, rule, n, correlation, max(60, rounds // 20)) for rule in rules
            ]
            yield f"{n:<6} {correlation:<12} {sizes[0]:<9.4f} {sizes[1]:.4f}"


def _detectable(
    rng: np.random.Generator, rule: Better, n: int, correlation: float, draws: int
) -> float:
    low, high = 0.0, 0.3
    for _ in range(9):
        gap = (low + high) / 2
        means = np.array([0.85, 0.85 - gap])
        told = sum(bool(rule(draw(rng, means, n, correlation))[0, 1]) for _ in range(draws))
        low, high = (gap, high) if told < 0.8 * draws else (low, gap)
    return (low + high) / 2


TABLES = (false_claims, boards_of_equals, stability, power)

if __name__ == "__main__":
    main()

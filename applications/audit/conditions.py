"""Do networks of one condition have more matching units than those of another?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark.intervals import RESAMPLES, Interval, interval, over_trials, wilson
from milannotations.errors import InputError

_SEVERAL = 3  # fewest pairs for an interval over pairs


@dataclass(frozen=True)
class MatchCount:
    """Matching units of one network.

    >>> MatchCount("blurred/1", "blurred", "1", (True, False), ("conv1", "conv1")).share.value
    0.5

    Attributes:
        name: Name of the network.
        condition: The part of the name before the slash, such as ``unblurred``.
        pair: The part after the slash, such as an architecture or a seed; networks of different
            conditions are paired by it.
        flags: Whether each described unit matches.
        layers: Layer of each unit.
    """

    name: str
    condition: str
    pair: str
    flags: tuple[bool, ...]
    layers: tuple[str, ...]

    @property
    def matched(self) -> int:
        """Number of matching units."""
        return sum(self.flags)

    @property
    def share(self) -> Interval:
        """Share of matching units, with its 95 % Wilson interval."""
        return wilson(self.matched, len(self.flags))


@dataclass(frozen=True)
class ConditionDifference:
    """Difference between two conditions in the share of matching units.

    Attributes:
        first: A condition.
        second: Another condition.
        totals: Numbers of matching units of both, over all pairs.
        pairs: For each pair, the shares of both.
        difference: Mean over pairs of the first share minus the second, -1 to 1.
        over: What the interval is over: ``pairs`` (Student's t) or ``units`` (bootstrap within
            layers).
        p: Two-sided p-value of an exact permutation test that exchanges conditions within pairs;
            NaN for one pair.
    """

    first: str
    second: str
    totals: tuple[int, int]
    pairs: dict[str, tuple[Interval, Interval]]
    difference: Interval
    over: str
    p: float


def compare(
    counts: Sequence[MatchCount], resamples: int = RESAMPLES, seed: int = 0
) -> list[ConditionDifference]:
    """Compare each two conditions on the pairs that both have.

    With three pairs or more the interval is over pairs, and covers other pairs. With fewer it is
    over units, and covers other units of these networks only.
    """
    conditions = list(dict.fromkeys(count.condition for count in counts))
    by_name = {(count.condition, count.pair): count for count in counts}
    effects = []
    for number, first in enumerate(conditions):
        for second in conditions[number + 1 :]:
            both = [
                (by_name[first, pair], by_name[second, pair])
                for pair in dict.fromkeys(count.pair for count in counts)
                if (first, pair) in by_name and (second, pair) in by_name
            ]
            if both:
                effects.append(_effect(first, second, both, resamples, seed))
    return effects


def _effect(
    first: str,
    second: str,
    both: Sequence[tuple[MatchCount, MatchCount]],
    resamples: int,
    seed: int,
) -> ConditionDifference:
    gaps = np.array([a.share.value - b.share.value for a, b in both])
    p = float("nan")
    if len(both) > 1:
        test = stats.permutation_test(
            (gaps, np.zeros(len(gaps))),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=99_999,
            random_state=seed,
        )
        p = float(test.pvalue)
    if len(both) >= _SEVERAL:
        over = "pairs"
        difference = over_trials(gaps.tolist(), (-1, 1))  # differences of two shares
    else:
        over = "units"
        difference = _over_units(both, resamples, seed)
    return ConditionDifference(
        first,
        second,
        (sum(a.matched for a, _ in both), sum(b.matched for _, b in both)),
        {a.pair or a.name: (a.share, b.share) for a, b in both},
        difference,
        over,
        p,
    )


def _over_units(
    both: Sequence[tuple[MatchCount, MatchCount]], resamples: int, seed: int
) -> Interval:
    """Return a bootstrap interval over units, resampled within the layers of each network."""
    rows, strata = [], []
    for number, pair in enumerate(both):
        for side, count in enumerate(pair):
            weight = (1 - 2 * side) / len(count.flags) / len(both)
            rows += [[weight * flag] for flag in count.flags]
            strata += [f"{number} {side} {layer}" for layer in count.layers]
    return interval(lambda sums: sums[..., 0], np.array(rows, dtype=float), resamples, seed, strata)


def comparable(names: Sequence[str]) -> None:
    """Check that at least two conditions have a pair in common.

    Raises:
        InputError: If none have: nothing could be compared.
    """
    parsed = [parse_name(name) for name in names]
    if not any(
        a[0] != b[0] and a[1] == b[1] for i, a in enumerate(parsed) for b in parsed[i + 1 :]
    ):
        raise InputError(
            f"{', '.join(names[:6])}: no two conditions have a pair in common, so nothing can be "
            "compared; name networks CONDITION/PAIR=MODEL, with the same pairs in each condition"
        )


def parse_name(text: str) -> tuple[str, str]:
    """Split a network's name, ``unblurred/seed1``, into its condition and its pair.

    >>> parse_name("unblurred/seed1"), parse_name("resnet18")
    (('unblurred', 'seed1'), ('resnet18', ''))
    """
    condition, _, pair = text.partition("/")
    return condition, pair

"""Do networks of one condition have more matching units than those of another?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark.intervals import RESAMPLES, Interval, interval, over_trials, wilson
from milannotations.errors import InputError

_SEVERAL = 3  # pairs from which on the interval is over pairs


@dataclass(frozen=True)
class MatchCount:
    """Matching units of one network.

    Attributes:
        name: The network's.
        condition: As ``unblurred``; the part of the name before the slash.
        pair: What it is paired by, as its architecture or its seed; the part after the slash.
        flags: Of each described unit, whether it matches.
        layers: Of each, its layer.
    """

    name: str
    condition: str
    pair: str
    flags: tuple[bool, ...]
    layers: tuple[str, ...]

    @property
    def matched(self) -> int:
        """How many match."""
        return sum(self.flags)

    @property
    def share(self) -> Interval:
        """Their share, with its 95 % Wilson interval."""
        return wilson(self.matched, len(self.flags))


@dataclass(frozen=True)
class ConditionDifference:
    """How two conditions differ.

    Attributes:
        first: A condition.
        second: Another.
        totals: Matching units of each, over all pairs.
        pairs: For each pair the shares of both.
        difference: Mean over pairs of the first's share minus the second's.
        over: What the interval is over: ``pairs`` (Student's t) or ``units`` (bootstrap within
            layers).
        p: Two-sided; exact permutation of the conditions within pairs, or NaN for one pair.
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

    With three pairs or more the interval says what other pairs would give; with fewer it only says
    what other units of these networks would.
    """
    conditions = list(dict.fromkeys(count.condition for count in counts))
    by_place = {(count.condition, count.pair): count for count in counts}
    effects = []
    for place, first in enumerate(conditions):
        for second in conditions[place + 1 :]:
            both = [
                (by_place[first, pair], by_place[second, pair])
                for pair in dict.fromkeys(count.pair for count in counts)
                if (first, pair) in by_place and (second, pair) in by_place
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
        found = stats.permutation_test(
            (gaps, np.zeros(len(gaps))),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=99_999,
            random_state=seed,
        )
        p = float(found.pvalue)
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
    """Bootstrap units within the layers of each network."""
    rows, strata = [], []
    for number, pair in enumerate(both):
        for side, count in enumerate(pair):
            weight = (1 - 2 * side) / len(count.flags) / len(both)
            rows += [[weight * flag] for flag in count.flags]
            strata += [f"{number} {side} {layer}" for layer in count.layers]
    return interval(lambda sums: sums[..., 0], np.array(rows, dtype=float), resamples, seed, strata)


def comparable(names: Sequence[str]) -> None:
    """Check that some two conditions have a pair in common.

    Raises:
        InputError: If not: nothing could be compared.
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

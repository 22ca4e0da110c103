"""Estimates of false matches, from null units that cannot truly match.

Null units are described and searched like the network's own units. There are two kinds: decoys,
which are selective for nothing, and units of networks with random weights, which have learned
nothing. Their matches stand for false matches, as decoy sequences do in proteomics (Elias and Gygi,
Nature Methods 4, 2007). What share of the network's units are null is unknown: units that truly
match are not, nor are units that have learned something else. This share is estimated from the
matches with the least confidence, which are taken to be false (after Storey, J. R. Statist. Soc. B
64, 2002): if half of the null matches have a confidence of at most .7, the number of false matches
is twice the number of matches with such a confidence. Without confidences, or with few null
matches, it is estimated from the units that do not match, which are all taken to be null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmark.intervals import COVERAGE
from milannotations.ablation import LayerUnit

CONFIDENT = 0.1
DECOYS, UNTRAINED = "decoys", "random weights"
_ENOUGH = 20  # fewest null matches whose confidences are used
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NullUnits:
    """Units that cannot truly match, and whether their descriptions do.

    Attributes:
        kind: ``DECOYS`` or ``UNTRAINED``.
        layers: Layer of each unit.
        matched: Whether its description matches.
        scores: The describer's confidence; None if it gives none.
        networks: Number of the network with random weights that each belongs to; 0 for decoys.
    """

    kind: str
    layers: tuple[str, ...]
    matched: tuple[bool, ...]
    scores: tuple[float | None, ...]
    networks: tuple[int, ...]


@dataclass(frozen=True)
class FalseMatchEstimate:
    """An estimate of how many matches are false.

    Attributes:
        kind: The kind of null units; see ``NullUnits``.
        matched: Number of units that match.
        nulls: Number of null units.
        matched_nulls: Number of null units that match.
        shares: Share of null units that match, 0 to 1, for each network with random weights.
        false: Expected number of false matches, counting one null match more than was seen.
        rate: Expected share of false matches, 0 to 1; 1 if nothing matches.
        low: Lower end of the 95 % interval of ``rate``; see ``estimate_false_matches``. NaN for
            fewer than two networks with random weights.
        high: Its upper end.
        q: The q-value of each matching unit: the lowest rate of any set of most confident matches
            that includes it; NaN without confidences.
    """

    kind: str
    matched: int
    nulls: int
    matched_nulls: int
    shares: tuple[float, ...]
    false: float
    rate: float
    low: float
    high: float
    q: dict[LayerUnit, float]

    def confident(self, rate: float = CONFIDENT) -> int:
        """Return how many of the most confident matches can be taken with at most this rate."""
        return sum(value <= rate for value in self.q.values())


def estimate_false_matches(
    units: Sequence[LayerUnit], matched: Mapping[LayerUnit, float | None], nulls: NullUnits
) -> FalseMatchEstimate:
    """Estimate how many of the matches are false.

    One null match more than was seen is counted, since an estimate of 0 from few null units would
    promise too much. The interval is Student's prediction interval. It covers the variation between
    networks with random weights, and chance in the number of matches with little confidence, but
    not that units that have learned something else may match with another confidence.

    Args:
        units: All described units.
        matched: Confidence of each matching unit; None if the describer gives none.
        nulls: The null units, at least one in each layer.

    >>> units = [("conv1", unit) for unit in range(10)]
    >>> matched = (True, *(False,) * 9)
    >>> nulls = NullUnits(DECOYS, ("conv1",) * 10, matched, (None,) * 10, (0,) * 10)
    >>> round(estimate_false_matches(units, dict.fromkeys(units[:4]), nulls).rate, 2)
    0.44
    """
    weights = _weights(units, nulls.layers)
    hits = np.array(nulls.matched, dtype=bool)
    expected = float(weights[hits].sum())
    mean_weight = float(weights.mean()) if len(weights) else 1.0
    level = _levels(matched, nulls)
    sure = level is not None and hits.sum() >= _ENOUGH
    if level is not None and sure:
        false, rates, error = _by_confidence(matched, nulls, weights, level)
    else:
        false, rates, error = _by_counts(units, matched, nulls, weights, mean_weight)
    networks = np.array(nulls.networks)
    of_each = [networks == number for number in dict.fromkeys(nulls.networks)]
    trained = nulls.kind == UNTRAINED
    low, high = prediction(rates, error) if trained else (np.nan, np.nan)
    share = false / expected if sure else _null_share(len(units), len(matched), expected)
    return FalseMatchEstimate(
        nulls.kind,
        len(matched),
        len(hits),
        int(hits.sum()),
        tuple(float(hits[mine].mean()) for mine in of_each) if trained else (),
        false,
        min(1.0, false / len(matched)) if matched else 1.0,
        low,
        high,
        _q_values(matched, hits, level, share * weights, mean_weight),
    )


def _levels(matched: Mapping[LayerUnit, float | None], nulls: NullUnits) -> Floats | None:
    """Return the confidences of null units; None if any unit lacks one."""
    if any(score is None for score in [*matched.values(), *nulls.scores]):
        return None
    return np.array(nulls.scores, dtype=float)


def _by_confidence(
    matched: Mapping[LayerUnit, float | None], nulls: NullUnits, weights: Floats, level: Floats
) -> tuple[float, list[float], float]:
    """Estimate from the matches that are at most as confident as half of the null matches.

    Returns:
        The number of false matches; the share of false matches by each network alone; and the
        standard error of that share that stems from the number of matches with little confidence.
    """
    hits = np.array(nulls.matched, dtype=bool)
    scores = np.array([matched[unit] for unit in matched], dtype=float)
    limit = float(np.median(level[hits]))
    count = int((scores <= limit).sum())
    below = hits & (level <= limit)
    share_below = float(weights[below].sum() / weights[hits].sum())
    if not matched:
        return 0.0, [], 0.0
    networks = np.array(nulls.networks)
    rates = []
    for number in dict.fromkeys(nulls.networks):
        mine = networks == number
        whole = float(weights[hits & mine].sum())
        own = float(weights[below & mine].sum()) / whole if whole else share_below
        rates.append(min(1.0, count / max(own * len(matched), 1e-9)))
    error = float(np.sqrt(count / share_below * (1 - share_below) / share_below)) / len(matched)
    return min(float(len(matched)), (count + 1) / share_below), rates, error


def _by_counts(
    units: Sequence[LayerUnit],
    matched: Mapping[LayerUnit, float | None],
    nulls: NullUnits,
    weights: Floats,
    mean_weight: float,
) -> tuple[float, list[float], float]:
    """Estimate from the share of null units that match; returns the same as ``_by_confidence``."""
    hits = np.array(nulls.matched, dtype=bool)
    networks = np.array(nulls.networks)
    each = [networks == number for number in dict.fromkeys(nulls.networks)]
    rates = []
    for mine in each if matched else []:
        expected = len(each) * float(weights[hits & mine].sum())
        own = _null_share(len(units), len(matched), expected)
        rates.append(min(1.0, own * expected / len(matched)))
    expected = float(weights[hits].sum())
    return _null_share(len(units), len(matched), expected) * expected + mean_weight, rates, 0.0


def _weights(units: Sequence[LayerUnit], layers: Sequence[str]) -> Floats:
    """Return the number of units of its layer that each null unit stands for."""
    units_in = Counter(layer for layer, _ in units)
    nulls_in = Counter(layers)
    return np.array([units_in[layer] / nulls_in[layer] for layer in layers], dtype=float)


def _null_share(units: int, matched: int, expected: float) -> float:
    """Return the share of units that are null, if all units that are not match.

    One more unit than does not match is counted as null, so that the share is never 0.

    Args:
        units: Number of units.
        matched: Number of units that match.
        expected: Number of units that would match if all were null.
    """
    unexpected = units - expected
    return min(1.0, (units - matched + 1) / unexpected) if unexpected > 0 else 1.0


def prediction(shares: Sequence[float], error: float = 0.0) -> tuple[float, float]:
    """Return Student's 95 % prediction interval for one more share, clipped to 0 and 1.

    Both ends are NaN for fewer than two shares.

    Args:
        shares: The shares, 0 to 1.
        error: Standard error that all shares have in common.
    """
    if len(shares) < 2:
        return float("nan"), float("nan")
    values = np.asarray(shares)
    spread = np.sqrt(values.var(ddof=1) * (1 + 1 / len(values)) + error**2)
    half = float(stats.t.ppf((1 + COVERAGE) / 2, len(values) - 1) * spread)
    return float(max(0.0, values.mean() - half)), float(min(1.0, values.mean() + half))


def _q_values(
    matched: Mapping[LayerUnit, float | None],
    hits: NDArray[np.bool_],
    level: Floats | None,
    weights: Floats,
    mean_weight: float,
) -> dict[LayerUnit, float]:
    if level is None:
        return {unit: float("nan") for unit in matched}
    scores = np.array([matched[unit] for unit in matched], dtype=float)
    ordered = sorted(matched, key=lambda unit: -float(matched[unit] or 0.0))
    rates = []
    for unit in ordered:
        least = float(matched[unit] or 0.0)
        above = float(weights[hits & (level >= least)].sum()) if len(weights) else 0.0
        rates.append(min(1.0, (above + mean_weight) / int((scores >= least).sum())))
    least_so_far = np.minimum.accumulate(rates[::-1])[::-1]
    return {unit: float(value) for unit, value in zip(ordered, least_so_far, strict=True)}

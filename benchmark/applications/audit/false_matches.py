"""How many matches are false: by units of which it is known that they cannot truly match.

Null units are described and searched as the network's own. Two kinds serve: decoys, which do not
care what they see, and units of networks with random weights, which have learned nothing. The share
of null units that match, times the number of units that are null, estimates the number of false
matches, as decoy sequences do in proteomics (Elias and Gygi, Nature Methods 4, 2007). How many
units are null is estimated by those that do not match (Storey, J. R. Statist. Soc. B 64, 2002):
a unit that truly matches is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from milannotations.ablation import Unit

CONFIDENT = 0.1
DECOYS, UNTRAINED = "decoys", "random weights"
_LEVEL = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NullUnits:
    """Units that cannot truly match, and whether they do.

    Attributes:
        kind: ``DECOYS`` or ``UNTRAINED``.
        layers: The layer of each.
        matched: Whether its description matches.
        scores: The describer's confidence; None where it has none.
        networks: For each the number of the network with random weights that it is of; of decoys 0.
    """

    kind: str
    layers: tuple[str, ...]
    matched: tuple[bool, ...]
    scores: tuple[float | None, ...]
    networks: tuple[int, ...]


@dataclass(frozen=True)
class Discovery:
    """How many matches are false, by estimate.

    Attributes:
        kind: The kind of null units; see ``NullUnits``.
        matched: Units that match.
        nulls: Null units.
        matched_nulls: Null units that match.
        shares: Share of null units that match, 0 to 1, of each network with random weights.
        false: Units expected to match falsely.
        rate: Expected share of the matches that is false, 0 to 1; 1 if nothing matches.
        low: Lower end of the 95 % interval of ``rate``; see ``discovery``. NaN for fewer than two
            networks with random weights.
        high: Its upper end.
        q: For each matching unit, the least rate among the matches that are at least as confident
            as some match no more confident than it; NaN without confidences.
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
    q: dict[Unit, float]

    def confident(self, rate: float = CONFIDENT) -> int:
        """Return how many matches can be taken such that at most this share is false."""
        return sum(value <= rate for value in self.q.values())


def discovery(
    units: Sequence[Unit], matched: Mapping[Unit, float | None], nulls: NullUnits
) -> Discovery:
    """Estimate how many of the matches are false.

    A layer's null units are expected to match as often as the null units that were described. One
    match more than was seen is counted, as an estimate of 0 from few null units would promise too
    much. The interval is Student's for a prediction: where the estimate would lie had another
    network with random weights been the only control. It says nothing about units that have
    learned something else.

    Args:
        units: All described units.
        matched: Confidence of each that matches; None where the describer has none.
        nulls: The null units: at least one in each layer.
    """
    weights = _weights(units, nulls.layers)
    hits = np.array(nulls.matched, dtype=bool)
    share = _null_share(len(units), len(matched), float(weights[hits].sum()))
    one = float(weights.mean()) if len(weights) else 1.0
    false = share * float(weights[hits].sum())
    rate = min(1.0, (false + one) / len(matched)) if matched else 1.0
    networks = np.array(nulls.networks)
    of_each = [networks == number for number in dict.fromkeys(nulls.networks)]
    rates = []
    for mine in of_each:
        expected = len(of_each) * float(weights[hits & mine].sum())
        own = _null_share(len(units), len(matched), expected)
        rates.append(min(1.0, own * expected / len(matched)) if matched else 1.0)
    low, high = prediction(rates) if nulls.kind == UNTRAINED else (np.nan, np.nan)
    return Discovery(
        nulls.kind, len(matched), len(hits), int(hits.sum()),
        tuple(float(hits[mine].mean()) for mine in of_each) if nulls.kind == UNTRAINED else (),
        false, rate, low, high, _q_values(matched, nulls, share * weights, one),
    )  # fmt: skip


def _weights(units: Sequence[Unit], layers: Sequence[str]) -> Floats:
    """Return for each null unit how many units of its layer it stands for."""
    of_units: dict[str, int] = {}
    for layer, _ in units:
        of_units[layer] = of_units.get(layer, 0) + 1
    of_nulls: dict[str, int] = {}
    for layer in layers:
        of_nulls[layer] = of_nulls.get(layer, 0) + 1
    return np.array([of_units.get(layer, 0) / of_nulls[layer] for layer in layers], dtype=float)


def _null_share(units: int, matched: int, expected: float) -> float:
    """Return the share of units that is null, if all that truly respond match.

    One more than do not match is counted as null, so that it is never 0.

    Args:
        units: How many units there are.
        matched: How many match.
        expected: How many would match if all were null.
    """
    rest = units - expected
    return min(1.0, (units - matched + 1) / rest) if rest > 0 else 1.0


def prediction(shares: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval for one more share of the same kind, by Student's t.

    It is cut at 0 and 1; NaN for fewer than two shares.
    """
    if len(shares) < 2:
        return float("nan"), float("nan")
    values = np.asarray(shares)
    half = stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1) * values.std(ddof=1)
    half *= np.sqrt(1 + 1 / len(values))
    return float(max(0.0, values.mean() - half)), float(min(1.0, values.mean() + half))


def _q_values(
    matched: Mapping[Unit, float | None], nulls: NullUnits, weights: Floats, one: float
) -> dict[Unit, float]:
    scores = [score for score in matched.values() if score is not None]
    if len(scores) < len(matched) or any(score is None for score in nulls.scores):
        return {unit: float("nan") for unit in matched}
    level = np.array([-np.inf if score is None else score for score in nulls.scores])
    hits = np.array(nulls.matched, dtype=bool)
    ordered = sorted(matched, key=lambda unit: -float(matched[unit] or 0.0))
    rates = []
    for unit in ordered:
        least = float(matched[unit] or 0.0)
        as_good = sum(1 for score in scores if score >= least)
        above = float(weights[hits & (level >= least)].sum()) if len(weights) else 0.0
        rates.append(min(1.0, (above + one) / as_good))
    least_so_far = np.minimum.accumulate(rates[::-1])[::-1]
    return {unit: float(value) for unit, value in zip(ordered, least_so_far, strict=True)}

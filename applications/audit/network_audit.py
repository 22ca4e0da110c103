"""Audits of described networks: matches, estimates of false ones, and comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from applications.audit.conditions import ConditionDifference, MatchCount, compare, parse_name
from applications.audit.decoys import make_decoys
from applications.audit.false_matches import (
    DECOYS,
    UNTRAINED,
    FalseMatchEstimate,
    NullUnits,
    estimate_false_matches,
)
from applications.config import AuditStatistics
from applications.network_descriptions import DescribedNetwork, LazyDescriber, describe
from applications.tables import write_csv_tables
from applications.word_search import WordSearch
from benchmark.intervals import wilson
from milannotations.ablation import LayerUnit
from milannotations.networks.lookup import network_at_hand
from milannotations.untrusted_text import as_cell


@dataclass(frozen=True)
class NetworkAudit:
    """The matching units of one network.

    Attributes:
        name: Name of the network, ``condition/pair``.
        described: The network and its descriptions.
        matches: The matching units, each with the words of its description that matched.
        decoys: Estimate of false matches from decoys; None without decoys.
        control: Estimate of false matches from networks with random weights; None without them.
        untrained: For each of these networks, by layer, whether each unit matches.
    """

    name: str
    described: DescribedNetwork
    matches: Mapping[LayerUnit, tuple[str, ...]]
    decoys: FalseMatchEstimate | None = None
    control: FalseMatchEstimate | None = None
    untrained: tuple[Mapping[str, tuple[bool, ...]], ...] = ()

    @property
    def false_matches(self) -> FalseMatchEstimate | None:
        """The estimate that is reported: the greater one, as both kinds of match are false."""
        estimates = [estimate for estimate in (self.control, self.decoys) if estimate is not None]
        return max(estimates, key=lambda estimate: estimate.rate) if estimates else None

    def untrained_share(self, layer: str = "all") -> float | None:
        """Return the share of units that match, over all networks with random weights, or None."""
        flags = [
            flag
            for network in self.untrained
            for name, own in network.items()
            if layer in (name, "all")
            for flag in own
        ]
        return sum(flags) / len(flags) if flags else None

    @property
    def summary(self) -> str:
        """A line on the network for the terminal."""
        text = f"{self.name}: {len(self.matches)} of {len(self.described.units)} units match"
        if self.untrained:
            text += f"; with random weights {100 * (self.untrained_share() or 0):.0f} %"
        if self.false_matches and self.matches:
            text += f"; {rate_text([self.false_matches])} false by estimate"
        return text

    @property
    def count(self) -> MatchCount:
        """The matches, for comparisons with other networks."""
        condition, pair = parse_name(self.name)
        units = self.described.units
        return MatchCount(
            self.name,
            condition,
            pair,
            tuple(unit in self.matches for unit in units),
            tuple(layer for layer, _ in units),
        )

    def sorted(self) -> list[LayerUnit]:
        """Return the matching units, the most confident first."""
        scores = self.described.score_of

        def confidence(unit: LayerUnit) -> float:
            score = scores[unit]
            return -math.inf if score is None else score

        return sorted(self.matches, key=confidence, reverse=True)


@dataclass(frozen=True)
class Audit:
    """The matching units of several networks.

    Attributes:
        search: The words that descriptions were searched for.
        networks: The matches of each network.
        effects: Differences between conditions.
        missing_controls: By network, why it has no control with random weights.
    """

    search: WordSearch
    networks: tuple[NetworkAudit, ...]
    effects: tuple[ConditionDifference, ...]
    missing_controls: Mapping[str, str] = field(default_factory=dict)


def audit_descriptions(
    networks: Mapping[str, DescribedNetwork],
    search: WordSearch,
    describer: LazyDescriber | None,
    work: Path,
    statistics: AuditStatistics | None = None,
    *,
    controls: Mapping[str, Sequence[DescribedNetwork]] | None = None,
) -> Audit:
    """Search the descriptions of networks for words; that nothing matches is a result, too.

    Args:
        networks: By name; ``condition/pair`` if they are compared in pairs.
        search: The words.
        describer: The describer of the networks, for decoys; None to leave decoys out.
        work: Folder for the descriptions of decoys.
        statistics: Numbers of decoys and bootstrap resamples, and the seed of both.
        controls: By network: networks of its architecture with random weights, described by the
            same describer on the same images.
    """
    statistics = statistics or AuditStatistics()
    audits = []
    for name, described in networks.items():
        matches = search.matches(described.units, described.texts)
        confidence = {unit: described.score_of[unit] for unit in matches}
        by_decoys = by_control = None
        if describer is not None and described.images is not None and statistics.decoys:
            nulls = _decoys(described, search, describer, work, statistics)
            by_decoys = estimate_false_matches(described.units, confidence, nulls)
        untrained = tuple((controls or {}).get(name, ()))
        if untrained:
            nulls = _untrained(untrained, search)
            by_control = estimate_false_matches(described.units, confidence, nulls)
        flags = tuple(_flags(control, search) for control in untrained)
        audits.append(NetworkAudit(name, described, matches, by_decoys, by_control, flags))
    effects: list[ConditionDifference] = []
    if len(audits) > 1:
        counts = [audit.count for audit in audits]
        effects = compare(counts, statistics.resamples, statistics.seed)
    return Audit(search, tuple(audits), tuple(effects))


def _decoys(
    described: DescribedNetwork,
    search: WordSearch,
    describer: LazyDescriber,
    work: Path,
    statistics: AuditStatistics,
) -> NullUnits:
    assert described.exemplars is not None
    assert described.images is not None
    decoys = make_decoys(described.exemplars, described.images, statistics.seed, statistics.decoys)
    with network_at_hand(described.loaded):
        descriptions = describe(decoys.neurons, work, describer, str(described.device))
    return NullUnits(
        DECOYS,
        decoys.layers,
        tuple(bool(search.words.matches(text)) for text in descriptions["description"]),
        tuple(None if pd.isna(s) else float(s) for s in descriptions["score"]),
        (0,) * len(decoys.layers),
    )


def _untrained(networks: Sequence[DescribedNetwork], search: WordSearch) -> NullUnits:
    return NullUnits(
        UNTRAINED,
        tuple(layer for network in networks for layer, _ in network.units),
        tuple(bool(search.words.matches(text)) for network in networks for text in network.texts),
        tuple(score for network in networks for score in network.scores),
        tuple(number for number, network in enumerate(networks) for _ in network.units),
    )


def _flags(network: DescribedNetwork, search: WordSearch) -> dict[str, tuple[bool, ...]]:
    """Return by layer whether each unit matches."""
    by_layer: dict[str, list[bool]] = {}
    for (layer, _), text in zip(network.units, network.texts, strict=True):
        by_layer.setdefault(layer, []).append(bool(search.words.matches(text)))
    return {layer: tuple(flags) for layer, flags in by_layer.items()}


def rate_text(estimates: Sequence[FalseMatchEstimate]) -> str:
    """Return the rates of some estimates as text: one with its interval, or their range."""
    rates = [estimate.rate for estimate in estimates]
    low, high = (f"{100 * value:.0f}" for value in (min(rates), max(rates)))
    if len(estimates) == 1 and not math.isnan(estimates[0].low):
        return f"{low} % ({100 * estimates[0].low:.0f} to {100 * estimates[0].high:.0f})"
    return f"{low} %" if low == high else f"{low} to {high} %"


def unit_table(audit: Audit) -> pd.DataFrame:
    """Return a row for each matching unit of each network."""
    rows = []
    for network in audit.networks:
        described = network.described
        q = network.false_matches.q if network.false_matches else {}
        rows += [
            {
                "network": network.name,
                "model": described.loaded.name,
                "dataset": described.loaded.dataset,
                "layer": unit[0],
                "unit": unit[1],
                "description": described.text_of[unit],
                "matched": "; ".join(network.matches[unit]),
                "confidence": described.score_of[unit],
                "false_discovery": q.get(unit),
            }
            for unit in network.sorted()
        ]
    columns = "network model dataset layer unit description matched confidence false_discovery"
    return pd.DataFrame(rows, columns=columns.split())


def layer_table(audit: Audit) -> pd.DataFrame:
    """Return a row for each layer of each network, and one for all its layers: for a model card."""
    rows = []
    for network in audit.networks:
        described = network.described
        for layer in [*described.layers, "all"]:
            units = described.units_in(layer)
            matching = sum(unit in network.matches for unit in units)
            share = wilson(matching, len(units))
            estimate = network.false_matches if layer == "all" and network.matches else None
            rows.append(
                {
                    "network": network.name,
                    "model": described.loaded.name,
                    "dataset": described.loaded.dataset,
                    "words": "; ".join(audit.search.words.terms),
                    "layer": layer,
                    "units": len(units),
                    "matching": matching,
                    "share": share.value,
                    "low": share.low,
                    "high": share.high,
                    "share_random_weights": network.untrained_share(layer),
                    "false_discovery": estimate and estimate.rate,
                    "false_discovery_low": estimate and estimate.low,
                    "false_discovery_high": estimate and estimate.high,
                }
            )
    return pd.DataFrame(rows)


def untrained_table(audit: Audit) -> pd.DataFrame:
    """Return a row for each layer of each network with random weights."""
    return pd.DataFrame(
        [
            [network.name, number, layer, len(flags), sum(flags)]
            for network in audit.networks
            for number, control in enumerate(network.untrained, start=1)
            for layer, flags in control.items()
        ],
        columns=["network", "control", "layer", "units", "matching"],
    )


def comparison_table(audit: Audit) -> pd.DataFrame:
    """Return a row for each pair of two conditions, then one for the mean of each two."""
    pairs = [
        [d.first, d.second, pair, a.value, b.value, a.value - b.value, None, None, None]
        for d in audit.effects
        for pair, (a, b) in d.pairs.items()
    ]
    means = [
        [
            d.first,
            d.second,
            "mean",
            None,
            None,
            d.difference.value,
            d.difference.low,
            d.difference.high,
            d.p,
        ]
        for d in audit.effects
    ]
    columns = "first second pair share_first share_second difference low high p"
    return pd.DataFrame(pairs + means, columns=columns.split())


def write_tables(audit: Audit, out: Path) -> None:
    """Write ``model-card.csv``, ``units.csv``, and the tables of controls and comparisons.

    ``random-weights.csv`` has the controls, ``comparison.csv`` the differences of networks; each is
    written only if there are any.
    """
    units = unit_table(audit)
    for column in ("description", "matched"):
        units[column] = [as_cell(text) for text in units[column]]
    tables = {"model-card.csv": layer_table(audit), "units.csv": units}
    if any(network.untrained for network in audit.networks):
        tables["random-weights.csv"] = untrained_table(audit)
    if audit.effects:
        tables["comparison.csv"] = comparison_table(audit)
    write_csv_tables(tables, out)

"""An audit from beginning to end: describe, search, estimate what is by chance, compare."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from applications.network_descriptions import DescribedNetwork, LazyDescriber, Unit, describe
from applications.word_search import WordSearch
from benchmark.intervals import wilson
from milannotations.networks.lookup import network_at_hand
from milannotations.storage import atomic_path
from milannotations.untrusted_text import as_cell


@dataclass(frozen=True)
class NetworkAudit:
    """What was found in one network.

    Attributes:
        name: The network's, ``condition/pair``.
        described: The network and its descriptions.
        matches: What matched of each unit that does.
        decoys: How many of them are false by decoys; None without decoys.
        control: The same by networks with random weights; None without them.
        untrained: The matches in each of these networks: a flag for each unit, by layer.
    """

    name: str
    described: DescribedNetwork
    matches: Mapping[Unit, tuple[str, ...]]
    decoys: FalseMatchEstimate | None = None
    control: FalseMatchEstimate | None = None
    untrained: tuple[Mapping[str, tuple[bool, ...]], ...] = ()

    @property
    def false_matches(self) -> FalseMatchEstimate | None:
        """The estimate that is reported: the greater of the two, as both kinds are false."""
        estimates = [estimate for estimate in (self.control, self.decoys) if estimate is not None]
        return max(estimates, key=lambda estimate: estimate.rate) if estimates else None

    def untrained_share(self, layer: str = "all") -> float | None:
        """Return the share that matches with random weights, over all these networks, or None."""
        flags = [
            flag
            for network in self.untrained
            for name, own in network.items()
            if layer in (name, "all")
            for flag in own
        ]
        return sum(flags) / len(flags) if flags else None

    @property
    def count(self) -> MatchCount:
        """The matches, to be compared."""
        condition, pair = parse_name(self.name)
        units = self.described.units
        return MatchCount(
            self.name,
            condition,
            pair,
            tuple(unit in self.matches for unit in units),
            tuple(layer for layer, _ in units),
        )

    def sorted(self) -> list[Unit]:
        """Return the matching units, the most confident first."""
        score = dict(zip(self.described.units, self.described.scores, strict=True))

        def confidence(unit: Unit) -> float:
            value = score[unit]
            return -math.inf if value is None else value

        return sorted(self.matches, key=confidence, reverse=True)


@dataclass(frozen=True)
class Audit:
    """What was found in all networks.

    Attributes:
        search: What descriptions were searched for.
        networks: What was found in each.
        effects: How conditions differ.
    """

    search: WordSearch
    networks: tuple[NetworkAudit, ...]
    effects: tuple[ConditionDifference, ...]


def audit(
    networks: Mapping[str, DescribedNetwork],
    search: WordSearch,
    speaker: LazyDescriber | None,
    work: Path,
    statistics: AuditStatistics = AuditStatistics(),  # noqa: B008  (frozen)
    *,
    controls: Mapping[str, Sequence[DescribedNetwork]] | None = None,
) -> Audit:
    """Search the descriptions of networks. That nothing matches is a result too.

    Args:
        networks: By name; ``condition/pair`` where they are to be compared in pairs.
        search: What for.
        speaker: Who described them, to describe decoys as well; None to leave decoys out.
        work: Folder for the descriptions of decoys.
        statistics: How many decoys a layer has at most, 0 for none, and bootstrap resamples.
        controls: By the network's name: networks of its architecture with random weights,
            described by the same describer on the same images.
    """
    found = []
    for name, described in networks.items():
        matches = search.matches(described.units, described.texts)
        score = dict(zip(described.units, described.scores, strict=True))
        confidence = {unit: score[unit] for unit in matches}
        of_decoys = of_control = None
        if speaker is not None and described.images is not None and statistics.decoys:
            nulls = _decoys(described, search, speaker, work, statistics.seed, statistics.decoys)
            of_decoys = estimate_false_matches(described.units, confidence, nulls)
        untrained = tuple((controls or {}).get(name, ()))
        if untrained:
            nulls = _untrained(untrained, search)
            of_control = estimate_false_matches(described.units, confidence, nulls)
        flags = tuple(_flags(control, search) for control in untrained)
        found.append(NetworkAudit(name, described, matches, of_decoys, of_control, flags))
    effects = (
        compare([one.count for one in found], statistics.resamples, statistics.seed)
        if len(found) > 1
        else []
    )
    return Audit(search, tuple(found), tuple(effects))


def _decoys(
    described: DescribedNetwork,
    search: WordSearch,
    speaker: LazyDescriber,
    work: Path,
    seed: int,
    most: int,
) -> NullUnits:
    assert described.exemplars is not None
    assert described.images is not None
    made = make_decoys(described.exemplars, described.images, seed, most)
    with network_at_hand(described.loaded):
        descriptions = describe(made.neurons, work, speaker, str(described.device))
    return NullUnits(
        DECOYS,
        made.layers,
        tuple(bool(search.words.matches(text)) for text in descriptions["description"]),
        tuple(None if pd.isna(s) else float(s) for s in descriptions["score"]),
        (0,) * len(made.layers),
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
    by_layer: dict[str, list[bool]] = {}
    for (layer, _), text in zip(network.units, network.texts, strict=True):
        by_layer.setdefault(layer, []).append(bool(search.words.matches(text)))
    return {layer: tuple(flags) for layer, flags in by_layer.items()}


def unit_table(found: Audit) -> pd.DataFrame:
    """Return a row for each matching unit of each network."""
    rows = []
    for one in found.networks:
        text = dict(zip(one.described.units, one.described.texts, strict=True))
        score = dict(zip(one.described.units, one.described.scores, strict=True))
        q = one.false_matches.q if one.false_matches else {}
        rows += [
            [
                one.name,
                one.described.loaded.name,
                one.described.loaded.dataset,
                layer,
                unit,
                text[layer, unit],
                "; ".join(one.matches[layer, unit]),
                score[layer, unit],
                q.get((layer, unit)),
            ]
            for layer, unit in one.sorted()
        ]
    return pd.DataFrame(
        rows,
        columns=[
            "network",
            "model",
            "dataset",
            "layer",
            "unit",
            "description",
            "matched",
            "confidence",
            "false_discovery",
        ],
    )


def layer_table(found: Audit) -> pd.DataFrame:
    """Return a row for each layer of each network, and one for all its layers: for a model card."""
    rows = []
    for one in found.networks:
        for layer in [*one.described.layers, "all"]:
            units = [u for u in one.described.units if layer in (u[0], "all")]
            count = sum(unit in one.matches for unit in units)
            shared = wilson(count, len(units))
            rows.append(
                [
                    one.name,
                    one.described.loaded.name,
                    one.described.loaded.dataset,
                    "; ".join(found.search.words.terms),
                    layer,
                    len(units),
                    count,
                    shared.value,
                    shared.low,
                    shared.high,
                    one.untrained_share(layer),
                    *(_rates(one.false_matches) if layer == "all" else (None,) * 3),
                ]
            )
    return pd.DataFrame(
        rows,
        columns=[
            "network",
            "model",
            "dataset",
            "words",
            "layer",
            "units",
            "matching",
            "share",
            "low",
            "high",
            "share_random_weights",
            "false_discovery",
            "false_discovery_low",
            "false_discovery_high",
        ],
    )


def _rates(estimate: FalseMatchEstimate | None) -> tuple[float | None, ...]:
    if estimate is None or not estimate.matched:
        return (None,) * 3
    return estimate.rate, estimate.low, estimate.high


def untrained_table(found: Audit) -> pd.DataFrame:
    """Return a row for each layer of each network with random weights."""
    return pd.DataFrame(
        [
            [audited.name, number, layer, len(flags), sum(flags)]
            for audited in found.networks
            for number, network in enumerate(audited.untrained, start=1)
            for layer, flags in network.items()
        ],
        columns=["network", "control", "layer", "units", "matching"],
    )


def write_tables(found: Audit, out: Path) -> None:
    """Write ``model-card.csv`` and ``units.csv``, and what else there is.

    ``random-weights.csv`` has the controls, ``comparison.csv`` the differences of networks.
    """
    units = unit_table(found)
    for column in ("description", "matched"):
        units[column] = [as_cell(text) for text in units[column]]
    tables = {"model-card.csv": layer_table(found), "units.csv": units}
    if any(audited.untrained for audited in found.networks):
        tables["random-weights.csv"] = untrained_table(found)
    if found.effects:
        tables["comparison.csv"] = pd.DataFrame(
            [
                [e.first, e.second, pair, a.value, b.value, a.value - b.value, None, None, None]
                for e in found.effects
                for pair, (a, b) in e.pairs.items()
            ]
            + [
                [
                    e.first,
                    e.second,
                    "mean",
                    None,
                    None,
                    e.difference.value,
                    e.difference.low,
                    e.difference.high,
                    e.p,
                ]
                for e in found.effects
            ],
            columns=[
                "first",
                "second",
                "pair",
                "share_first",
                "share_second",
                "difference",
                "low",
                "high",
                "p",
            ],
        )
    for name, table in tables.items():
        with atomic_path(out / name) as path:
            table.to_csv(path, index=False)

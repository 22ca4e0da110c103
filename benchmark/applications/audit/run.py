"""An audit from beginning to end: describe, search, estimate what is by chance, compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.applications.audit.compare import Count, Effect, compare, parse_name
from benchmark.applications.audit.decoys import Discovery, discovery, make_decoys
from benchmark.applications.described import Described, Speaker, Unit, describe
from benchmark.applications.found import Search, nothing_found
from benchmark.statistics import wilson
from milannotations.errors import InputError
from milannotations.storage import atomic_path


@dataclass(frozen=True)
class Audited:
    """What was found in one network.

    Attributes:
        name: The network's, ``condition/pair``.
        described: The network and its descriptions.
        matches: What matched of each unit that does.
        discovery: How many of them are false; None where there are no exemplars to make decoys of.
    """

    name: str
    described: Described
    matches: Mapping[Unit, tuple[str, ...]]
    discovery: Discovery | None

    @property
    def count(self) -> Count:
        """The matches, to be compared."""
        condition, pair = parse_name(self.name)
        units = self.described.units
        return Count(
            self.name, condition, pair, tuple(unit in self.matches for unit in units),
            tuple(layer for layer, _ in units),
        )  # fmt: skip

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

    search: Search
    networks: tuple[Audited, ...]
    effects: tuple[Effect, ...]


def audit(
    networks: Mapping[str, Described],
    search: Search,
    speaker: Speaker | None,
    work: Path,
    *,
    seed: int = 0,
    decoys: int = 200,
    resamples: int = 1000,
) -> Audit:
    """Search the descriptions of networks.

    Args:
        networks: By name; ``condition/pair`` where they are to be compared in pairs.
        search: What for.
        speaker: Who described them, to describe decoys as well; None to leave decoys out.
        work: Folder for the descriptions of decoys.
        seed: Of the decoys and resamples.
        decoys: Of a layer, at most; 0 for none.
        resamples: Bootstrap resamples.

    Raises:
        InputError: If nothing matches in any network.
    """
    found = []
    for name, described in networks.items():
        matches = search.matches(described.units, described.texts)
        estimate = None
        if speaker is not None and described.images is not None and decoys:
            estimate = _by_chance(described, matches, search, speaker, work, seed, decoys)
        found.append(Audited(name, described, matches, estimate))
    if not any(one.matches for one in found):
        units = sum(len(one.described.units) for one in found)
        texts = [text for one in found for text in one.described.texts]
        raise InputError(nothing_found(search, units, texts))
    effects = compare([one.count for one in found], resamples, seed) if len(found) > 1 else []
    return Audit(search, tuple(found), tuple(effects))


def _by_chance(
    described: Described,
    matches: Mapping[Unit, tuple[str, ...]],
    search: Search,
    speaker: Speaker,
    work: Path,
    seed: int,
    most: int,
) -> Discovery:
    assert described.exemplars is not None
    assert described.images is not None
    made = make_decoys(described.exemplars, described.images, seed, most)
    score = dict(zip(described.units, described.scores, strict=True))
    said = describe(made.neurons, work, speaker, str(described.device))
    return discovery(
        described.units, {unit: score[unit] for unit in matches}, made.layers,
        [bool(search.words.matches(text)) for text in said["description"]],
        [None if pd.isna(s) else float(s) for s in said["score"]],
    )  # fmt: skip


def unit_table(found: Audit) -> pd.DataFrame:
    """Return a row for each matching unit of each network."""
    rows = []
    for one in found.networks:
        text = dict(zip(one.described.units, one.described.texts, strict=True))
        score = dict(zip(one.described.units, one.described.scores, strict=True))
        q = one.discovery.q if one.discovery else {}
        rows += [
            [one.name, one.described.loaded.name, one.described.loaded.dataset, layer, unit,
             text[layer, unit], "; ".join(one.matches[layer, unit]), score[layer, unit],
             q.get((layer, unit))]
            for layer, unit in one.sorted()
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=[
        "network", "model", "dataset", "layer", "unit", "description", "matched", "confidence",
        "false_discovery",
    ])  # fmt: skip


def layer_table(found: Audit) -> pd.DataFrame:
    """Return a row for each layer of each network, and one for all its layers: for a model card."""
    rows = []
    for one in found.networks:
        for layer in [*one.described.layers, "all"]:
            units = [u for u in one.described.units if layer in (u[0], "all")]
            count = sum(unit in one.matches for unit in units)
            shared = wilson(count, len(units))
            rows.append([
                one.name, one.described.loaded.name, one.described.loaded.dataset,
                "; ".join(found.search.words.terms), layer, len(units), count,
                shared.value, shared.low, shared.high,
                one.discovery.rate if one.discovery and layer == "all" else None,
            ])  # fmt: skip
    return pd.DataFrame(rows, columns=[
        "network", "model", "dataset", "words", "layer", "units", "matching", "share", "low",
        "high", "false_discovery",
    ])  # fmt: skip


def write_tables(found: Audit, out: Path) -> None:
    """Write ``model-card.csv``, ``units.csv`` and ``comparison.csv`` (where networks differ)."""
    from milannotations.page import as_cell

    units = unit_table(found)
    for column in ("description", "matched"):
        units[column] = [as_cell(text) for text in units[column]]
    tables = {"model-card.csv": layer_table(found), "units.csv": units}
    if found.effects:
        tables["comparison.csv"] = pd.DataFrame(
            [
                [e.first, e.second, pair, a.value, b.value, a.value - b.value, None, None, None]
                for e in found.effects for pair, (a, b) in e.pairs.items()
            ] + [
                [e.first, e.second, "mean", None, None, e.difference.value, e.difference.low,
                 e.difference.high, e.p]
                for e in found.effects
            ],
            columns=["first", "second", "pair", "share_first", "share_second", "difference",
                     "low", "high", "p"],
        )  # fmt: skip
    for name, table in tables.items():
        with atomic_path(out / name) as path:
            table.to_csv(path, index=False)

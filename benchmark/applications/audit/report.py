"""The report of an audit: one page, to be read on a screen or attached to a model card as PDF."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from benchmark.applications.audit.compare import Effect
from benchmark.applications.audit.run import Audit, Audited
from benchmark.applications.figures import matches_by_layer, pairs
from benchmark.applications.page import (
    Card,
    Cards,
    Number,
    Picture,
    Section,
    Table,
    render,
    sheet_of,
)
from benchmark.statistics import Interval, wilson

_CARDS = 12  # of a network
_NETWORKS = 4  # with cards


def write_report(found: Audit, out: Path, facts: Mapping[str, str]) -> Path:
    """Write ``report.html`` and its figures.

    Args:
        found: The audit.
        out: An existing folder.
        facts: How it was made.
    """
    words = found.search.title
    sections = [_counts(found, out)]
    if found.effects:
        sections.append(_comparison(found, out))
    shown = [one for one in found.networks if one.matches][:_NETWORKS]
    sections += [_units(one, found) for one in shown]
    if found.search.added:
        sections.append(_words(found))
    matched = sum(len(one.matches) for one in found.networks)
    total = sum(len(one.described.units) for one in found.networks)
    rates = [one.discovery.rate for one in found.networks if one.discovery and one.matches]
    numbers = [
        Number("units that match", f"{matched:,} of {total:,}", _percent(wilson(matched, total))),
    ]
    if rates:
        numbers.append(
            Number(
                "false, by estimate",
                _rates(rates),
                "share of the matches that chance would give as well",
            )
        )
    numbers += [
        Number(
            f"{e.first} − {e.second}",
            f"{100 * e.difference.value:+.1f} points",
            f"95 % interval {100 * e.difference.low:+.1f} to {100 * e.difference.high:+.1f}",
        )
        for e in found.effects[:2]
    ]
    path = out / "report.html"
    names = ", ".join(one.name for one in found.networks[:6])
    render(
        path,
        title=f"Which units respond to {words}?",
        eyebrow="Audit",
        lead=f"Units of {names} whose descriptions name {words}. A description says what the "
        "images that activate a unit most have in common; it does not say what the network does "
        "with the unit, and a unit that is described otherwise may respond to this too.",
        numbers=numbers,
        sections=sections,
        facts=facts,
    )
    return path


def _counts(found: Audit, out: Path) -> Section:
    layers = list(dict.fromkeys(la for one in found.networks for la in one.described.layers))
    shares = {one.name: [_of_layer(one, layer) for layer in layers] for one in found.networks}
    rows = [
        [
            one.name,
            f"{len(one.described.units):,}",
            f"{len(one.matches):,}",
            _percent(wilson(len(one.matches), len(one.described.units))),
            *_false(one),
        ]
        for one in found.networks
    ]
    parts: list[Table | Picture] = [
        Table(
            "Matching units",
            ["network", "units", "matching", "share (95 % interval)", "decoys that match",
             "false, by estimate", "of these at most 10 % false"],
            rows,
        )
    ]  # fmt: skip
    if len(found.networks) <= _NETWORKS:
        figure = matches_by_layer(
            out / "matches-by-layer.png", shares, layers, "Share of units that match, by layer"
        )
        parts.append(Picture("Share of units that match, by layer, with 95 % intervals.", figure,
                             "bars: share of matching units of each layer"))  # fmt: skip
    return Section(
        "How many units match",
        [
            "A decoy is a made-up unit that does not care what it sees: images drawn at random, "
            "under masks of the layer's units. What is said of decoys is said by chance: if they "
            "match as often as units do, the matches say nothing."
        ],
        parts,
    )


def _comparison(found: Audit, out: Path) -> Section:
    parts: list[Table | Picture] = []
    for number, effect in enumerate(found.effects):
        dots = [
            (pair, {effect.first: _triple(a), effect.second: _triple(b)})
            for pair, (a, b) in effect.pairs.items()
        ]
        figure = pairs(
            out / f"comparison-{number}.png", dots, f"{effect.first} and {effect.second}",
            "share of units that match", percent=True,
        )  # fmt: skip
        parts.append(
            Picture(f"{effect.first} and {effect.second}: {_said(effect)}", figure,
                    "dots: share of matching units of each network")
        )  # fmt: skip
    rows = [
        [
            f"{e.first} − {e.second}",
            f"{e.totals[0]:,} vs {e.totals[1]:,}",
            f"{100 * e.difference.value:+.2f}",
            f"{100 * e.difference.low:+.2f} to {100 * e.difference.high:+.2f}",
            f"{len(e.pairs)}",
            "—" if math.isnan(e.p) else f"{e.p:.3g}",
        ]
        for e in found.effects
    ]  # fmt: skip
    parts.append(
        Table(
            "Difference in the share of matching units",
            ["conditions", "matching", "points", "95 % interval", "pairs", "p"],
            rows,
            note="With three pairs or more the interval is Student's over pairs: what other pairs "
            "would give. With fewer it is a bootstrap over units: it says nothing "
            "of other networks. p is exact, from exchanging the conditions within pairs.",
        )
    )
    return Section("How the networks differ", [], parts)


def _units(one: Audited, found: Audit) -> Section:
    score = dict(zip(one.described.units, one.described.scores, strict=True))
    text = dict(zip(one.described.units, one.described.texts, strict=True))
    cards = []
    for unit in one.sorted()[:_CARDS]:
        facts = []
        value = score[unit]
        if value is not None:
            facts.append(f"confidence {value:.3g}")
        if one.discovery and not math.isnan(one.discovery.q[unit]):
            facts.append(f"false discovery {one.discovery.q[unit]:.2f}")
        record = one.described.record(unit)
        cards.append(
            Card(
                f"{unit[0]} · {unit[1]}", text[unit], facts, one.matches[unit],
                sheet_of(record) if record else None,
            )
        )  # fmt: skip
    more = len(one.matches) - len(cards)
    note = f"{more} more are in units.csv." if more > 0 else ""
    return Section(f"Units of {one.name}", [], [Cards("The most confident first", cards, note)])


def _words(found: Audit) -> Section:
    rows = [
        [one.word, one.source, "—" if one.similarity is None else f"{one.similarity:.2f}"]
        for one in found.search.added
    ]
    return Section(
        "Words that were added",
        ["Every word below counts as a match; look for those that should not."],
        [Table("Added words", ["word", "because of", "similarity"], rows)],
    )


def _of_layer(one: Audited, layer: str) -> tuple[float, float, float]:
    units = [unit for unit in one.described.units if unit[0] == layer]
    if not units:
        return (math.nan, math.nan, math.nan)
    return _triple(wilson(sum(unit in one.matches for unit in units), len(units)))


def _false(one: Audited) -> tuple[str, str, str]:
    found = one.discovery
    if found is None:
        return "—", "—", "—"
    rate = f"{100 * found.rate:.0f} %" if one.matches else "—"
    sure = f"{found.confident():,}" if one.matches else "—"
    return f"{found.matched_decoys} of {found.decoys}", rate, sure


def _said(effect: Effect) -> str:
    return (
        f"{effect.totals[0]:,} against {effect.totals[1]:,} matching units; difference "
        f"{100 * effect.difference.value:+.1f} points "
        f"({100 * effect.difference.low:+.1f} to {100 * effect.difference.high:+.1f})."
    )


def _rates(rates: list[float]) -> str:
    low, high = (f"{100 * value:.0f}" for value in (min(rates), max(rates)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _percent(value: Interval) -> str:
    return f"{100 * value.value:.1f} % ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _triple(value: Interval) -> tuple[float, float, float]:
    return value.value, value.low, value.high

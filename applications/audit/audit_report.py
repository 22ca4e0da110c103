"""The report of an audit: one page, to be read on a screen or attached to a model card as PDF."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from applications.analysis.property_importance import predicted
from applications.audit.conditions import ConditionDifference
from applications.audit.false_matches import DECOYS, UNTRAINED, FalseMatchEstimate, prediction
from applications.audit.network_audit import Audit, NetworkAudit, rate_text
from applications.figures.panels import matches_by_layer, pairs
from applications.report_page import (
    KeyFigure,
    NeuronCard,
    NeuronCards,
    ReportFigure,
    ReportSection,
    ReportTable,
    render,
    sheet_of,
)
from benchmark.intervals import Interval, wilson

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
    if any(audited.untrained for audited in found.networks):
        sections.append(_controls(found, out))
    if found.effects:
        sections.append(_comparison(found, out))
    shown = [audited for audited in found.networks if audited.matches][:_NETWORKS]
    sections += [_units(audited, found) for audited in shown]
    if found.search.added:
        sections.append(_words(found))
    matched = sum(len(audited.matches) for audited in found.networks)
    total = sum(len(audited.described.units) for audited in found.networks)
    estimates = [
        audited.false_matches
        for audited in found.networks
        if audited.false_matches and audited.matches
    ]
    numbers = [
        KeyFigure(
            "units that match", f"{matched:,} of {total:,}", _percent(wilson(matched, total))
        ),
    ]
    if estimates:
        numbers.append(KeyFigure("false, by estimate", rate_text(estimates), _meaning(estimates)))
    numbers += [
        KeyFigure(
            f"{e.first} − {e.second}",
            f"{100 * e.difference.value:+.1f} points",
            f"95 % interval {100 * e.difference.low:+.1f} to {100 * e.difference.high:+.1f}",
        )
        for e in found.effects[:2]
    ]
    path = out / "report.html"
    names = ", ".join(audited.name for audited in found.networks[:6])
    render(
        path,
        title=f"Which units respond to {words}?",
        eyebrow="Audit",
        lead=_lead(found, names),
        numbers=numbers,
        sections=sections,
        facts=facts,
    )
    return path


def _counts(found: Audit, out: Path) -> ReportSection:
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
    parts: list[ReportTable | ReportFigure] = [
        ReportTable(
            "Matching units",
            [
                "network",
                "units",
                "matching",
                "share (95 % interval)",
                "decoys that match",
                "with random weights",
                "false, by estimate",
                "of these at most 10 % false",
            ],
            rows,
        )
    ]
    if len(found.networks) <= _NETWORKS:
        figure = matches_by_layer(
            out / "matches-by-layer.png", shares, layers, "Share of units that match, by layer"
        )
        parts.append(
            ReportFigure(
                "Share of units that match, by layer, with 95 % intervals.",
                figure,
                "bars: share of matching units of each layer",
            )
        )
    return ReportSection("How many units match", _explained(found), parts)


def _explained(audit: Audit) -> list[str]:
    text = [
        "A match is false, in this estimate, where a unit that has learned nothing would be "
        "described so too. Two kinds of units have learned nothing. A decoy is a made-up unit that "
        "does not care what it sees: images drawn at random, under masks of the layer's units. "
        "Units of the same architecture with random weights are selective for something, and may "
        "match because what they prefer (contrast, say) comes with it. How many of the network's "
        "matches are like theirs is told by the matches that the describer is least sure of, or, "
        "where it has no confidence, by the units that do not match. The kind that gives the "
        "greater estimate counts."
    ]
    texts = [text for audited in audit.networks for text in audited.described.texts]
    if not any(audited.matches for audited in audit.networks):
        nothing = audit.search.no_match(texts)
        text.insert(0, f"{nothing[0].upper()}{nothing[1:]}.")
    elif all(audited.control is None for audited in audit.networks):
        text.append(
            "There is no network with random weights here, so the estimate is by decoys alone: "
            "it is too low wherever units match without having learned anything."
        )
    return text


def _controls(audit: Audit, out: Path) -> ReportSection:
    rows = []
    for audited in (audited for audited in audit.networks if audited.control):
        for layer in [*audited.described.layers, "all"]:
            units = [unit for unit in audited.described.units if layer in (unit[0], "all")]
            ours = sum(unit in audited.matches for unit in units)
            each = [_share_of(network, layer) for network in audited.untrained]
            p = predicted(ours / len(units), np.array(each)) if len(each) > 1 else math.nan
            rows.append(
                [
                    audited.name,
                    layer,
                    f"{ours:,} of {len(units):,}",
                    _percent(wilson(ours, len(units))),
                    f"{100 * float(np.mean(each)):.1f} %",
                    f"{100 * min(each):.1f} to {100 * max(each):.1f} %",
                    "—" if math.isnan(p) else f"{p:.2g}",
                ]
            )
    parts: list[ReportTable | ReportFigure] = [
        ReportTable(
            "Matching units, beside networks with random weights",
            [
                "network",
                "layer",
                "matching",
                "share (95 % interval)",
                "with random weights",
                "least and greatest",
                "p",
            ],
            rows,
            note="p: could the share be that of one more network with random weights? Two-sided, "
            "by Student's t from those that were described, not adjusted for the number of rows.",
        )
    ]
    some = [audited for audited in audit.networks if audited.control][:_NETWORKS]
    layers = list(dict.fromkeys(layer for audited in some for layer in audited.described.layers))
    shares = {}
    for audited in some:
        shares[audited.name] = [_of_layer(audited, layer) for layer in layers]
        shares[f"{audited.name}, random weights"] = [
            _of_untrained(audited, layer) for layer in layers
        ]
    figure = matches_by_layer(
        out / "random-weights.png", shares, layers, "Share of units that match, by layer"
    )
    parts.append(
        ReportFigure(
            "Each network beside its architecture with random weights: mean, and 95 % "
            "interval for one more such network.",
            figure,
            "bars: share of matching units of each layer, trained and with random weights",
        )
    )
    count = len(some[0].untrained)
    return ReportSection(
        "What a network that has learned nothing gives",
        [
            f"The same architecture with random weights, {count} "
            f"{'network' if count == 1 else 'networks'}: the same layers, images, number of "
            "exemplars and describer."
        ],
        parts,
    )


def _comparison(found: Audit, out: Path) -> ReportSection:
    parts: list[ReportTable | ReportFigure] = []
    for number, effect in enumerate(found.effects):
        dots = [
            (pair, {effect.first: _triple(a), effect.second: _triple(b)})
            for pair, (a, b) in effect.pairs.items()
        ]
        figure = pairs(
            out / f"comparison-{number}.png",
            dots,
            f"{effect.first} and {effect.second}",
            "share of units that match",
            percent=True,
        )
        parts.append(
            ReportFigure(
                f"{effect.first} and {effect.second}: {_said(effect)}",
                figure,
                "dots: share of matching units of each network",
            )
        )
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
    ]
    parts.append(
        ReportTable(
            "Difference in the share of matching units",
            ["conditions", "matching", "points", "95 % interval", "pairs", "p"],
            rows,
            note="With three pairs or more the interval is Student's over pairs: what other pairs "
            "would give. With fewer it is a bootstrap over units: it says nothing "
            "of other networks. p is exact, from exchanging the conditions within pairs.",
        )
    )
    return ReportSection("How the networks differ", [], parts)


def _units(one: NetworkAudit, found: Audit) -> ReportSection:
    score = dict(zip(one.described.units, one.described.scores, strict=True))
    text = dict(zip(one.described.units, one.described.texts, strict=True))
    cards = []
    for unit in one.sorted()[:_CARDS]:
        facts = []
        value = score[unit]
        if value is not None:
            facts.append(f"confidence {value:.3g}")
        if one.false_matches and not math.isnan(one.false_matches.q[unit]):
            facts.append(f"false discovery {one.false_matches.q[unit]:.2f}")
        record = one.described.record(unit)
        cards.append(
            NeuronCard(
                f"{unit[0]} · {unit[1]}",
                text[unit],
                facts,
                one.matches[unit],
                sheet_of(record) if record else None,
            )
        )
    more = len(one.matches) - len(cards)
    note = f"{more} more are in units.csv." if more > 0 else ""
    return ReportSection(
        f"Units of {one.name}", [], [NeuronCards("The most confident first", cards, note)]
    )


def _words(found: Audit) -> ReportSection:
    rows = [
        [one.word, one.source, "—" if one.similarity is None else f"{one.similarity:.2f}"]
        for one in found.search.added
    ]
    return ReportSection(
        "Words that were added",
        ["Every word below counts as a match; look for those that should not."],
        [ReportTable("Added words", ["word", "because of", "similarity"], rows)],
    )


def _of_layer(one: NetworkAudit, layer: str) -> tuple[float, float, float]:
    units = [unit for unit in one.described.units if unit[0] == layer]
    if not units:
        return (math.nan, math.nan, math.nan)
    return _triple(wilson(sum(unit in one.matches for unit in units), len(units)))


def _share_of(network: Mapping[str, tuple[bool, ...]], layer: str) -> float:
    flags = [flag for name, own in network.items() if layer in (name, "all") for flag in own]
    return sum(flags) / len(flags) if flags else 0.0


def _of_untrained(audited: NetworkAudit, layer: str) -> tuple[float, float, float]:
    each = [_share_of(network, layer) for network in audited.untrained if layer in network]
    if not each:
        return (math.nan, math.nan, math.nan)
    low, high = prediction(each)
    mean = float(np.mean(each))
    return (mean, mean, mean) if math.isnan(low) else (mean, low, high)


def _false(audited: NetworkAudit) -> tuple[str, str, str, str]:
    estimate = audited.false_matches
    if estimate is None:
        return "—", "—", "—", "—"
    shown = (
        f"{each.matched_nulls} of {each.nulls}" if each else "—"
        for each in (audited.decoys, audited.control)
    )
    by_decoys, by_control = shown
    if not audited.matches:
        return by_decoys, by_control, "—", "—"
    rate = f"{100 * estimate.rate:.0f} %"
    if not math.isnan(estimate.low):
        rate += f" ({100 * estimate.low:.0f} to {100 * estimate.high:.0f})"
    return by_decoys, by_control, rate, f"{estimate.confident():,}"


def _said(effect: ConditionDifference) -> str:
    return (
        f"{effect.totals[0]:,} against {effect.totals[1]:,} matching units; difference "
        f"{100 * effect.difference.value:+.1f} points "
        f"({100 * effect.difference.low:+.1f} to {100 * effect.difference.high:+.1f})."
    )


def _lead(audit: Audit, names: str) -> str:
    words = audit.search.title
    if not any(audited.matches for audited in audit.networks):
        return (
            f"No unit of {names} is described with {words}. A unit may respond to it all the same: "
            "a description names what the images that activate it most have in common."
        )
    return (
        f"Units of {names} whose descriptions name {words}. A description says what the images "
        "that activate a unit most have in common; it does not say what the network does with the "
        "unit, and a unit that is described otherwise may respond to this too."
    )


def _meaning(estimates: list[FalseMatchEstimate]) -> str:
    if all(estimate.kind == UNTRAINED for estimate in estimates):
        return "share of the matches that random weights would give as well"
    if all(estimate.kind == DECOYS for estimate in estimates):
        return "share of the matches that decoys would give as well"
    return "share of the matches that decoys or random weights would give as well"


def _percent(value: Interval) -> str:
    return f"{100 * value.value:.1f} % ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _triple(value: Interval) -> tuple[float, float, float]:
    return value.value, value.low, value.high

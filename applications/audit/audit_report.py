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


def write_report(audit: Audit, out: Path, facts: Mapping[str, str]) -> Path:
    """Write ``report.html`` and its figures.

    Args:
        audit: The audit.
        out: An existing folder.
        facts: How it was made.
    """
    words = audit.search.title
    sections = [_counts(audit, out)]
    if any(network.untrained for network in audit.networks):
        sections.append(_controls(audit, out))
    if audit.effects:
        sections.append(_comparison(audit, out))
    shown = [network for network in audit.networks if network.matches][:_NETWORKS]
    sections += [_units(network, audit) for network in shown]
    if audit.search.added:
        sections.append(_words(audit))
    matched = sum(len(network.matches) for network in audit.networks)
    total = sum(len(network.described.units) for network in audit.networks)
    estimates = [
        network.false_matches
        for network in audit.networks
        if network.false_matches and network.matches
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
        for e in audit.effects[:2]
    ]
    path = out / "report.html"
    names = ", ".join(network.name for network in audit.networks[:6])
    render(
        path,
        title=f"Which units respond to {words}?",
        eyebrow="Audit",
        lead=_lead(audit, names),
        numbers=numbers,
        sections=sections,
        facts=facts,
    )
    return path


def _counts(audit: Audit, out: Path) -> ReportSection:
    layers = list(
        dict.fromkeys(la for network in audit.networks for la in network.described.layers)
    )
    shares = {
        network.name: [_of_layer(network, layer) for layer in layers] for network in audit.networks
    }
    rows = [
        [
            network.name,
            f"{len(network.described.units):,}",
            f"{len(network.matches):,}",
            _percent(wilson(len(network.matches), len(network.described.units))),
            *_false(network),
        ]
        for network in audit.networks
    ]
    blocks: list[ReportTable | ReportFigure] = [
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
    if len(audit.networks) <= _NETWORKS:
        figure = matches_by_layer(
            out / "matches-by-layer.png", shares, layers, "Share of units that match, by layer"
        )
        blocks.append(
            ReportFigure(
                "Share of units that match, by layer, with 95 % intervals.",
                figure,
                "bars: share of matching units of each layer",
            )
        )
    return ReportSection("How many units match", _explained(audit), blocks)


def _explained(audit: Audit) -> list[str]:
    text = [
        "A match counts as false here if a unit that has learned nothing would be described in the "
        "same way. Two kinds of units have learned nothing. A decoy is an artificial unit that is "
        "selective for nothing: random images, under masks of the layer's units. Units of the same "
        "architecture with random weights are selective for something, such as contrast, and may "
        "match because the words describe something that goes with it. The number of such matches "
        "in the network is estimated from the matches in which the describer has least confidence "
        "or, if it gives no confidence, from the units that do not match. The greater of the two "
        "estimates counts."
    ]
    texts = [text for network in audit.networks for text in network.described.texts]
    if not any(network.matches for network in audit.networks):
        nothing = audit.search.no_match(texts)
        text.insert(0, f"{nothing[0].upper()}{nothing[1:]}.")
    elif all(network.control is None for network in audit.networks):
        text.append(
            "There is no network with random weights here, so the estimate comes from decoys "
            "alone. It is too low if units match without having learned anything."
        )
    return text


def _controls(audit: Audit, out: Path) -> ReportSection:
    rows = []
    for network in (network for network in audit.networks if network.control):
        for layer in [*network.described.layers, "all"]:
            units = network.described.units_in(layer)
            ours = sum(unit in network.matches for unit in units)
            each = [_share_of(control, layer) for control in network.untrained]
            p = predicted(ours / len(units), np.array(each)) if len(each) > 1 else math.nan
            rows.append(
                [
                    network.name,
                    layer,
                    f"{ours:,} of {len(units):,}",
                    _percent(wilson(ours, len(units))),
                    f"{100 * float(np.mean(each)):.1f} %",
                    f"{100 * min(each):.1f} to {100 * max(each):.1f} %",
                    "—" if math.isnan(p) else f"{p:.2g}",
                ]
            )
    blocks: list[ReportTable | ReportFigure] = [
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
            note="p: two-sided p-value for the share being that of one more network with random "
            "weights, by Student's t; not adjusted for the number of rows.",
        )
    ]
    some = [network for network in audit.networks if network.control][:_NETWORKS]
    layers = list(dict.fromkeys(layer for network in some for layer in network.described.layers))
    shares = {}
    for network in some:
        shares[network.name] = [_of_layer(network, layer) for layer in layers]
        shares[f"{network.name}, random weights"] = [
            _of_untrained(network, layer) for layer in layers
        ]
    figure = matches_by_layer(
        out / "random-weights.png", shares, layers, "Share of units that match, by layer"
    )
    blocks.append(
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
        blocks,
    )


def _comparison(audit: Audit, out: Path) -> ReportSection:
    blocks: list[ReportTable | ReportFigure] = []
    for number, effect in enumerate(audit.effects):
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
        blocks.append(
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
        for e in audit.effects
    ]
    blocks.append(
        ReportTable(
            "Difference in the share of matching units",
            ["conditions", "matching", "points", "95 % interval", "pairs", "p"],
            rows,
            note="With three pairs or more the interval is Student's over pairs, and covers other "
            "pairs. With fewer it is a bootstrap over units, and does not cover other networks. p "
            "is exact, from exchanging the conditions within pairs.",
        )
    )
    return ReportSection("How the networks differ", [], blocks)


def _units(network: NetworkAudit, audit: Audit) -> ReportSection:
    scores, texts = network.described.score_of, network.described.text_of
    cards = []
    for unit in network.sorted()[:_CARDS]:
        facts = []
        score = scores[unit]
        if score is not None:
            facts.append(f"confidence {score:.3g}")
        if network.false_matches and not math.isnan(network.false_matches.q[unit]):
            facts.append(f"false discovery {network.false_matches.q[unit]:.2f}")
        record = network.described.record(unit)
        cards.append(
            NeuronCard(
                f"{unit[0]} · {unit[1]}",
                texts[unit],
                facts,
                network.matches[unit],
                sheet_of(record) if record else None,
            )
        )
    more = len(network.matches) - len(cards)
    note = f"{more} more are in units.csv." if more > 0 else ""
    return ReportSection(
        f"Units of {network.name}", [], [NeuronCards("The most confident first", cards, note)]
    )


def _words(audit: Audit) -> ReportSection:
    rows = [
        [entry.word, entry.source, "—" if entry.similarity is None else f"{entry.similarity:.2f}"]
        for entry in audit.search.added
    ]
    return ReportSection(
        "Words that were added",
        ["Every word below counts as a match; check that it should."],
        [ReportTable("Added words", ["word", "because of", "similarity"], rows)],
    )


def _of_layer(network: NetworkAudit, layer: str) -> tuple[float, float, float]:
    units = network.described.units_in(layer)
    if not units:
        return (math.nan, math.nan, math.nan)
    return _triple(wilson(sum(unit in network.matches for unit in units), len(units)))


def _share_of(control: Mapping[str, tuple[bool, ...]], layer: str) -> float:
    flags = [flag for name, own in control.items() if layer in (name, "all") for flag in own]
    return sum(flags) / len(flags) if flags else 0.0


def _of_untrained(network: NetworkAudit, layer: str) -> tuple[float, float, float]:
    each = [_share_of(control, layer) for control in network.untrained if layer in control]
    if not each:
        return (math.nan, math.nan, math.nan)
    low, high = prediction(each)
    mean = float(np.mean(each))
    return (mean, mean, mean) if math.isnan(low) else (mean, low, high)


def _false(network: NetworkAudit) -> tuple[str, str, str, str]:
    estimate = network.false_matches
    if estimate is None:
        return "—", "—", "—", "—"
    shown = (
        f"{each.matched_nulls} of {each.nulls}" if each else "—"
        for each in (network.decoys, network.control)
    )
    by_decoys, by_control = shown
    if not network.matches:
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
    if not any(network.matches for network in audit.networks):
        return (
            f"No unit of {names} is described with {words}. A unit may respond to it all the same: "
            "a description names what the images that activate the unit most have in common."
        )
    return (
        f"Units of {names} whose descriptions name {words}. A description says what the images "
        "that activate a unit most have in common. It does not say what the network does with the "
        "unit, and units with other descriptions may respond to the same thing."
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

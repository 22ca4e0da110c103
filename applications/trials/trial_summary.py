"""Summaries of trials: means over seeds with intervals, beside the numbers of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from applications.audit.conditions import ConditionDifference, MatchCount, compare
from applications.figures.panels import pairs
from benchmark.intervals import Interval, over_trials
from benchmark.language import PROPERTIES
from milannotations.storage import atomic_path
from milannotations.untrusted_text import as_markdown

PUBLISHED = Path(__file__).parent / "published.csv"
Results = Mapping[int, Mapping[str, Any]]
# Range of a mean, by its unit; intervals over trials are clipped to it.
BOUNDS = {"%": (0.0, 100.0), "points": (-100.0, 100.0), "units": (0.0, math.inf)}
_COLUMNS = ["what", "mean", "low", "high", "unit", "published"]


def summarize(what: str, results: Results) -> pd.DataFrame:
    """Summarize the trials of an application.

    Args:
        what: ``edit``, ``analyze`` or ``audit``.
        results: Results by seed, from ``run_trials``.

    Returns:
        A row per quantity: mean over seeds, Student's 95 % interval within the range of its unit
        (see ``BOUNDS``), unit, and the paper's number, if it reports one. The paper's networks and
        images are others, so only directions compare.
    """
    rows = {"edit": _edit, "analyze": _analyze, "audit": _audit}[what](results)
    published = pd.read_csv(PUBLISHED)
    paper_values = {
        name: f"{value:g}"
        for name, value in published[published["application"] == what][["what", "value"]].values
    }
    return pd.DataFrame(
        [
            [name, value.value, value.low, value.high, unit, paper_values.get(key, "")]
            for name, value, unit, key in rows
        ],
        columns=_COLUMNS,
    )


def _edit(results: Results) -> list[tuple[str, Interval, str, str]]:
    rows: list[tuple[str, Interval, str, str]] = []

    def add(name: str, values: list[float], unit: str = "%", key: str = "") -> None:
        scale = 100 if unit in ("%", "points") else 1
        rows.append((name, over_trials([scale * v for v in values], BOUNDS[unit]), unit, key))

    trials = list(results.values())
    cue = trials[0].get("cue", "text")
    reported = cue == "text"  # the cue that the paper reports numbers for
    for test in trials[0]["tests"]:
        ours = [trial["tests"][test] for trial in trials]
        add(
            f"{test}: trained with {cue}",
            [outcome["before"] for outcome in ours],
            key="adversarial accuracy, trained with spurious text"
            if reported and test == "adversarial"
            else "",
        )
        # A trial in which no unit matched has no other ways of choosing.
        for method in [
            m for m in ours[0]["after"] if all(m in outcome["after"] for outcome in ours)
        ]:
            add(f"{test}: edited by {method}", [outcome["after"][method] for outcome in ours])
            add(
                f"{test}: gain by {method}",
                [outcome["after"][method] - outcome["before"] for outcome in ours],
                "points",
                "gain by the edit (13 of 300 text units)"
                if reported and (test, method) == ("adversarial", "descriptions")
                else "",
            )
        for name in ours[0]:
            if name.endswith("trained again") and all(name in outcome for outcome in ours):
                add(f"{test}: {name}", [outcome[name] for outcome in ours])
        add(
            f"{test}: trained without {cue}",
            [outcome[f"trained without {cue}"] for outcome in ours],
            key="adversarial accuracy, trained without text"
            if reported and test == "adversarial"
            else "",
        )
    for name, title in (
        ("units", "units"),
        ("matching", f"units described as {cue}"),
        (f"matching_without_{cue}", f"units described as {cue}, trained without {cue}"),
        ("ablated", "units ablated"),
        ("ablated without adversarial", "units ablated, chosen without adversarial images"),
    ):
        add(title, [float(trial[name]) for trial in trials], "units")
    return rows


def _analyze(results: Results) -> list[tuple[str, Interval, str, str]]:
    trials = list(results.values())
    accuracies = [100 * trial["accuracy"] for trial in trials]
    rows = [("accuracy", over_trials(accuracies, BOUNDS["%"]), "%", "")]
    for key in trials[0]["differences"]:
        name, _, order = key.partition(" | ")
        gaps = [100 * trial["differences"][key] for trial in trials]
        values = over_trials(gaps, BOUNDS["points"])
        where = "all layers together" if order == "network" else "layer by layer"
        rows.append((f"{PROPERTIES.get(name, name)}, {where}", values, "points", ""))
    return rows


def _audit(results: Results) -> list[tuple[str, Interval, str, str]]:
    trials = list(results.values())
    total = len(trials[0]["layers"])  # units, each with the layer it is in
    rows = []
    for condition in trials[0]["matching"]:
        values = [float(trial["matching"][condition]) for trial in trials]
        key = f"units described as faces, {condition}"
        rows.append((key, over_trials(values, (0, total)), "units", key))
    effect = audit_effect(results)
    scaled = [
        100 * v for v in (effect.difference.value, effect.difference.low, effect.difference.high)
    ]
    rows.append((f"{effect.first} − {effect.second}", Interval(*scaled), "points", ""))
    for condition in trials[0]["matching"]:
        rates = [100 * trial["false_discovery"][condition] for trial in trials]
        within = over_trials(rates, BOUNDS["%"])
        rows.append((f"false, by estimate, {condition}", within, "%", ""))
    for condition in trials[0]["matching"]:
        sure = [float(trial["confident"][condition]) for trial in trials]
        within = over_trials(sure, (0, total))
        rows.append((f"of which at most 10 % false, {condition}", within, "units", ""))
    for condition in trials[0].get("random_weights", {}):
        shares = [100 * trial["random_weights"][condition] for trial in trials]
        rows.append(
            (
                f"share described as faces with random weights, {condition}",
                over_trials(shares, BOUNDS["%"]),
                "%",
                "",
            )
        )
    for name in trials[0]["accuracies"]:
        values = [100 * trial["accuracies"][name] for trial in trials]
        rows.append((f"accuracy, trained {name}", over_trials(values, BOUNDS["%"]), "%", ""))
    return rows


def audit_effect(results: Results) -> ConditionDifference:
    """Compare the two conditions over seeds."""
    counts = [
        MatchCount(
            f"{condition}/{seed}",
            condition,
            str(seed),
            tuple(map(bool, flags)),
            tuple(trial["layers"]),
        )
        for seed, trial in results.items()
        for condition, flags in trial["flags"].items()
    ]
    return compare(counts)[0]


def draw(what: str, results: Results, path: Path) -> Path:
    """Draw each seed: accuracies before and after, matches of both conditions, or differences."""
    if what == "edit":
        rows = []
        cue = next(iter(results.values())).get("cue", "text")
        for seed, trial in results.items():
            outcome = trial["tests"]["adversarial"]
            values = {
                f"trained with {cue}": outcome["before"],
                "edited by descriptions": outcome["after"]["descriptions"],
                "edited at random": outcome["after"].get("random", outcome["before"]),
                f"trained without {cue}": outcome[f"trained without {cue}"],
            }
            rows.append((f"seed {seed}", {k: (v, v, v) for k, v in values.items()}))
        return pairs(
            path, rows, f"Accuracy on images with misleading {cue}", "accuracy", percent=True
        )
    if what == "audit":
        effect = audit_effect(results)
        dots = [
            (f"seed {pair}", {effect.first: _triple(a), effect.second: _triple(b)})
            for pair, (a, b) in effect.pairs.items()
        ]
        return pairs(path, dots, "Units described as faces", "share of units", percent=True)
    table = summarize(what, results)
    some = table[table["unit"] == "points"]
    bars = [(row.what, {"difference": (row.mean, row.low, row.high)}) for row in some.itertuples()]
    return pairs(
        path,
        bars,
        "Units high in a property ablated first",
        "points of accuracy, against random orders",
    )


def write_summary(
    what: str, results: Results, out: Path, note: str, name: str | None = None
) -> pd.DataFrame:
    """Write a CSV, Markdown and a figure named ``name`` (default ``what``); return the table."""
    name = name or what
    table = summarize(what, results)
    with atomic_path(out / f"{name}.csv") as path:
        table.to_csv(path, index=False)
    lines = [f"{note}\n", "| | mean (95 % interval) | paper |", "| --- | ---: | ---: |"]
    lines += [
        f"| {as_markdown(row.what)} | {shown(row.mean, row.low, row.high, row.unit)} | "
        f"{row.published} |"
        for row in table.itertuples()
    ]
    with atomic_path(out / f"{name}.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(what, results, out / f"{name}.png")
    return table


def shown(mean: float, low: float, high: float, unit: str) -> str:
    """Return a mean with its interval as text.

    >>> shown(4.9, 1.0, 8.8, "points")
    '+4.9 (+1.0 to +8.8) points'
    """
    sign = "+" if unit == "points" else ""
    bounds = "" if low != low else f" ({low:{sign}.1f} to {high:{sign}.1f})"
    return f"{mean:{sign}.1f}{bounds} {unit}"


def _triple(value: Interval) -> tuple[float, float, float]:
    return value.value, value.low, value.high

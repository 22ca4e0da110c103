"""The results of the sanity checks as tables, for a terminal and as Markdown."""

from __future__ import annotations

import math

from benchmark.sanity.check_results import CheckOutcome, SanityReport
from benchmark.sanity.checks import CHECKS, CONSTANT, PEOPLE
from benchmark.sanity.ladder import OTHERS
from milannotations.terminal import FittedTable
from milannotations.untrusted_text import as_markdown

PASS, FAIL = "✓", "✗"


def cell(outcome: CheckOutcome | None, required: bool = True) -> str:
    """Return an outcome as text, such as ``0.02 ✓``; in brackets if the check is not required."""
    if outcome is None:
        return "–"
    mark = PASS if outcome.passed else FAIL
    value = "" if outcome.value is None else f"{outcome.value:.2f} ".replace("-", "−")
    return f"{value}{mark}" if required else f"({value}{mark})"


def rows(report: SanityReport) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table; metrics that pass come first."""
    head = ["Metric", PEOPLE, *(check.name for check in CHECKS), "may rank"]
    order = sorted(report.metrics.values(), key=lambda metric: not metric.passed)
    body = [
        [
            metric.title,
            PASS if metric.tells_people else FAIL,
            *(cell(metric.checks.get(check.name), check.required) for check in CHECKS),
            "yes" if metric.passed else "no",
        ]
        for metric in order
    ]
    return head, body


def terminal_table(report: SanityReport) -> FittedTable:
    """Return the checks that each metric fails; the JSON and the page have all numbers."""
    rows = []
    for metric in sorted(report.metrics.values(), key=lambda metric: not metric.passed):
        failed = [
            f"{check.name} {cell(metric.checks[check.name], check.required)}"
            for check in CHECKS
            if check.name in metric.checks and not metric.checks[check.name].passed
        ]
        if not metric.tells_people:
            failed = ["people score no higher at their own neuron than at others"]
        rows.append([metric.title, "yes" if metric.passed else "no", ", ".join(failed)])
    return FittedTable(
        f"Which metrics can be trusted, on {report.split}",
        ["Metric", "may rank", "fails"],
        rows,
        caption="0: a person's words at the wrong neurons of the layer; 1: at their own",
        words=(0, 1, 2),
    )


def markdown_table(report: SanityReport) -> str:
    """Return the table as Markdown, with the best constants and the signatures."""
    head, body = rows(report)
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body]
    lines += [
        "",
        "Agreement (Kendall's τ) with true quality on ladders of corrupted descriptions:",
        "",
    ]
    lines += ["| Metric | corrupted with other neurons' words | with the best constant |"]
    lines += ["| --- | ---: | ---: |"]
    for metric in report.metrics.values():
        values = (metric.ladder.get(kind) for kind in (OTHERS, CONSTANT))
        cells = ("–" if tau is None else f"{tau:.2f}".replace("-", "−") for tau in values)
        lines.append(f"| {metric.title} | " + " | ".join(cells) + " |")
    lines += ["", "BestConstant constants found:", ""]
    for metric in report.metrics.values():
        outcome = metric.checks.get("constant")
        if outcome is not None and outcome.score is not None and metric.human is not None:
            lines.append(
                f"- {metric.title}: {as_markdown(outcome.detail)} scores "
                f"{_number(outcome.score)}, people {_number(metric.human)}, "
                f"people's words at the wrong neurons {_number(metric.wrong)}"
            )
    lines += ["", f"n = {report.neurons} neurons; data fingerprint `{report.fingerprint}`.", ""]
    lines += [f"- `{metric.signature}`" for metric in report.metrics.values()]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "?" if value is None or not math.isfinite(value) else f"{value:.3f}"

"""Results of several methods as a table, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.result import Result, Score
from milannotations.terminal import FittedTable
from milannotations.untrusted_text import as_markdown

_DECIMALS = {"bleu": 1}


def number(metric: str, score: Score) -> str:
    """Return a score as text: ``0.712 [0.701, 0.723]``."""
    digits = _DECIMALS.get(metric, 3)
    return f"{score.value:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"


def ordered(results: Sequence[Result], split: str, metric: str) -> list[Result]:
    """Return results sorted by one metric, the best first; results without it come last."""

    def value(result: Result) -> float:
        score = result.splits[split].scores.get(metric) if split in result.splits else None
        if score is None:
            return float("inf")
        return -score.value if result.metrics[metric].higher_is_better else score.value

    return sorted(results, key=value)


def rows(results: Sequence[Result], split: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a split's table, sorted by its first metric, best first."""
    metrics = list(dict.fromkeys(m for r in results for m in r.metrics if _has(r, split, m)))
    head = [
        "Method",
        *(next(r.metrics[m].title for r in results if m in r.metrics) for m in metrics),
    ]
    body = [
        [
            result.method.title,
            *(
                number(m, result.splits[split].scores[m]) if _has(result, split, m) else "–"
                for m in metrics
            ),
        ]
        for result in (ordered(results, split, metrics[0]) if metrics else results)
        if split in result.splits
    ]
    return head, body


def terminal_table(results: Sequence[Result], split: str, title: str) -> FittedTable:
    """Return a split's table for a terminal."""
    head, body = rows(results, split)
    # With more columns, intervals would leave no space for the names of the methods.
    narrow = len(head) > 4
    if narrow:
        body = [[method, *(cell.partition(" ")[0] for cell in cells)] for method, *cells in body]
    caption = "" if narrow else "mean [95 % bootstrap interval over neurons]"
    return FittedTable(title, head, body, caption=caption)


def markdown_table(results: Sequence[Result], split: str) -> str:
    """Return a split's table as Markdown, with the signatures of its columns below it."""
    head, body = rows(results, split)
    head = [as_markdown(cell) for cell in head]
    body = [[as_markdown(title), *numbers] for title, *numbers in body]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)]), *(_line(r) for r in body)]
    scores = {m: s for r in results if split in r.splits for m, s in r.splits[split].scores.items()}
    first = next((r for r in results if split in r.splits), None)
    if first is not None:
        scored = first.splits[split]
        lines += ["", f"n = {scored.scored} neurons; references: {scored.references}; "]
        lines[-1] += f"data fingerprint `{scored.fingerprint}`."
    lines += ["", *(f"- `{score.signature}`" for score in scores.values())]
    return "\n".join(lines) + "\n"


def _has(result: Result, split: str, metric: str) -> bool:
    return split in result.splits and metric in result.splits[split].scores


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""The quality report rendered: Markdown for a README or a card, and for a terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from benchmark.quality.schema import Quality
from benchmark.quality.summary_tables import tables
from benchmark.quality.text_measures import shown
from milannotations.terminal import FittedTable
from milannotations.untrusted_text import as_markdown

# What Markdown gives a meaning, of which underscores within a word and brackets alone have none;
# the links that it makes by itself are seen to by `as_markdown`.
_MEANING = re.compile(r"[\\`*|~#]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])")


def to_markdown(quality: Quality, level: int = 3) -> str:
    """Return the report as Markdown.

    Args:
        quality: The report.
        level: Of the headings, 1 to 6.
    """
    about = [f"Data: {escape_markdown(shown(quality.name))}"] if quality.name else []
    if quality.fingerprint:
        about.append(f"data fingerprint `{quality.fingerprint}`")
    lines = [", ".join(about) + ".", ""] if about else []
    for table in tables(quality):
        lines += [f"{'#' * level} {table.title}", ""]
        if table.rows:
            rule = ["---" if i in table.words else "---:" for i in range(len(table.head))]
            lines += [_line(table.head), _line(rule), *(_line(row) for row in table.rows), ""]
        if table.note:
            lines += [escape_markdown(table.note), ""]
    lines += [f"- `{one.own.signature}`" for one in quality.total.agreement.values()]
    return "\n".join(lines).rstrip() + "\n"


def for_terminal(quality: Quality) -> list[RenderableType]:
    """Return the report as tables for a terminal, and a line for what could not be measured."""
    found: list[RenderableType] = []
    for table in tables(quality):
        if not table.rows:
            found.append(Text(f"{table.title}: {table.note}\n"))
            continue
        found.append(
            FittedTable(table.title, table.head, table.rows, caption=table.note, words=table.words)
        )
    return found


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, in a cell of a table too.

    >>> escape_markdown("a|b <b>*c*</b> [d](e)")
    'a\\\\|b &lt;b&gt;\\\\*c\\\\*&lt;/b&gt; [d\\\\](e)'
    """
    return as_markdown(text, _escaped)


def _escaped(part: str) -> str:
    if part == "`":  # a backslash before it would leave it to begin code of what follows
        return "&#96;"
    return _MEANING.sub(r"\\\g<0>", html.escape(part, quote=False))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"

"""The quality report as Markdown, for a README or a card, and for a terminal."""

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

# Characters with a meaning in Markdown. Underscores within a word and single brackets have none;
# `as_markdown` escapes what Markdown would turn into links.
_MEANING = re.compile(r"[\\`*|~#]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])")


def to_markdown(quality: Quality, level: int = 3) -> str:
    """Return the report as Markdown.

    Args:
        quality: The report.
        level: Level of the headings, 1 to 6.
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
    lines += [f"- `{pair.own.signature}`" for pair in quality.total.agreement.values()]
    return "\n".join(lines).rstrip() + "\n"


def for_terminal(quality: Quality) -> list[RenderableType]:
    """Return the report as tables for a terminal, and a line for each table without rows."""
    rendered: list[RenderableType] = []
    for table in tables(quality):
        if not table.rows:
            rendered.append(Text(f"{table.title}: {table.note}\n"))
            continue
        rendered.append(
            FittedTable(table.title, table.head, table.rows, caption=table.note, words=table.words)
        )
    return rendered


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows unchanged, also in a cell of a table.

    >>> escape_markdown("a|b <b>*c*</b> [d](e)")
    'a\\\\|b &lt;b&gt;\\\\*c\\\\*&lt;/b&gt; [d\\\\](e)'
    """
    return as_markdown(text, _escaped)


def _escaped(text: str) -> str:
    if text == "`":  # even after a backslash it would start code
        return "&#96;"
    return _MEANING.sub(r"\\\g<0>", html.escape(text, quote=False))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"

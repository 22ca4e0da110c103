"""Texts from strangers, made harmless for pages, spreadsheets and Markdown.

``clean`` removes characters that reorder or hide text, ``as_cell`` keeps spreadsheets from reading
a text as a formula, and ``as_markdown`` keeps Markdown from giving it a meaning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

MAX_TEXT = 2000  # characters of any one text; longer is a mistake or an attack

# Marks, embeddings, overrides and isolates that turn the reading direction of what follows
# (Unicode's bidirectional controls): "gnp.exe" must not be able to read "exe.png".
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
# With these a spreadsheet takes a cell for a formula; the last four are their full-width forms.
_FORMULA = frozenset("=+-@|%\uff1d\uff0b\uff0d\uff20")
# What is made a link without being marked as one: GitHub Flavored Markdown's autolinks, GitHub's
# own references, and the bare names of hosts that other renderers take too.
_LINKED = re.compile(
    r"//|@|www[.\u3002\uff61]|#\d|\bgh-\d"
    r"|(?<![^\W\d_])(?:data|file|ftp|https?|javascript|mailto|vbscript|xmpp):"
    # example.com, but not the name of a file that no host has.
    r"|[^\s.][.\u3002\uff61](?!(?:csv|tsv|parquet|json|yaml|yml|npy|npz|txt|png|jpg|jpeg|html)\b)"
    r"[^\W\d_]{2,}"
    r"|(?<![0-9a-z])[0-9a-f]{7,64}(?![0-9a-z])",  # a commit
    re.IGNORECASE,
)


def clip(text: str, limit: int = 280) -> str:
    """Cut a text that is too long, and show that it was."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def clean(value: Any, limit: int = MAX_TEXT) -> Any:
    """Take out of a text what no reader can see but every reader would suffer from.

    Anything that is not a text is returned as it is, and so is markup made by this package.

    >>> clean("exe.\u202egnp")
    'exe.gnp'
    >>> clean("two\\nlines")
    'two lines'
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    kept = []
    for character in value[: 2 * limit]:
        if character in _BIDI_CONTROLS:
            continue
        # Control characters, and halves of surrogate pairs, which UTF-8 cannot encode.
        kept.append(" " if unicodedata.category(character) in ("Cc", "Cs") else character)
    return clip("".join(kept), limit)


def as_cell(text: str) -> str:
    """Return a text as a cell of a CSV that no spreadsheet takes for a formula.

    A quote goes before whatever would be one, also behind spaces (OWASP, "CSV Injection").

    >>> as_cell("=HYPERLINK(1)")
    "'=HYPERLINK(1)"
    >>> as_cell("dogs - and cats")
    'dogs - and cats'
    """
    bare = text.lstrip()
    return f"'{text}" if bare[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n") else text


def as_markdown(text: str, escape: Callable[[str], str] | None = None) -> str:
    """Return a text as one line in which Markdown and HTML mean nothing, and nothing is a link.

    Args:
        text: Any text.
        escape: How words that are no links are written; default with a backslash before each
            character that could mean something.

    What a page of Markdown, or GitHub, would make a link of by itself (addresses, also without a
    scheme, e-mail addresses, ``@someone``, ``#12``, hashes of commits) becomes code: a backslash
    does not keep it from being one.

    >>> print(as_markdown("*a* <b> | c"))
    \\*a\\* \\<b\\> \\| c
    >>> print(as_markdown("see https://example.com, @me"))
    see `https://example.com`, `@me`
    """
    line = " ".join(clean(text).split())
    parts = re.split(r"([ |`])", line)
    escaped = escape or _escaped
    marked = "".join(_as_code(part) if _is_linked(part) else escaped(part) for part in parts)
    if escape is not None:
        return marked
    # What begins a heading, a list or a rule.
    return re.sub(r"^([-+=]|[0-9]+(?=[.)]( |$)))", _escaped_start, marked)


def _is_linked(part: str) -> bool:
    return bool(_LINKED.search(unicodedata.normalize("NFKC", part)))


def _as_code(word: str) -> str:
    """Write the links of a word as code, and what stands around them with backslashes."""
    written = []
    for part in re.split(r"([\[\]()<>*\\])", word):
        core = part.strip("\"',;.!?“”‘’") if _is_linked(part) else ""
        if not core or not _is_linked(core):
            written.append(f"`{part}`" if core else _escaped(part))
            continue
        before, _, after = part.partition(core)
        written.append(f"{_escaped(before)}`{core}`{_escaped(after)}")
    return "".join(written)


def _escaped(part: str) -> str:
    # A backslash before a backtick would leave it to begin a code span of what follows.
    return "&#96;" if part == "`" else re.sub(r"([\\*_{}\[\]()#!|<>~&$^])", r"\\\1", part)


def _escaped_start(match: re.Match[str]) -> str:
    return f"{match[0]}\\" if match[0][0].isdigit() else f"\\{match[0]}"

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

MAX_TEXT = 2000  # characters of a text; a longer one is a mistake or an attack

# Unicode's bidirectional controls (marks, embeddings, overrides, isolates) change the reading
# direction of what follows, so that "gnp.exe" could be displayed as "exe.png".
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
# A spreadsheet reads a cell that starts with one of these as a formula; the last four are
# full-width forms.
_FORMULA = frozenset("=+-@|%\uff1d\uff0b\uff0d\uff20")
# Texts that become links without link syntax: GitHub Flavored Markdown's autolinks, GitHub's own
# references, and bare host names, which other renderers link as well.
_LINKED = re.compile(
    r"//|@|www[.\u3002\uff61]|#\d|\bgh-\d"
    r"|(?<![^\W\d_])(?:data|file|ftp|https?|javascript|mailto|vbscript|xmpp):"
    # example.com, but not file names whose suffixes are not domains.
    r"|[^\s.][.\u3002\uff61](?!(?:csv|tsv|parquet|json|yaml|yml|npy|npz|txt|png|jpg|jpeg|html)\b)"
    r"[^\W\d_]{2,}"
    r"|(?<![0-9a-z])[0-9a-f]{7,64}(?![0-9a-z])",  # a commit
    re.IGNORECASE,
)


def clip(text: str, limit: int = 280) -> str:
    """Shorten a text that is too long, and end it with an ellipsis.

    >>> clip("a long text", 7)
    'a long…'
    """
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def clean(value: Any, limit: int = MAX_TEXT) -> Any:
    """Remove characters that reorder or break the display of a text, and shorten it to a limit.

    Anything that is not a text is returned unchanged, and so is markup made by this package.

    >>> clean("exe.\u202egnp")
    'exe.gnp'
    >>> clean("two\\nlines")
    'two lines'
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    visible = []
    for character in value[: 2 * limit]:
        if character in _BIDI_CONTROLS:
            continue
        # Control characters, and lone surrogates, which UTF-8 cannot encode.
        visible.append(" " if unicodedata.category(character) in ("Cc", "Cs") else character)
    return clip("".join(visible), limit)


def as_cell(text: str) -> str:
    """Return a text as a CSV cell that no spreadsheet reads as a formula.

    A text that would be a formula, even after spaces, gets a quote before it (OWASP, "CSV
    Injection").

    >>> as_cell("=HYPERLINK(1)")
    "'=HYPERLINK(1)"
    >>> as_cell("dogs - and cats")
    'dogs - and cats'
    """
    bare = text.lstrip()
    return f"'{text}" if bare[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n") else text


def as_markdown(text: str, escape: Callable[[str], str] | None = None) -> str:
    """Return a text as one line in which no Markdown, HTML or link takes effect.

    Args:
        text: Any text.
        escape: Escapes words that are not links; default a backslash before each character that
            has a meaning in Markdown.

    Texts that Markdown renderers or GitHub link automatically (addresses with or without a scheme,
    e-mail addresses, ``@someone``, ``#12``, commit hashes) become code, since a backslash does not
    prevent the link.

    >>> print(as_markdown("*a* <b> | c"))
    \\*a\\* \\<b\\> \\| c
    >>> print(as_markdown("see https://example.com, @me"))
    see `https://example.com`, `@me`
    """
    line = " ".join(clean(text).split())
    words = re.split(r"([ |`])", line)
    escaped = escape or _escaped
    marked = "".join(_as_code(word) if _is_linked(word) else escaped(word) for word in words)
    if escape is not None:
        return marked
    # The beginning of a heading, a list or a rule.
    return re.sub(r"^([-+=]|[0-9]+(?=[.)]( |$)))", _escaped_start, marked)


def _is_linked(text: str) -> bool:
    return bool(_LINKED.search(unicodedata.normalize("NFKC", text)))


def _as_code(word: str) -> str:
    """Write the links in a word as code, and escape the rest with backslashes."""
    written = []
    for piece in re.split(r"([\[\]()<>*\\])", word):
        core = piece.strip("\"',;.!?“”‘’") if _is_linked(piece) else ""
        if not core or not _is_linked(core):
            written.append(f"`{piece}`" if core else _escaped(piece))
            continue
        before, _, after = piece.partition(core)
        written.append(f"{_escaped(before)}`{core}`{_escaped(after)}")
    return "".join(written)


def _escaped(text: str) -> str:
    # An escaped backtick could still begin a code span with what follows, so it becomes an entity.
    return "&#96;" if text == "`" else re.sub(r"([\\*_{}\[\]()#!|<>~&$^])", r"\\\1", text)


def _escaped_start(match: re.Match[str]) -> str:
    return f"{match[0]}\\" if match[0][0].isdigit() else f"\\{match[0]}"

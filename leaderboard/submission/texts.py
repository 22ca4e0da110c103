"""Which texts a submission may hold: what a reader sees, and nothing that a reader does not."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

from benchmark.text import normalize

MAX_DESCRIPTION = 1000  # characters; the longest human annotation has 67 words
MAX_MARKS = 4  # combining marks in a row; more are drawn over other lines

_NAMES = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair",
    "Co": "a private-use character",
    "Cn": "a noncharacter",
    "Cf": "an invisible format character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
# Joiners are part of how some scripts and emoji are written.
_JOINERS = {0x200C, 0x200D}


@cache
def _forbidden() -> re.Pattern[str]:
    """Match what no text may hold, told by Unicode's general category."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Cn":  # what is only not assigned yet may be the next version's emoji
            bad = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
        else:
            bad = category in _NAMES and code not in _JOINERS
        if bad:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    inside = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    return re.compile(f"[{inside}]")


@cache
def _marks() -> re.Pattern[str]:
    marks = "".join(
        re.escape(chr(code))
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Mn", "Me")
    )
    return re.compile(f"[{marks}]{{{MAX_MARKS + 1},}}")


def fault_of(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """Say what is wrong with a text; empty if nothing is.

    >>> fault_of("a dog\\x07")
    'has a control character (U+0007) at character 6'
    >>> fault_of("exe.\\u202egnp")
    'has an invisible format character (U+202E) at character 5'
    """
    if len(text) > limit:
        return f"has {len(text):,} characters; at most {limit:,} are taken"
    found = None if text.isascii() and text.isprintable() else _forbidden().search(text)
    if found:
        name = _NAMES[unicodedata.category(found[0])]
        return f"has {name} (U+{ord(found[0]):04X}) at character {found.start() + 1}"
    if not text.isascii():
        stacked = _marks().search(text)
        if stacked:
            return (
                f"has {len(stacked[0])} combining marks in a row at character "
                f"{stacked.start() + 1}; at most {MAX_MARKS} are taken"
            )
    return ""


def is_blank(text: str) -> bool:
    """Say whether nothing is left of a description when it is scored."""
    return not normalize(text).strip()

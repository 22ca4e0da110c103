"""Which characters a description may hold: those that a reader can see."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

MAX_MARKS = 4  # combining marks in a row; more would be drawn over other lines

_NAMES = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair",
    "Co": "a private-use character",
    "Cn": "a noncharacter",
    "Cf": "an invisible format character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
# Some scripts and emoji are written with joiners.
_JOINERS = {0x200C, 0x200D}
# Characters of other categories that show nothing: Hangul fillers, blank Braille, the object
# replacement character, and the musical note without a head.
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffc\U0001d159")
# A mark shows something only on a letter, and a text with a letter is not blank anyway.
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
# Unassigned, but reserved for characters that show nothing (Unicode's Default_Ignorable).
_IGNORABLE = ((0x2065, 0x2065), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF))
_LINES = frozenset("\t\n\r")


def fault_of(text: str, limit: int | None = None, lines: bool = False) -> str:
    """Say what is wrong with a text; return an empty string if nothing is.

    Args:
        text: The text.
        limit: The greatest number of characters; default any number.
        lines: Whether the text may have several lines.

    >>> fault_of("a dog\\x07")
    'has a control character (U+0007) at character 6'
    >>> fault_of("exe.\\u202egnp")
    'has an invisible format character (U+202E) at character 5'
    """
    if limit is not None and len(text) > limit:
        return f"has {len(text):,} characters; at most {limit:,} are taken"
    if text.isascii() and text.isprintable():
        return ""
    for match in _forbidden().finditer(text):
        if not (lines and match[0] in _LINES):
            name = _NAMES[unicodedata.category(match[0])]
            return f"has {name} (U+{ord(match[0]):04X}) at character {match.start() + 1}"
    if not text.isascii():
        stacked = _marks().search(text)
        if stacked:
            return (
                f"has {len(stacked[0])} combining marks in a row at character "
                f"{stacked.start() + 1}; at most {MAX_MARKS} are taken"
            )
    return ""


def is_blank(text: str) -> bool:
    """Say whether a text shows nothing but spaces and full stops, so that it cannot be scored.

    >>> is_blank(" . "), is_blank("\\u200b\\u3164"), is_blank("?")
    (True, True, False)
    """
    return not any(map(_shows, text))


def _shows(character: str) -> bool:
    category = unicodedata.category(character)
    code = ord(character)
    if category == "Cn":
        ignorable = any(low <= code <= high for low, high in _IGNORABLE)
        return not (ignorable or _is_noncharacter(code))
    return character != "." and character not in _FILLERS and category not in _UNSEEN


def _is_noncharacter(code: int) -> bool:
    """Tell code points that will never be characters from those that Unicode may yet assign."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


@cache
def _forbidden() -> re.Pattern[str]:
    """Return a pattern for the forbidden characters, found by Unicode's general category."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Cn":
            bad = _is_noncharacter(code)
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

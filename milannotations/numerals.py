"""Strict reading of written numbers: in tables, JSON, YAML and options.

Python reads ``1_0`` as ten; YAML reads ``0777`` as 511 and ``1:30:00`` as 5400; both read ``1e999``
as infinity. It is uncertain that the writer meant any of these. A number is accepted here only if
it has the same meaning everywhere: ASCII digits, a decimal point, an exponent. It must be finite,
and a nonzero number must not become 0.
"""

from __future__ import annotations

import math
import re

MAX_DIGITS = 40  # of a whole number; Python's own limit is some thousands
# Spreadsheets write 32.0 and 32.00; many read a point before three digits as a thousands separator.
_COUNT = re.compile(r"([0-9]{1,9})(?:\.0{1,2})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?\.?(?:nan|inf|infinity)", re.IGNORECASE)
_NONZERO = re.compile(r"[1-9]")
_PLAIN = "write it in digits, with a point before decimals, as 12, 0.5 or 1e-3"


class NumeralError(ValueError):
    """A written number that cannot be accepted."""


def count_of(text: str) -> int | None:
    """Return a whole number from 0, of at most nine digits; None if the text is not one.

    >>> count_of("32.0"), count_of(" 7 "), count_of("3.7"), count_of("-1"), count_of("1.000")
    (32, 7, None, None, None)
    """
    match = _COUNT.fullmatch(text.strip())
    return int(match[1]) if match else None


def integer(text: str) -> int:
    """Return a whole number.

    >>> integer("-12")
    -12

    Raises:
        NumeralError: If it is not written plainly, or has more than ``MAX_DIGITS`` digits.
    """
    written = text.strip()
    if not _WHOLE.fullmatch(written):
        raise NumeralError(f"{shown(text)} is no whole number; write it in digits, as 12")
    if len(written.lstrip("+-")) > MAX_DIGITS:
        raise NumeralError(f"{shown(text)} has {len(written):,} digits; at most {MAX_DIGITS}")
    return int(written)


def decimal(text: str) -> float:
    """Return the float64 nearest to a decimal number.

    >>> decimal("-.5e1"), decimal("12")
    (-5.0, 12.0)

    Raises:
        NumeralError: If it is not written plainly, or is out of the range of float64, so that it
            would become infinite or 0.
    """
    written = text.strip()
    if _NOT_FINITE.fullmatch(written):
        raise NumeralError(f"{shown(text)} is NaN or infinity, no number")
    if not _DECIMAL.fullmatch(written):
        raise NumeralError(f"{shown(text)} is no number; {_PLAIN}")
    value = float(written)
    mantissa = re.split("[eE]", written)[0]
    if math.isinf(value) or (value == 0 and _NONZERO.search(mantissa)):
        raise NumeralError(f"{shown(text)} is beyond what a float64 can hold")
    return value


def is_numeral(text: str) -> bool:
    """Say whether a text is a plainly written number, whatever its size.

    >>> is_numeral("1e999"), is_numeral("1_0"), is_numeral("nan")
    (True, False, False)
    """
    return _DECIMAL.fullmatch(text) is not None


def is_ambiguous(text: str) -> bool:
    """Say whether Python would read a text as a number although a person might not.

    >>> is_ambiguous("1_0"), is_ambiguous("١٢"), is_ambiguous("12"), is_ambiguous("dog 1")
    (True, True, False, False)
    """
    if is_numeral(text) or not any(map(str.isdigit, text)):
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(text: str) -> str:
    """Return a text, shortened for a message."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")

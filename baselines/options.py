"""Options of describers as they are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from milannotations.errors import InputError

Value = int | float | str


def read_options(texts: Sequence[str]) -> dict[str, Value]:
    """Read ``NAME=VALUE`` options; what looks like a number becomes one.

    >>> read_options(["length=3", "quantile=.01", "concepts=broden:data?index=a.csv"])
    {'length': 3, 'quantile': 0.01, 'concepts': 'broden:data?index=a.csv'}

    Raises:
        InputError: If one is not so written.
    """
    options: dict[str, Value] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--option {text!r}: write it as NAME=VALUE")
        options[name] = _value(value)
    return options


def _value(text: str) -> Value:
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    if re.fullmatch(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=e))(e[+-]?[0-9]+)?", text):
        return float(text)
    return text

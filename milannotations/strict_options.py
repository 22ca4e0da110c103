"""Numbers of command-line options, read as strictly as those in files.

Python, and so typer, reads ``1_0`` as ten, ``١٢`` as twelve, and ``1e999`` and ``nan`` as numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from milannotations.numerals import NumeralError, decimal, integer


def make_strict(command: Any) -> Any:
    """Make a command, with those below it, refuse numbers that are not plainly written.

    Args:
        command: What ``typer.main.get_command`` returns; changed in place.
    """
    for below in getattr(command, "commands", {}).values():
        make_strict(below)
    for parameter in command.params:
        _check_after(parameter)
    return command


def _check_after(parameter: Any) -> None:
    """Look at what a parameter has read as a number: only its type tells that it is one."""
    process = parameter.process_value

    def checked(ctx: Any, value: Any) -> Any:
        read = process(ctx, value)
        try:
            for text, number in zip(_items(value), _items(read), strict=False):
                _check(text, number)
        except NumeralError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=parameter) from None
        return read

    parameter.process_value = checked


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _check(text: Any, number: Any) -> None:
    if isinstance(text, str) and isinstance(number, (int, float)) and not isinstance(number, bool):
        (integer if isinstance(number, int) else decimal)(text)

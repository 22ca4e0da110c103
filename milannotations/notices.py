"""Warnings to the user: one line each; they never stop the work."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO

from milannotations.streams import readable


class Notice(UserWarning):
    """Something that the user should know but that is not an error."""


def notify(text: str) -> None:
    """Warn the user.

    In Python this is a warning of category ``Notice``, which can be filtered or turned into an
    error like any other; the command line prints it as one line on standard error.
    """
    warnings.warn(readable(text), Notice, stacklevel=3)


def show_on_command_line() -> None:
    """Print notices as ``warning: …``, without the line of code that they come from."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, Notice):
            print(f"warning: {message}", file=sys.stderr, flush=True)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show

"""Warnings to the user: one line each, which stop nothing."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO

from milannotations.streams import readable


class Notice(UserWarning):
    """Something that a user should know and that is no error."""


def notify(text: str) -> None:
    """Warn the user.

    From Python this is a warning of category ``Notice``, which can be filtered or turned into an
    error as any other; the command line prints it as one line to standard error.
    """
    warnings.warn(readable(text), Notice, stacklevel=3)


def show_on_command_line() -> None:
    """Print notices as ``warning: …``, without the line of code they come from."""
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

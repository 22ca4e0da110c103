"""The one exception for mistakes that a user can fix."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from milannotations.streams import readable

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST_MESSAGE = 300
_SHOWN_FIELDS = 5


class InputError(ValueError):
    """Input that cannot be used; the message names the file, the value and what to do.

    The command line prints the message alone, without a traceback, and exits with status 2. The
    message may quote text from anybody, so control characters in it are escaped.
    """

    def __str__(self) -> str:
        return readable(super().__str__())


class NoNeuronError(InputError, KeyError):
    """There is no such neuron; also a ``KeyError``, which the original code raises."""

    def __str__(self) -> str:
        return readable(ValueError.__str__(self))  # a KeyError's would be quoted


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a hint such as ``"; did you mean 'layer4'?"`` or an empty string.

    >>> did_you_mean("layer9", ["layer4", "conv1"])
    "; did you mean 'layer4'?"
    >>> did_you_mean("zzz", ["layer4", "conv1"])
    ''
    """
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def raised(error: BaseException) -> str:
    """Say in one line what other people's code raised, and where.

    >>> try:
    ...     {}["layer4"]
    ... except KeyError as error:
    ...     raised(error).startswith("KeyError: 'layer4' (line 2 of ")
    True
    """
    message = " ".join(str(error).split())
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]} …"
    what = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:  # its message names the line
        return what
    frames = [*traceback.extract_tb(error.__traceback__)]
    # The import system's own frames do not show where an import fails.
    frames = [frame for frame in frames if not frame.filename.startswith("<frozen ")] or frames
    if not frames:
        return what
    last = frames[-1]
    within = f" in {last.name}" if last.name != "<module>" else ""
    return f"{what} (line {last.lineno} of {Path(last.filename).name}{within})"


def wrong_fields(error: ValidationError, whole: str) -> str:
    """Say which fields of a pydantic model are wrong, at most five of them, and why.

    Args:
        error: What pydantic raised.
        whole: What to call the model if it is wrong as a whole.
    """
    errors = error.errors(include_url=False, include_context=False)
    lines = [
        f"{'.'.join(str(step)[:60] for step in fault['loc']) or whole}: "
        f"{fault['msg'].removeprefix('Value error, ')[:300]}"
        for fault in errors[:_SHOWN_FIELDS]
    ]
    more = len(errors) - len(lines)
    return "; ".join(lines) + (f"; and {more:,} more" if more else "")

"""The command line's standard output and error: whatever they are, no result is lost to them.

A terminal may have another encoding, a pipe's reader may be gone, a disk may be full. Printed text
may also come from other people, such as names of layers and descriptions, and a terminal would obey
the control characters in it; they are shown instead.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TextIO, cast

_ENCODING_ERRORS = "milannotations.readable"

# C0 and C1 control characters except the line feed and tab, line separators, and characters that
# change the direction of text (https://trojansource.codes). A carriage return may end a line.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)
# What rich writes: styles, and the cursor movements of its progress bars.
_STYLING = re.compile("(\x1b\\[(?:[0-9;]*m|2K|[0-9]*A|\\?25[lh])|\r)")
_BAR_MOVES = re.compile("\n*(?:\x1b\\[A)*")  # what tqdm writes to reach another bar's line

# ASCII for the special characters in this project's own messages.
_PLAIN = {
    "…": "...", "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "·": "-", "•": "*", "×": "x",
    "±": "+/-", "≈": "~", "≤": "<=", "≥": ">=", "→": "->", "←": "<-", "‘": "'", "’": "'",
    "“": '"', "”": '"', "✓": "yes", "✗": "no", "λ": "lambda", "τ": "tau", "Σ": "sum of ",
    "√": "root of ", "²": "^2", "‰": " per mille", "\xa0": " ", "\u202f": " ",
    "━": "-", "─": "-", "╸": "-", "╺": "-", "│": "|", "┃": "|", "█": "#",
}  # fmt: skip
_SPINNERS = range(0x2800, 0x2900)  # braille patterns, from which spinners are made


def readable(text: str) -> str:
    r"""Return a text with its control characters escaped, so that a terminal does not obey them.

    Line feeds and tabs are kept.

    >>> readable("conv1\x1b[2J")
    'conv1\\x1b[2J'
    >>> readable("tail \u202egnp.exe\n")
    'tail \\u202egnp.exe\n'
    """
    return _CONTROL.sub(lambda match: _escaped(match[0]), text)


@contextmanager
def guarded_streams() -> Iterator[list[GuardedStream]]:
    """Guard standard output and error inside the block, so that printing never fails.

    - Characters that the encoding lacks are replaced.
    - Once a stream cannot be written, the rest is dropped, and ``lost`` says why.
    - Control characters are escaped; ``rich`` may still style text on a terminal.
    - A stream that was closed from the start is opened on the null device; otherwise a file opened
      later could take its number and receive what is printed.

    Yields:
        The guarded streams. Streams that are not files, as in a notebook, are left unchanged.
    """
    _open_closed_ones()
    before = sys.stdout, sys.stderr
    guarded = [GuardedStream(stream) for stream in before if isinstance(stream, io.TextIOWrapper)]
    by_stream = {id(stream.stream): stream for stream in guarded}
    sys.stdout, sys.stderr = (cast(TextIO, by_stream.get(id(stream), stream)) for stream in before)
    try:
        yield guarded
    finally:
        for stream in guarded:
            stream.flush()
        sys.stdout, sys.stderr = before


class GuardedStream:
    """A text stream that can always be written to; otherwise it acts as the stream that it wraps.

    Attributes:
        stream: The wrapped stream.
        lost: The error by which output was lost, if it was.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        stream.reconfigure(errors=_ENCODING_ERRORS)
        self.stream = stream
        self.lost: Exception | None = None

    @property
    def buffer(self) -> Any:
        """Missing: click would write UTF-8 past this stream where the encoding is ASCII."""
        raise AttributeError("a guarded stream takes text alone")

    @property
    def rich_proxied_file(self) -> Any:
        """The stream that ``rich`` consoles write to (``rich``'s name for a wrapped file)."""
        return _StyledStream(self) if _shows_styles(self.stream) else self

    @property
    def reader_is_gone(self) -> bool:
        """Whether output was lost because nobody read it any more, as with ``| head -n 1``."""
        return isinstance(self.lost, OSError) and self.lost.errno in (errno.EPIPE, errno.EINVAL)

    def write(self, text: str) -> int:
        """Write a text with its control characters escaped."""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes str, not {type(text).__name__}")
        if _BAR_MOVES.fullmatch(text):
            self.put(text)
            return len(text)
        # tqdm's bars begin with a carriage return, and end with one when they are cleared.
        head = "\r" if text.startswith("\r") else ""
        tail = "\r" if text.endswith("\r") and len(text) > 1 else ""
        inside = text[len(head) : len(text) - len(tail)]
        self.put(f"{head}{readable(inside)}{tail}")
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def put(self, text: str) -> None:
        """Write a text unchanged, unless the stream is lost."""
        if self.lost is None:
            try:
                self.stream.write(text)
            except (OSError, ValueError) as error:  # ValueError: it has been closed
                self._lose(error)

    def flush(self) -> None:
        """Flush what has been written so far."""
        if self.lost is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.lost = error
        # Writing what is left in the buffers would fail again when Python exits.
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())
            os.close(null)

    def __enter__(self) -> GuardedStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def __iter__(self) -> Iterator[str]:
        return iter(self.stream)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.stream, name)


class _StyledStream:
    """A guarded stream for ``rich``: its styles and cursor movements alone are not escaped."""

    def __init__(self, guarded: GuardedStream) -> None:
        self._guarded = guarded

    def write(self, text: str) -> int:
        pieces = _STYLING.split(text)  # every other one is styling
        self._guarded.put(
            "".join(piece if i % 2 else readable(piece) for i, piece in enumerate(pieces))
        )
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guarded, name)


def _shows_styles(stream: io.TextIOWrapper) -> bool:
    with suppress(ValueError):
        return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))
    return False


def _open_closed_ones() -> None:
    for number in (0, 1, 2):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(map(_in_ascii, wrong)), error.end


def _in_ascii(character: str) -> str:
    if ord(character) in _SPINNERS:
        return "*"
    return _PLAIN.get(character) or _escaped(character)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


codecs.register_error(_ENCODING_ERRORS, _replaced)

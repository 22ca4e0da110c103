"""Run commands in this process, each with a standard output on which something is wrong.

    python -m tests.output.run_cases WAY FOLDER REPORT

This saves importing torch once per command. Standard output and error are new ones for each
command, with the encoding that PYTHONIOENCODING or the locale gave this process.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from milannotations.cli import main
from tests.output.commands import CASES, Case


class FirstWord(BaseException):
    """Something was printed."""


class _EndsAtOnce(io.TextIOWrapper):
    """A standard output at whose first word the command is ended, as a kill then would."""

    def write(self, text: str) -> int:
        raise FirstWord(text)


@contextmanager
def _streams(way: str, errors: Path) -> Iterator[None]:
    """Put another standard output in place, and a file for standard error."""
    encoding = sys.__stdout__.encoding if sys.__stdout__ else "utf-8"
    saved = os.dup(1), os.dup(2)
    before = sys.stdout, sys.stderr
    target = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(target, 2)
    os.close(target)
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    if way == "closed":
        os.close(1)
        sys.stdout = None  # type: ignore[assignment]
    else:
        _redirect(way)
        kind = _EndsAtOnce if way == "first word" else io.TextIOWrapper
        raw = io.FileIO(1, "w", closefd=False)
        sys.stdout = kind(io.BufferedWriter(raw), encoding=encoding, errors="strict")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, FirstWord):  # what is left must not reach the next one
                stream.close()
        sys.stdout, sys.stderr = before
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for number in saved:
            os.close(number)


def _redirect(way: str) -> None:
    if way == "reader gone":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open({"full": "/dev/full"}.get(way, os.devnull), os.O_WRONLY)
    os.dup2(write, 1)
    os.close(write)


def run(way: str, case: Case, folder: Path) -> dict[str, Any]:
    """Run one command; return how it ended, and which results are not there."""
    if way == "first word" and case.speaks_before:
        way = "reader gone"
    errors = folder / "errors.txt"
    sys.argv = ["milannotations", *case.words.split()]
    status: Any = None
    problem = ""
    with _streams(way, errors):
        try:
            main()
        except SystemExit as end:
            status = end.code
        except FirstWord:
            status = 0
        except BaseException as error:
            problem = repr(error)
    return {
        "words": case.words,
        "status": status,
        "problem": problem,
        "missing": [name for name in case.results if not (folder / name).exists()],
        "errors": errors.read_bytes().decode(errors="replace"),
    }


if __name__ == "__main__":
    _way, _folder, _report = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    os.chdir(_folder)
    _ended = [run(_way, case, _folder) for case in CASES]
    _report.write_text(json.dumps(_ended), encoding="utf-8")

"""Bad inputs that are too large, or too odd for a file system or git, to be kept as files."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bad_inputs.cases import recipe


@recipe("words", "missing.csv")
def missing(path: Path) -> None:
    """Make nothing."""


@recipe("json", "deep.json")
def deep(path: Path) -> None:
    """Write objects in objects."""
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


@recipe("json", "deep-list.json")
def deep_list(path: Path) -> None:
    """Write lists in lists, never closed."""
    path.write_text("[" * 100_000)


@recipe("json", "long-integer.json")
def long_integer(path: Path) -> None:
    """Write more digits than Python converts."""
    path.write_text('{"version": ' + "7" * 5000 + "}\n")


@recipe("json", "folder.json")
def folder(path: Path) -> None:
    """Make a folder that is called as a file is."""
    path.mkdir()


@recipe("json", "missing.json")
def missing_json(path: Path) -> None:
    """Make nothing."""


@recipe("json", "pipe.json")
def pipe(path: Path) -> None:
    """Make a pipe that nobody writes to."""
    os.mkfifo(path)


@recipe("json", "circle.json")
def circle(path: Path) -> None:
    """Make a link to itself."""
    path.symlink_to(path.name)

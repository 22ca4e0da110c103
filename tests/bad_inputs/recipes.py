"""Bad inputs that are too large, or too odd for a file system or git, to be kept as files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from tests.bad_inputs.cases import recipe

HEADER = "layer,unit,description\n"


@recipe("words", "many-columns.csv")
def many_columns(path: Path) -> None:
    """Write a header of 100,000 columns, and ten rows."""
    names = ",".join(["layer", "unit", "description", *(f"c{i}" for i in range(100_000))])
    row = ",".join(["conv1", "0", "a dog", *["x"] * 100_000])
    path.write_text("\n".join([names, *[row] * 10]) + "\n")


@recipe("words", "long-cell.csv")
def long_cell(path: Path) -> None:
    """Write a description of 10 MB."""
    path.write_text(f"{HEADER}conv1,0,{'dog ' * 2_500_000}\nconv1,1,a cat\n")


@recipe("words", "bomb.csv.gz")
def bomb(path: Path) -> None:
    """Write a few kilobytes that unpack to 100 MB."""
    block = b"conv1,0," + b"dog " * 25_000 + b"\n"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(HEADER.encode())
        for _ in range(1_000):
            file.write(block)


@recipe("words", "pipe.csv")
def words_pipe(path: Path) -> None:
    """Make a pipe that nobody writes to."""
    os.mkfifo(path)


@recipe("words", "folder.csv")
def words_folder(path: Path) -> None:
    """Make a folder that is called as a table is."""
    path.mkdir()


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


@recipe("submission", "large.yaml")
def large(path: Path) -> None:
    """Write more than 64 KB."""
    path.write_text("title: " + "x" * 70_000 + "\n")


@recipe("listing", "pipe.csv")
def listing_pipe(path: Path) -> None:
    """Make a pipe that nobody writes to."""
    os.mkfifo(path)

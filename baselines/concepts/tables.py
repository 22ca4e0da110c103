"""Reading the tables and pictures of other people's data sets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.source import Concept
from milannotations.errors import InputError
from milannotations.pictures import opened, read_rgb, shown
from milannotations.tables import read_text


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Args:
        path: The file, UTF-8.
        columns: Columns that it must have.

    Raises:
        InputError: If it cannot be read, lacks a column, or a row is shorter than the header.
    """
    try:
        reader = read_text(path, columns)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                f"{path} has no column {' and no '.join(map(repr, missing))}; "
                f"it has {', '.join(reader.fieldnames or ['nothing'])}"
            )
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for number, row in enumerate(rows, start=2):
        if any(row[name] is None for name in columns):
            raise InputError(f"{path}, row {number} has fewer cells than the header")
    return rows


def whole_number(text: str, where: str) -> int:
    """Read a number that is not negative; raise InputError that says where it stands."""
    if not text.strip().isdecimal():
        raise InputError(f"{where} is {text!r}; it should be a whole number")
    return int(text)


def inside(root: Path, name: str, where: str) -> Path:
    """Return the path of a file below a folder.

    Raises:
        InputError: If the name leads out of the folder.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.parts:
        raise InputError(f"{where}: {name!r} lies outside {root}")
    return root / pure


def open_inside(root: Path, path: Path) -> Image.Image:
    """Open and decode a picture below a folder, as it is: label maps are numbers, not colours.

    Raises:
        InputError: If it is missing or damaged, or a link that leads out of the folder.
    """
    check_inside(root, path)
    with opened(path) as image:
        image.load()
        return image


def rgb_inside(root: Path, path: Path) -> Image.Image:
    """Return a photograph below a folder as RGB; errors are those of ``open_inside``."""
    check_inside(root, path)
    return read_rgb(path)


def check_inside(root: Path, path: Path) -> None:
    """Raise InputError if a path, after all links, is not below a folder."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{shown(path)} is a link that leads out of {shown(root)}")


def red_and_green(image: Image.Image) -> NDArray[np.int64]:
    """Return R + 256 G of a picture, int64 (height, width); greyscale has no G."""
    if image.mode in ("1", "L", "I", "I;16"):
        return np.asarray(image).astype(np.int64)
    rgb = np.asarray(image.convert("RGB")).astype(np.int64)
    found: NDArray[np.int64] = rgb[..., 0] + 256 * rgb[..., 1]
    return found


def missing_files(paths: Iterable[Path]) -> list[str]:
    """Return what to say of each file that is not there; each folder is listed once."""
    listed: dict[Path, set[str]] = {}
    problems = []
    for path in paths:
        if path.parent not in listed:
            folder = path.parent
            listed[folder] = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        if path.name not in listed[path.parent]:
            problems.append(f"{path} does not exist")
    return problems


def sizes(paths: Iterable[Path], root: Path) -> list[str]:
    """Return the name below ``root`` and the size in bytes of each file, in words."""
    found = []
    for path in paths:
        size = path.stat().st_size if path.is_file() else -1
        found.append(f"{path.relative_to(root).as_posix()} {size}")
    return found


class Codes:
    """From a data set's numbers of labels to codes; see ``Labels``."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._table = np.zeros(max(numbers, default=0) + 1, dtype=np.int64)
        self._table[list(numbers)] = np.arange(1, len(numbers) + 1)

    def find(self, numbers: NDArray[np.int64], where: object) -> NDArray[np.uint16]:
        """Return the code of each number, 0 for 0.

        Raises:
            InputError: If one is no label; it names ``where`` and the number.
        """
        known = (numbers >= 0) & (numbers < len(self._table))
        codes = self._table[np.where(known, numbers, 0)]
        wrong = (numbers != 0) & (codes == 0)
        if wrong.any():
            raise InputError(f"{where} holds the label {numbers[wrong][0]}, which has no name")
        return codes.astype(np.uint16)


def codes_of(concepts: Sequence[Concept]) -> Codes:
    """Return the codes of a vocabulary."""
    return Codes([concept.number for concept in concepts])

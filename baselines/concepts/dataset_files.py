"""Tables and pictures of downloaded data sets, read with care."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.labelled_images import VisualConcept
from milannotations.errors import InputError
from milannotations.file_names import shown
from milannotations.numerals import count_of
from milannotations.numerals import shown as shown_number
from milannotations.pictures import opened, read_rgb
from milannotations.rows import read_rows

_END = 4096  # bytes at the end of a file that distinguish it from others of the same size


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Args:
        path: The file, UTF-8.
        columns: Columns that it must have.

    Raises:
        InputError: If it cannot be read, lacks a column, or a row is shorter than the header.
    """
    return read_rows(path, columns, columns).mappings()


def whole_number(text: str, where: str) -> int:
    """Read a number that is not negative; an InputError names where it was."""
    number = count_of(text)
    if number is None:
        raise InputError(f"{where} is {shown_number(text)}; it should be a whole number")
    return number


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
    """Open a picture below a folder without converting it: label maps are numbers, not colours.

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
    numbers: NDArray[np.int64] = rgb[..., 0] + 256 * rgb[..., 1]
    return numbers


def missing_files(paths: Iterable[Path], *roots: Path) -> list[str]:
    """Return a message for each file that is missing, or is a link out of its folder.

    Args:
        paths: The files; each of their folders is listed once.
        roots: The folders of the data set; no link may lead out of all of them.
    """
    inside = [root.resolve() for root in roots]
    listed: dict[Path, dict[str, bool]] = {}  # whether each entry may be a link that leads out
    problems = []
    for path in paths:
        if path.parent not in listed:
            listed[path.parent] = _entries(path.parent, inside)
        leads_out = listed[path.parent].get(path.name)
        if leads_out is None:
            problems.append(f"{shown(path)} does not exist")
        elif leads_out and not _is_inside(path, inside):
            problems.append(
                f"{shown(path)} is a link that leads out of {' and '.join(map(shown, roots))}"
            )
    return problems


def _entries(folder: Path, roots: Sequence[Path]) -> dict[str, bool]:
    if not folder.is_dir():
        return {}
    doubtful = not _is_inside(folder, roots)
    with os.scandir(folder) as entries:
        return {entry.name: doubtful or entry.is_symlink() for entry in entries}


def _is_inside(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.resolve().is_relative_to(root) for root in roots)


def sizes(paths: Iterable[Path], root: Path) -> list[str]:
    """Return the name below ``root``, the size in bytes and a checksum of the end of each file.

    The end distinguishes pictures of the same size without reading them: PNG files have a checksum
    of all pixels there. A file that is missing or unreadable has the size -1.
    """
    lines = []
    for path in paths:
        size, checksum = -1, 0
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _END))
                checksum = zlib.crc32(file.read())
        except OSError:  # reported when the file is read
            size = -1
        lines.append(f"{path.relative_to(root).as_posix()} {size} {checksum:08x}")
    return lines


class Codes:
    """A map from the numbers of labels in a data set to codes; see ``Labels``.

    >>> Codes([3, 7]).find(np.array([7, 0, 3]), "a map").tolist()
    [2, 0, 1]

    Args:
        numbers: Numbers of the labels, in the order of their codes.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._table = np.zeros(max(numbers, default=0) + 1, dtype=np.int64)
        self._table[list(numbers)] = np.arange(1, len(numbers) + 1)

    def find(self, numbers: NDArray[np.int64], where: object) -> NDArray[np.uint16]:
        """Return the code of each number, 0 for 0.

        Raises:
            InputError: If a number is no label; the message names ``where`` and the number.
        """
        in_table = (numbers >= 0) & (numbers < len(self._table))
        codes = self._table[np.where(in_table, numbers, 0)]
        wrong = (numbers != 0) & (codes == 0)
        if wrong.any():
            raise InputError(f"{where} holds the label {numbers[wrong][0]}, which has no name")
        return codes.astype(np.uint16)


def codes_of(concepts: Sequence[VisualConcept]) -> Codes:
    """Return the codes of a vocabulary."""
    return Codes([concept.number for concept in concepts])

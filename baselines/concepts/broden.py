"""Broden: the labelled images of Network Dissection (Bau et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.dataset_files import (
    codes_of,
    inside,
    missing_files,
    open_inside,
    read_table,
    red_and_green,
    rgb_inside,
    sizes,
    whole_number,
)
from baselines.concepts.labelled_images import MOST_CONCEPTS, Labels, VisualConcept
from milannotations.errors import InputError, did_you_mean
from milannotations.inputs.sources import hash_of
from milannotations.numerals import NumeralError, decimal

CATEGORIES = ("object", "part", "scene", "texture", "color")  # all but material, as published
_FIXED = ("image", "split", "ih", "iw", "sh", "sw")


@dataclass(frozen=True)
class _Row:
    """One image: its file, its labels of the whole image, and its label maps."""

    image: Path
    whole: tuple[int, ...]
    maps: tuple[Path, ...]
    size: tuple[int, int]


class Broden:
    """Broden in the published layout, of either size.

    - ``index.csv`` (or a subset of it, such as ``index_ade20k.csv``) has one row per image and one
      column per category, with entries separated by semicolons: numbers of labels that apply to
      the whole image, and label maps, which are PNG files below ``images`` with the number of the
      label in R + 256 G. 0 always means no label.
    - ``label.csv`` names the labels, ``category.csv`` the categories, and ``c_<category>.csv`` says
      how much of the images each label covers in a category. A label belongs to the category in
      which it covers most (of ties, the last category). As in the original code, a label of none of
      the categories therefore belongs to the last one.

    Images without any label in the chosen categories are left out, as in the original code.

    Args:
        folder: ``broden1_224``, ``broden1_227`` or the like.
        index: File name of the index.
        categories: Names of categories; None for all.

    Raises:
        InputError: If tables are missing or invalid; images and label maps are not opened here.
    """

    def __init__(
        self,
        folder: Path,
        index: str = "index.csv",
        categories: Sequence[str] | None = CATEGORIES,
    ) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} does not exist or is no folder")
        self._folder = folder
        self._images = folder / "images"
        self._index = inside(folder, index, "index")
        self.categories = _categories(folder, categories)
        self.concepts = _concepts(folder, self.categories)
        self._codes = codes_of(self.concepts)
        self._rows = self._read_index()
        shapes = {row.size for row in self._rows}
        self.shape = shapes.pop() if len(shapes) == 1 else None

    def __len__(self) -> int:
        return len(self._rows)

    def image(self, index: int) -> Image.Image:
        """Return a picture; InputError if it cannot be read."""
        return rgb_inside(self._images, self._rows[index].image)

    def labels(self, index: int) -> Labels:
        """Return an image's labels.

        Raises:
            InputError: If a map is missing or damaged, differs in size from what its row says, or
                contains a number that is no label.
        """
        row = self._rows[index]
        maps = [self._map(path, row.size) for path in row.maps]
        pixels = np.stack(maps) if maps else np.zeros((0, *row.size), dtype=np.uint16)
        return Labels(pixels, row.whole)

    def name(self, index: int) -> str:
        """Return an image's path below ``images``."""
        return self._rows[index].image.relative_to(self._images).as_posix()

    def identity(self) -> dict[str, Any]:
        """Return hashes of the tables, and of the names, sizes and last bytes of all files."""
        return self._identity

    def check(self) -> list[str]:
        """Return which images and label maps are missing."""
        return missing_files(self._files(), self._images)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        tables = ["label.csv", "category.csv", *(f"c_{name}.csv" for name in self.categories)]
        paths = [self._folder / name for name in tables] + [self._index]
        content = hash_of(path.read_text(encoding="utf-8-sig") for path in paths)
        files = hash_of(sizes(self._files(), self._folder))
        return {"broden": content, "categories": list(self.categories), "files": files}

    def _files(self) -> list[Path]:
        return [path for row in self._rows for path in (row.image, *row.maps)]

    def _map(self, path: Path, size: tuple[int, int]) -> NDArray[np.uint16]:
        numbers = red_and_green(open_inside(self._images, path))
        if numbers.shape != size:
            raise InputError(
                f"{path} is {numbers.shape[0]} × {numbers.shape[1]}; "
                f"{self._index.name} says {size[0]} × {size[1]}"
            )
        return self._codes.find(numbers, path)

    def _whole(self, entry: str, where: str) -> int:
        # A number with more digits is no label, and may be too large for numpy.
        digits = entry.lstrip("0")
        if len(digits) > len(str(MOST_CONCEPTS)):
            raise InputError(f"{where} holds the label {digits[:20]}, which has no name")
        return int(self._codes.find(np.array([int(digits)]), where)[0])

    def _read_index(self) -> list[_Row]:
        rows = []
        table = read_table(self._index, [*_FIXED, *self.categories])
        for number, row in enumerate(table, start=2):
            where = f"{self._index}, row {number}"
            whole: list[int] = []
            maps: list[Path] = []
            for category in self.categories:
                for entry in filter(None, (text.strip() for text in row[category].split(";"))):
                    if not (entry.isascii() and entry.isdecimal()):
                        maps.append(inside(self._images, entry, where))
                    elif entry.strip("0"):
                        whole.append(self._whole(entry, f"{where}, column {category}"))
            if whole or maps:
                height, width = (whole_number(row[n], f"{where}: {n}") for n in ("sh", "sw"))
                if not height or not width:
                    raise InputError(f"{where}: label maps of {height} × {width}")
                image = inside(self._images, row["image"], where)
                rows.append(_Row(image, tuple(whole), tuple(maps), (height, width)))
        if not rows:
            raise InputError(f"{self._index} has no image with labels of {self.categories}")
        return rows


def _categories(folder: Path, wanted: Sequence[str] | None) -> tuple[str, ...]:
    path = folder / "category.csv"
    names = [row["name"] for row in read_table(path, ["name"])]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{path} has the category {twice!r} twice")
    for name in names:
        if PurePosixPath(name).name != name or "\\" in name or name in _FIXED:
            raise InputError(f"{path}: {name!r} cannot be the name of a category")
    for name in wanted or ():
        # The default is the published list, of which a subset of Broden may lack some.
        if name not in names and wanted is not CATEGORIES:
            raise InputError(
                f"{path} has no category {name!r}{did_you_mean(name, names)} "
                f"(it has {', '.join(names)})"
            )
    chosen = tuple(name for name in names if wanted is None or name in wanted)
    if not chosen:
        raise InputError(f"{path} has none of the categories {wanted}")
    return chosen


def _concepts(folder: Path, categories: Sequence[str]) -> tuple[VisualConcept, ...]:
    path = folder / "label.csv"
    names: dict[int, str] = {}
    for row in read_table(path, ["number", "name"]):
        number = whole_number(row["number"], f"{path}: number")
        if number in names or not 0 < number <= MOST_CONCEPTS:
            problem = "twice" if number in names else f"; labels count from 1 to {MOST_CONCEPTS}"
            raise InputError(f"{path} has the label {number} {problem}".replace(" ;", ";"))
        names[number] = row["name"]
    covered = [_coverage(folder / f"c_{category}.csv", names) for category in categories]

    def primary(number: int) -> str:
        best = max((coverage.get(number, 0.0), i) for i, coverage in enumerate(covered))
        return categories[best[1]]

    return tuple(VisualConcept(names[n], primary(n), n) for n in sorted(names))


def _coverage(path: Path, names: Mapping[int, str]) -> dict[int, float]:
    coverages = {}
    for row in read_table(path, ["code", "number", "coverage"]):
        code = whole_number(row["code"], f"{path}: code")
        number = whole_number(row["number"], f"{path}: number")
        if not code or not number:
            continue  # the entry for no label
        if number not in names:
            raise InputError(f"{path}: label {number} is not in label.csv")
        try:
            coverage = decimal(row["coverage"])
        except NumeralError:
            coverage = -1.0
        if coverage < 0:
            raise InputError(
                f"{path}: coverage of label {number} is {row['coverage']!r}; "
                "it should be a number from 0 on"
            )
        coverages[number] = coverage
    return coverages


def open_broden(folder: str, index: str = "index.csv", categories: str | None = None) -> Broden:
    """Open ``broden:FOLDER?index=…&categories=…``; see ``Broden``.

    Args:
        folder: The folder of the data set.
        index: Name of the index file.
        categories: Comma-separated categories, or ``all``; default as in ``Broden``.
    """
    if categories is None:
        return Broden(Path(folder), index)
    return Broden(Path(folder), index, None if categories == "all" else categories.split(","))

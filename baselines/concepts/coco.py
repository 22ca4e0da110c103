"""COCO: panoptic segmentation (Kirillov et al., 2019) and COCO-Stuff (Caesar et al., 2018)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from baselines.concepts.ade20k import check_size
from baselines.concepts.dataset_files import (
    codes_of,
    inside,
    missing_files,
    open_inside,
    rgb_inside,
    sizes,
)
from baselines.concepts.labelled_images import MOST_CONCEPTS, Labels, VisualConcept
from milannotations.errors import InputError
from milannotations.inputs.sources import hash_of
from milannotations.json_files import read_json
from milannotations.numerals import count_of
from milannotations.pictures import list_images
from milannotations.reading import text_lines

_LAST_THING = 91  # ids of COCO-Stuff: things up to here, stuff from here on
_UNLABELLED = 255  # as a pixel's value
_NO_LABEL = "unlabeled"  # as a name
_MAX_JSON = 2 << 30  # bytes; that of the training images has half a GB


class CocoPanoptic:
    """Panoptic segmentations: each pixel's segment, and each segment's category.

    A PNG file holds the id of each pixel's segment as ``R + 256 G + 65536 B``, 0 for none; the JSON
    file gives the category of each segment.

    Args:
        images: Folder of the pictures, such as ``val2017``.
        annotations: ``panoptic_val2017.json`` or the like.
        maps: Folder of the PNG files.

    Raises:
        InputError: If the JSON file cannot be read or has another layout.
    """

    categories = ("thing", "stuff")

    def __init__(self, images: Path, annotations: Path, maps: Path) -> None:
        self._images, self._maps, self._json = images, maps, annotations
        try:
            plain = read_json(annotations, dict, limit=_MAX_JSON)
            files = {int(image["id"]): str(image["file_name"]) for image in plain["images"]}
            kinds = {int(kind["id"]): kind for kind in plain["categories"]}
            self.concepts = tuple(
                VisualConcept(str(kinds[n]["name"]), "thing" if kinds[n]["isthing"] else "stuff", n)
                for n in sorted(kinds)
            )
            strange = [n for n in kinds if not 0 < n <= MOST_CONCEPTS]
            if strange or len(kinds) < len(plain["categories"]):
                what = f"is {strange[0]}" if strange else "occurs twice"
                raise InputError(
                    f"{annotations}: the id of a category {what}; each has one of its own, "
                    f"from 1 to {MOST_CONCEPTS}"
                )
            self._rows = [
                (
                    inside(images, files[int(annotation["image_id"])], str(annotations)),
                    inside(maps, str(annotation["file_name"]), str(annotations)),
                    {int(s["id"]): int(s["category_id"]) for s in annotation["segments_info"]},
                )
                for annotation in plain["annotations"]
            ]
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{annotations} is no panoptic annotation: {error!r}") from error
        if not self._rows:
            raise InputError(f"{annotations} annotates no image")
        self.shape: tuple[int, int] | None = None
        self._codes = codes_of(self.concepts)

    def __len__(self) -> int:
        return len(self._rows)

    def image(self, index: int) -> Image.Image:
        """Return a picture; InputError if it cannot be read."""
        return rgb_inside(self._images, self._rows[index][0])

    def labels(self, index: int) -> Labels:
        """Return an image's labels.

        Raises:
            InputError: If the map is missing or damaged, differs in size from the picture, or
                contains a segment or category that the JSON file does not list.
        """
        image, path, segments = self._rows[index]
        picture = open_inside(self._maps, path)
        if picture.mode not in ("RGB", "RGBA"):
            raise InputError(f"{path} is no RGB picture of segment ids")
        rgb = np.asarray(picture)[..., :3].astype(np.int64)
        check_size(self._images, path, rgb[..., 0], image)
        ids, where = np.unique(rgb @ np.array([1, 256, 65536]), return_inverse=True)
        unknown = [int(i) for i in ids if i and int(i) not in segments]
        if unknown:
            raise InputError(f"{path} holds the segment {unknown[0]}, not listed in {self._json}")
        numbers = np.array([segments[int(i)] if i else 0 for i in ids])
        codes = self._codes.find(numbers, path)
        return Labels(codes[where.reshape(rgb.shape[:2])][None])

    def name(self, index: int) -> str:
        """Return an image's file name."""
        return self._rows[index][0].name

    def identity(self) -> dict[str, Any]:
        """Return hashes of the categories, and of the names, sizes and last bytes of all files."""
        return self._identity

    def check(self) -> list[str]:
        """Return which pictures and maps are missing."""
        files = (path for row in self._rows for path in row[:2])
        return missing_files(files, self._images, self._maps)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return {
            "coco-panoptic": self._json.name,
            "annotations": hash_of([self._json.read_text(encoding="utf-8")]),
            "images": hash_of(sizes((row[0] for row in self._rows), self._images)),
            "maps": hash_of(sizes((row[1] for row in self._rows), self._maps)),
        }


class CocoStuff:
    """COCO-Stuff: maps of things and stuff, ``stuffthingmaps``, as 8-bit PNG files.

    The value of a pixel is the id of its label minus 1; 255 is unlabelled. ``labels.txt`` has one
    line, such as ``1: person``, for each id; ids up to 91 are things. In a list that begins with
    ``0: person`` the numbers are the values of pixels.

    Args:
        images: Folder of the pictures.
        maps: Folder of PNG files with the same names.
        labels: ``labels.txt``.

    Raises:
        InputError: If files are missing or have another layout.
    """

    categories = ("thing", "stuff")

    def __init__(self, images: Path, maps: Path, labels: Path) -> None:
        self._folder, self._maps = images, maps
        listed = list_images(images).paths if images.is_dir() else []
        self._images = sorted(p for p in listed if p.suffix == ".jpg" and p.parent == images)
        if not self._images:
            raise InputError(f"{images} holds no image (*.jpg)")
        self.concepts = tuple(
            VisualConcept(name, "thing" if number <= _LAST_THING else "stuff", number)
            for number, name in sorted(_stuff_labels(labels).items())
        )
        self.shape: tuple[int, int] | None = None
        self._codes = codes_of(self.concepts)

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> Image.Image:
        """Return a picture; InputError if it cannot be read."""
        return rgb_inside(self._folder, self._images[index])

    def labels(self, index: int) -> Labels:
        """Return an image's labels.

        Raises:
            InputError: If the map is missing or damaged, differs in size from the picture, or
                contains a value without a label.
        """
        path = self._map(index)
        values = np.asarray(open_inside(self._maps, path)).astype(np.int64)
        if values.ndim != 2:
            raise InputError(f"{path} is no greyscale picture of labels")
        check_size(self._folder, path, values, self._images[index])
        return Labels(self._codes.find(np.where(values == _UNLABELLED, 0, values + 1), path)[None])

    def name(self, index: int) -> str:
        """Return an image's file name."""
        return self._images[index].name

    def identity(self) -> dict[str, Any]:
        """Return hashes of the vocabulary, and of the names, sizes and last bytes of all files."""
        return self._identity

    def check(self) -> list[str]:
        """Return which maps are missing."""
        maps = (self._map(i) for i in range(len(self)))
        return missing_files([*self._images, *maps], self._folder, self._maps)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        maps = (self._map(i) for i in range(len(self)))
        return {
            "coco-stuff": hash_of(f"{c.number} {c.name}" for c in self.concepts),
            "images": hash_of(sizes(self._images, self._folder)),
            "maps": hash_of(sizes(maps, self._maps)),
        }

    def _map(self, index: int) -> Path:
        return self._maps / f"{self._images[index].stem}.png"


def _stuff_labels(path: Path) -> dict[int, str]:
    named: dict[int, str] = {}
    for line in text_lines(path):
        written, colon, name = line.partition(":")
        number = count_of(written)
        if not colon or number is None or not name.strip():
            raise InputError(f"{path}: {line[:100]!r} should be a number, a colon and a name")
        if number in named:
            raise InputError(f"{path} has the label {number} twice")
        named[number] = name.strip()
    shift = 0 if named.get(0, _NO_LABEL) == _NO_LABEL else 1
    labels = {number + shift: name for number, name in named.items() if name != _NO_LABEL}
    if not labels or not 0 < min(labels) <= max(labels) <= _UNLABELLED:
        raise InputError(f"{path} names no labels from 1 to {_UNLABELLED}")
    return labels


def open_coco_panoptic(folder: str, split: str = "val2017") -> CocoPanoptic:
    """Open ``coco-panoptic:FOLDER?split=…``: COCO as its archives unpack; see ``CocoPanoptic``."""
    root, annotations = Path(folder), Path(folder) / "annotations"
    return CocoPanoptic(
        root / split, annotations / f"panoptic_{split}.json", annotations / f"panoptic_{split}"
    )


def open_coco_stuff(folder: str, split: str = "val2017") -> CocoStuff:
    """Open ``coco-stuff:FOLDER?split=…``: COCO as its archives unpack; see ``CocoStuff``."""
    root = Path(folder)
    return CocoStuff(root / split, root / "stuffthingmaps" / split, root / "labels.txt")

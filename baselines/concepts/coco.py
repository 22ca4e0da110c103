"""COCO: panoptic segmentation (Kirillov et al., 2019) and COCO-Stuff (Caesar et al., 2018)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.dataset_files import inside, sizes
from baselines.concepts.labelled_images import MOST_CONCEPTS, VisualConcept
from baselines.concepts.mapped_images import MappedImages, greyscale_numbers, photographs
from milannotations.errors import InputError
from milannotations.inputs.sources import hash_of
from milannotations.json_files import read_json
from milannotations.numerals import count_of
from milannotations.reading import text_lines

_LAST_THING = 91  # ids of COCO-Stuff: things up to here, stuff from here on
_UNLABELLED = 255  # as a pixel's value
_NO_LABEL = "unlabeled"  # as a name
_MAX_JSON = 2 << 30  # bytes; that of the training images has half a GB


class CocoPanoptic(MappedImages):
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
        self._json = annotations
        try:
            plain = read_json(annotations, dict, limit=_MAX_JSON)
            files = {int(image["id"]): str(image["file_name"]) for image in plain["images"]}
            kinds = {int(kind["id"]): kind for kind in plain["categories"]}
            concepts = [
                VisualConcept(str(kinds[n]["name"]), "thing" if kinds[n]["isthing"] else "stuff", n)
                for n in sorted(kinds)
            ]
            strange = [n for n in kinds if not 0 < n <= MOST_CONCEPTS]
            if strange or len(kinds) < len(plain["categories"]):
                what = f"is {strange[0]}" if strange else "occurs twice"
                raise InputError(
                    f"{annotations}: the id of a category {what}; each has one of its own, "
                    f"from 1 to {MOST_CONCEPTS}"
                )
            rows = plain["annotations"]
            pictures = [inside(images, files[int(r["image_id"])], str(annotations)) for r in rows]
            map_files = [[inside(maps, str(r["file_name"]), str(annotations))] for r in rows]
            self._segments = [
                {int(s["id"]): int(s["category_id"]) for s in r["segments_info"]} for r in rows
            ]
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{annotations} is no panoptic annotation: {error!r}") from error
        if not rows:
            raise InputError(f"{annotations} annotates no image")
        super().__init__(images, pictures, map_files, concepts, maps_root=maps)

    def _hashes(self) -> dict[str, Any]:
        return {
            "coco-panoptic": self._json.name,
            "annotations": hash_of([self._json.read_text(encoding="utf-8")]),
            "images": hash_of(sizes(self._images, self._root)),
            "maps": hash_of(sizes(self._map_files, self._maps_root)),
        }

    def _numbers(self, picture: Image.Image, path: Path, index: int) -> NDArray[np.int64]:
        if picture.mode not in ("RGB", "RGBA"):
            raise InputError(f"{path} is no RGB picture of segment ids")
        segments = self._segments[index]
        rgb = np.asarray(picture)[..., :3].astype(np.int64)
        self._check_size(path, rgb[..., 0], self._images[index])
        ids, where = np.unique(rgb @ np.array([1, 256, 65536]), return_inverse=True)
        unknown = [int(i) for i in ids if i and int(i) not in segments]
        if unknown:
            raise InputError(f"{path} holds the segment {unknown[0]}, not listed in {self._json}")
        numbers = np.array([segments[int(i)] if i else 0 for i in ids])
        return np.asarray(numbers[where.reshape(rgb.shape[:2])])


class CocoStuff(MappedImages):
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
        pictures = photographs(images)
        if not pictures:
            raise InputError(f"{images} holds no image (*.jpg)")
        concepts = [
            VisualConcept(name, "thing" if number <= _LAST_THING else "stuff", number)
            for number, name in sorted(_stuff_labels(labels).items())
        ]
        map_files = [[maps / f"{path.stem}.png"] for path in pictures]
        super().__init__(images, pictures, map_files, concepts, maps_root=maps)

    def _hashes(self) -> dict[str, Any]:
        return {
            "coco-stuff": hash_of(f"{c.number} {c.name}" for c in self.concepts),
            "images": hash_of(sizes(self._images, self._root)),
            "maps": hash_of(sizes(self._map_files, self._maps_root)),
        }

    def _numbers(self, picture: Image.Image, path: Path, index: int) -> NDArray[np.int64]:
        values = greyscale_numbers(picture, path, "labels")
        return np.where(values == _UNLABELLED, 0, values + 1)


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

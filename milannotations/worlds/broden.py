"""Writes labelled images, including this project's scenes, in Broden's layout."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from milannotations.errors import InputError
from milannotations.storage import atomic_folder
from milannotations.worlds.concepts import Anything
from milannotations.worlds.scenes import SHAPES, TEXTURES, Scene, make_scene
from milannotations.worlds.spatial import Part

Entry = NDArray[np.int64] | int
_GREATEST = 65_535
_SCENES = ("plain", "gradient", "speckled")  # scenes with another background have no scene label
_PARTS = ("upper edge", "outline")  # they overlap, so each has its own channel


class BrodenWriter:
    """Writes a labelled data set in Broden's layout on disk.

    Args:
        folder: An empty folder.
        labels: The labels of each category, in the order of their numbers; a name in two
            categories is one label. Labels that no image has are listed with a frequency of 0.
        first: Number of the first label.

    Raises:
        InputError: If a number is outside 1 to 65,535, the greatest that red and green can hold.
    """

    def __init__(self, folder: Path, labels: Mapping[str, Sequence[str]], first: int = 1) -> None:
        self._folder = folder
        self._labels = {category: list(names) for category, names in labels.items()}
        names = dict.fromkeys(name for of_it in self._labels.values() for name in of_it)
        if first < 1 or first + len(names) - 1 > _GREATEST:
            raise InputError(
                f"first is {first}: {len(names)} labels from there are not within 1 to {_GREATEST}"
            )
        self.numbers = {name: first + i for i, name in enumerate(names)}
        self._frequency: Counter[tuple[str, int]] = Counter()
        self._coverage: defaultdict[tuple[str, int], float] = defaultdict(float)
        self._rows: list[list[Any]] = []
        (folder / "images").mkdir(parents=True, exist_ok=True)

    def add(
        self,
        name: str,
        picture: Image.Image,
        shape: tuple[int, int],
        entries: Mapping[str, Sequence[Entry]],
    ) -> None:
        """Write an image.

        Args:
            name: File name of the image, without an ending.
            picture: The image.
            shape: Height and width of its label maps.
            entries: For some categories, label maps of that shape (label numbers, 0 for none) and
                numbers of labels of the whole image.
        """
        images = self._folder / "images"
        picture.save(images / f"{name}.jpg", quality=92)
        cells = []
        for category in self._labels:
            texts = []
            covered: Counter[int] = Counter()
            for channel, entry in enumerate(entries.get(category, ())):
                if isinstance(entry, int):
                    texts.append(str(entry))
                    covered[entry] += shape[0] * shape[1]
                    continue
                file = f"{name}_{category}_{channel + 1}.png"
                rgb = np.stack([entry % 256, entry // 256, np.zeros_like(entry)], axis=2)
                Image.fromarray(rgb.astype(np.uint8)).save(images / file)
                texts.append(file)
                values, times = np.unique(entry, return_counts=True)
                covered.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
            for number, pixels in covered.items():
                if number:
                    self._frequency[category, number] += 1
                    self._coverage[category, number] += pixels / (shape[0] * shape[1])
            cells.append(";".join(texts))
        self._rows.append([f"{name}.jpg", "val", picture.height, picture.width, *shape, *cells])

    def finish(self, subset: int = 0) -> None:
        """Write the tables.

        Args:
            subset: How many of the first images ``index_ade20k.csv`` lists; 0 writes no such file.
        """
        header = ["image", "split", "ih", "iw", "sh", "sw", *self._labels]
        self._table("index.csv", header, self._rows)
        if subset:
            self._table("index_ade20k.csv", header, self._rows[:subset])
        labels, categories = [], []
        for name, number in self.numbers.items():
            # Never empty: the published loaders cannot read a label without a category.
            mine = [c for c in self._labels if self._frequency[c, number]] or [
                c for c, names in self._labels.items() if name in names
            ]
            every = sum(self._frequency[c, number] for c in mine)
            in_all = sum(self._coverage[c, number] for c in mine)
            listed = ";".join(f"{c}({self._frequency[c, number]})" for c in mine)
            labels.append([number, name, listed, every, f"{in_all:.6f}", ""])
        for category, names in self._labels.items():
            header = ["code", "number", "name", "frequency", "coverage"]
            rows: list[list[Any]] = []
            for code, name in enumerate(names, start=1):
                key = category, self.numbers[name]
                cover = f"{self._coverage[key]:.6f}"
                rows.append([code, key[1], name, self._frequency[key], cover])
            self._table(f"c_{category}.csv", header, rows)
            numbers = [self.numbers[name] for name in names]
            total = sum(self._frequency[category, n] for n in numbers)
            categories.append([category, min(numbers), max(numbers), len(numbers), total])
        self._table(
            "label.csv", ["number", "name", "category", "frequency", "coverage", "syns"], labels
        )
        self._table("category.csv", ["name", "first", "last", "count", "frequency"], categories)

    def _table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with (self._folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)


def write_broden(
    folder: Path, seed: int, scenes: int, size: int = 224, segmentation: int = 112, first: int = 1
) -> None:
    """Write scenes in Broden's layout, with all the difficulties of Broden's labels.

    Shapes and colours (with the suffix ``-c``) are labelled by pixel, and two overlapping parts in
    separate channels. The background is a label of the whole image (suffix ``-s``) in some images,
    0 or missing in others; textures are labels of the whole image in every third. The label
    ``outline`` is a part and, for circles, also an object.

    Args:
        folder: Folder to write; it appears when everything is written.
        seed: Seed of the scenes.
        scenes: Number of scenes; ``index_ade20k.csv`` lists the first half.
        size: Side of the pictures: 224, or 227 as in Broden for AlexNet.
        segmentation: Side of the label maps: 112 or 113.
        first: Number of the first label; above 255, all labels need the green channel.

    Raises:
        InputError: If a count or size is below 1, a label's number is out of range, or the folder
            is not empty.
    """
    for name, value in (("scenes", scenes), ("size", size), ("segmentation", segmentation)):
        if value < 1:
            raise InputError(f"{name} is {value}; it must be 1 or more")
    world = [make_scene(seed, index) for index in range(scenes)]
    colours = sorted({item.colour for scene in world for item in scene.objects})
    labels = {
        "object": [*SHAPES, "outline"],
        "part": list(_PARTS),
        "scene": [f"{kind}-s" for kind in _SCENES],
        "texture": list(TEXTURES),
        "color": [f"{colour}-c" for colour in colours],
    }
    shape = (segmentation, segmentation)
    with atomic_folder(folder) as target:
        writer = BrodenWriter(target, labels, first)
        for index, scene in enumerate(world):
            picture = scene.image if size == scene.image.width else scene.image.resize((size, size))
            entries = broden_entries(scene, index, writer.numbers, shape)
            writer.add(f"{index:05d}", picture, shape, entries)
        writer.finish(subset=scenes // 2)


def broden_entries(
    scene: Scene, index: int, numbers: Mapping[str, int], shape: tuple[int, int]
) -> dict[str, list[Entry]]:
    """Return a scene's labels as ``write_broden`` writes them."""
    rows, columns = (((np.arange(n) + 0.5) * 224 / n).astype(int) for n in shape)

    def small(full: NDArray[Any]) -> NDArray[np.int64]:
        return full[rows[:, None], columns].astype(np.int64)

    def by_owner(names: Sequence[str]) -> NDArray[np.int64]:
        table = np.array([*(numbers[name] for name in names), 0])
        return small(table[scene.owner])

    entries: dict[str, list[Entry]] = {
        "object": [by_owner([item.shape for item in scene.objects])],
        "color": [by_owner([f"{item.colour}-c" for item in scene.objects])],
        "part": [
            small(np.where(Part(side, Anything()).mask(scene), numbers[side], 0)) for side in _PARTS
        ],
    }
    circles = np.array([item.shape == "circle" for item in scene.objects], dtype=bool)
    if circles.any():
        edge = Part("outline", Anything()).mask(scene) & scene.mask_of(circles)
        entries["object"].append(small(np.where(edge, numbers["outline"], 0)))
    if scene.background in _SCENES:
        entries["scene"] = [numbers[f"{scene.background}-s"]]
    elif index % 2:
        entries["scene"] = [0]
    if index % 3 == 0:
        entries["texture"] = [
            numbers[name] for name in sorted({item.texture for item in scene.objects})
        ]
    return entries

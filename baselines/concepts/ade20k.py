"""ADE20K (Zhou et al., CVPR 2017): the full data set, and the 150 classes of its challenge."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.dataset_files import (
    check_inside,
    codes_of,
    missing_files,
    open_inside,
    rgb_inside,
    sizes,
)
from baselines.concepts.labelled_images import MOST_CONCEPTS, Labels, VisualConcept
from milannotations.data_home import home, make_folder
from milannotations.errors import InputError
from milannotations.inputs.sources import hash_of
from milannotations.json_files import MAX_JSON, parse_json, read_json
from milannotations.notices import notify
from milannotations.numerals import count_of
from milannotations.pictures import list_images, size_of
from milannotations.progress import progress_bar
from milannotations.reading import is_there, read_bytes, text_lines
from milannotations.storage import atomic_path

SPLITS = ("training", "validation")


class _Scenes(ABC):
    """What both data sets share: pictures, their class maps, and a scene, or None, for each."""

    shape: tuple[int, int] | None = None

    def __init__(
        self,
        folder: Path,
        maps: dict[Path, list[Path]],
        classes: Sequence[VisualConcept],
        scenes: Sequence[str | None],
    ) -> None:
        self._folder, self._images, self._maps = folder, list(maps), list(maps.values())
        # Scenes have no numbers of their own: they follow the classes.
        names = sorted({scene for scene in scenes if scene})
        first = max((concept.number for concept in classes), default=0) + 1
        added = (VisualConcept(name, "scene", first + i) for i, name in enumerate(names))
        self.concepts = (*classes, *added)
        self._codes = codes_of(classes)
        code = {name: len(classes) + 1 + i for i, name in enumerate(names)}
        self._whole = [(code[scene],) if scene else () for scene in scenes]

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> Image.Image:
        """Return a picture; InputError if it cannot be read."""
        return rgb_inside(self._folder, self._images[index])

    def labels(self, index: int) -> Labels:
        """Return an image's labels: its objects, then a channel for each level of parts.

        Raises:
            InputError: If a map is missing or damaged, differs in size from the picture, or
                contains a number that is no class.
        """
        channels = []
        for path in self._maps[index]:
            numbers = self._numbers(open_inside(self._folder, path), path)
            check_size(self._folder, path, numbers, self._images[index])
            channels.append(self._codes.find(numbers, path))
        return Labels(np.stack(channels), self._whole[index])

    def check(self) -> list[str]:
        """Return which pictures and label maps are missing, or are links out of the folder."""
        files = [*self._images, *(path for maps in self._maps for path in maps)]
        return missing_files(files, self._folder)

    @abstractmethod
    def _numbers(self, picture: Image.Image, path: Path) -> NDArray[np.int64]:
        """Return the number of each pixel's class, shape (height, width)."""


class SceneParsing(_Scenes):
    """The scene parsing challenge, ``ADEChallengeData2016``.

    ``annotations/<split>/*.png`` hold 0 for unlabelled and 1 to 150 for the classes that
    ``objectInfo150.txt`` names, of which the first synonym is used. ``sceneCategories.txt``, if it
    exists, gives the scene of each image.

    Args:
        folder: ``ADEChallengeData2016``.
        split: ``training`` or ``validation``.

    Raises:
        InputError: If the folder has another layout.
    """

    def __init__(self, folder: Path, split: str = "validation") -> None:
        _check_split(split)
        images = _photographs(folder / "images" / split, deep=False)
        if not images:
            raise InputError(f"{folder / 'images' / split} holds no image (*.jpg)")
        objects = [VisualConcept(name, "object", n) for n, name in _classes(folder).items()]
        scene_of = _scenes(folder)
        scenes = [scene_of.get(path.stem) for path in images]
        maps = {i: [folder / "annotations" / split / f"{i.stem}.png"] for i in images}
        super().__init__(folder, maps, objects, scenes)
        self.categories = ("object", "scene") if any(scenes) else ("object",)
        self._split, self._scene_of = split, scene_of

    def name(self, index: int) -> str:
        """Return an image's file name."""
        return self._images[index].name

    def identity(self) -> dict[str, Any]:
        """Return hashes of the vocabulary, and of the names, sizes and last bytes of all files."""
        return self._identity

    @cached_property
    def _identity(self) -> dict[str, Any]:
        files = [*self._images, *(path for maps in self._maps for path in maps)]
        return {
            "sceneparsing": self._split,
            "vocabulary": hash_of(f"{c.number} {c.category} {c.name}" for c in self.concepts),
            "scenes": hash_of(f"{name} {scene}" for name, scene in sorted(self._scene_of.items())),
            "files": hash_of(sizes(files, self._folder)),
        }

    def _numbers(self, picture: Image.Image, path: Path) -> NDArray[np.int64]:
        values = np.asarray(picture)
        if values.ndim != 2:
            raise InputError(f"{path} is no greyscale picture of class numbers")
        return values.astype(np.int64)


class ADE20K(_Scenes):
    """The full data set, release of January 2021, with objects, parts and scenes.

    Below ``images/ADE/<split>/<group>/<scene>`` each picture ``X.jpg`` has ``X_seg.png`` with the
    number of the class in ``R // 10 × 256 + G``, the same for parts in ``X_parts_1.png`` and so on,
    and ``X.json`` with the numbers and names of the classes. A name that is used for objects and
    for parts belongs to the category in which it occurs more often. ``index_ade20k.pkl`` is not
    read, because a pickle can run code.

    Args:
        folder: The folder that holds ``images``.
        split: ``training`` or ``validation``.

    Raises:
        InputError: If the folder has another layout.
    """

    categories = ("object", "part", "scene")

    def __init__(self, folder: Path, split: str = "validation") -> None:
        _check_split(split)
        root = folder / "images" / "ADE" / split
        maps = {image: _maps_of(image) for image in _photographs(root, deep=True)}
        if not maps:
            old = (folder / "images" / split).is_dir()
            hint = "; this is the release of 2016, use that of January 2021" if old else ""
            raise InputError(f"{root} holds no image (*.jpg){hint}")
        files = [f for i in maps for f in (i, *maps[i], i.with_suffix(".json"))]
        self._identity = {"ade20k": split, "files": hash_of(sizes(files, folder))}
        classes = _vocabulary(folder, list(maps), json.dumps(self._identity, sort_keys=True))
        super().__init__(folder, maps, classes, [image.parent.name for image in maps])

    def name(self, index: int) -> str:
        """Return an image's scene and file name."""
        path = self._images[index]
        return f"{path.parent.name}/{path.name}"

    def identity(self) -> dict[str, Any]:
        """Return a hash of the names, sizes and last bytes of all files."""
        return self._identity

    def _numbers(self, picture: Image.Image, path: Path) -> NDArray[np.int64]:
        if picture.mode not in ("RGB", "RGBA"):
            raise InputError(f"{path} is no RGB picture; class numbers are in red and green")
        rgb = np.asarray(picture).astype(np.int64)
        return np.asarray(rgb[..., 0] // 10 * 256 + rgb[..., 1])


def check_size(root: Path, path: Path, pixels: NDArray[Any], image: Path) -> None:
    """Raise InputError if a map, of shape (height, width), differs in size from its picture.

    Args:
        root: The folder of the picture, which no link may leave.
        path: The map's file, for the message.
        pixels: The map.
        image: The picture, of which only the header is read.
    """
    check_inside(root, image)
    width, height = size_of(image)
    if pixels.shape != (height, width):
        size = " × ".join(map(str, pixels.shape))
        raise InputError(f"{path} is {size}, and {image.name} {height} × {width}")


def _photographs(folder: Path, deep: bool) -> list[Path]:
    """Return the JPEG files in a folder, with ``deep`` also below it; none if it is missing."""
    listed = list_images(folder).paths if folder.is_dir() else []
    return sorted(p for p in listed if p.suffix == ".jpg" and (deep or p.parent == folder))


def _maps_of(image: Path) -> list[Path]:
    parts: list[Path] = []
    while (path := image.with_name(f"{image.stem}_parts_{len(parts) + 1}.png")).is_file():
        parts.append(path)
    return [image.with_name(f"{image.stem}_seg.png"), *parts]


def _vocabulary(folder: Path, images: Sequence[Path], key: str) -> list[VisualConcept]:
    """Return the classes of all JSON files; they are read once, and kept in a file."""
    cache = home() / "concepts" / f"ade20k-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if is_there(cache):
        try:
            plain = read_json(cache, dict)
            return [
                VisualConcept(str(name), str(kind), int(n)) for n, (name, kind) in plain.items()
            ]
        except (ValueError, TypeError) as error:
            notify(f"{cache} cannot be used ({error}); it is written again")
    names: dict[int, str] = {}
    times: dict[int, Counter[str]] = defaultdict(Counter)
    with progress_bar() as bar:
        task = bar.add_task("Names of classes", total=len(images))
        for image in images:
            for number, name, category in _classes_in(folder, image.with_suffix(".json")):
                names.setdefault(number, name)
                times[number][category] += 1
            bar.advance(task)
    classes = {
        n: (names[n], max(("object", "part"), key=times[n].__getitem__)) for n in sorted(names)
    }
    make_folder(cache.parent)
    with atomic_path(cache) as path:
        path.write_text(json.dumps(classes), encoding="utf-8")
    return [VisualConcept(name, category, n) for n, (name, category) in classes.items()]


def _classes_in(folder: Path, path: Path) -> list[tuple[int, str, str]]:
    """Return the number, name and category of every object in the JSON file of a picture."""
    check_inside(folder, path)
    try:
        # Some names are not valid UTF-8 in the release.
        text = read_bytes(path, MAX_JSON).decode("utf-8", errors="replace")
        plain = parse_json(text, path, dict, remedy="it does not list objects as ADE20K does")
        return [
            (
                int(item["name_ndx"]),
                str(item["name"]).split(",")[0].strip(),
                "part" if int(item["parts"]["part_level"]) else "object",
            )
            for item in plain["annotation"]["object"]
            if 0 < int(item["name_ndx"]) <= MOST_CONCEPTS
        ]
    except InputError as error:
        if path.exists():
            raise
        raise InputError(
            f"{path} does not exist; it names the picture's classes (index_ade20k.pkl is not read "
            "in its place, as a pickle can run code)"
        ) from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path} does not list objects as the release does: {error!r}") from error


def _classes(folder: Path) -> dict[int, str]:
    """Return the first synonym of each class of the challenge, by number."""
    path = folder / "objectInfo150.txt"
    lines = _lines(folder, path)
    header = [name.strip() for name in lines[0].split("\t")] if lines else []
    if "Idx" not in header or "Name" not in header:
        raise InputError(f"{path} has no columns 'Idx' and 'Name', between tabs")
    classes: dict[int, str] = {}
    for line in lines[1:]:
        cells = [cell.strip() for cell in line.split("\t")]
        number = count_of(cells[header.index("Idx")]) if len(cells) >= len(header) else None
        if number is None or not 0 < number <= MOST_CONCEPTS or number in classes:
            raise InputError(f"{path}: {line!r} is no class, or has the number of another")
        synonyms = cells[header.index("Name")].replace(";", ",")
        classes[number] = synonyms.split(",")[0].strip()
    if not classes:
        raise InputError(f"{path} names no class")
    return classes


def _scenes(folder: Path) -> dict[str, str]:
    path = folder / "sceneCategories.txt"
    pairs = [line.split() for line in _lines(folder, path)] if path.is_file() else []
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{path}: each line should be an image's name and its scene")
    return {pair[0]: pair[1] for pair in pairs}


def _lines(folder: Path, path: Path) -> list[str]:
    check_inside(folder, path)
    return text_lines(path)


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise InputError(f"split {split!r}; choose one of {', '.join(SPLITS)}")


def open_ade20k(folder: str, split: str = "validation") -> ADE20K:
    """Open ``ade20k:FOLDER?split=…``; see ``ADE20K``."""
    return ADE20K(Path(folder), split)


def open_scene_parsing(folder: str, split: str = "validation") -> SceneParsing:
    """Open ``sceneparsing:FOLDER?split=…``; see ``SceneParsing``."""
    return SceneParsing(Path(folder), split)

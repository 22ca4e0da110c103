"""ADE20K (Zhou et al., CVPR 2017): the full data set, and the 150 classes of its challenge."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.dataset_files import (
    check_inside,
    sizes,
)
from baselines.concepts.labelled_images import MOST_CONCEPTS, VisualConcept
from baselines.concepts.mapped_images import MappedImages, greyscale_numbers, photographs
from milannotations.data_home import home, make_folder
from milannotations.errors import InputError
from milannotations.inputs.sources import hash_of
from milannotations.json_files import MAX_JSON, parse_json, read_json
from milannotations.notices import notify
from milannotations.numerals import count_of
from milannotations.progress import progress_bar
from milannotations.reading import is_there, read_bytes, text_lines
from milannotations.storage import atomic_path
from milannotations.storage.tidying import tidy_up

SPLITS = ("training", "validation")


class SceneParsing(MappedImages):
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
        images = photographs(folder / "images" / split)
        if not images:
            raise InputError(f"{folder / 'images' / split} holds no image (*.jpg)")
        objects = [VisualConcept(name, "object", n) for n, name in _classes(folder).items()]
        scene_of = _scenes(folder)
        scenes = [scene_of.get(path.stem) for path in images]
        maps = [[folder / "annotations" / split / f"{i.stem}.png"] for i in images]
        super().__init__(folder, images, maps, objects, scenes)
        self.categories = ("object", "scene") if any(scenes) else ("object",)
        self._split, self._scene_of = split, scene_of

    def _hashes(self) -> dict[str, Any]:
        files = [*self._images, *self._map_files]
        return {
            "sceneparsing": self._split,
            "vocabulary": hash_of(f"{c.number} {c.category} {c.name}" for c in self.concepts),
            "scenes": hash_of(f"{name} {scene}" for name, scene in sorted(self._scene_of.items())),
            "files": hash_of(sizes(files, self._root)),
        }

    def _numbers(self, picture: Image.Image, path: Path, index: int) -> NDArray[np.int64]:
        return greyscale_numbers(picture, path, "class numbers")


class ADE20K(MappedImages):
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
        maps = {image: _maps_of(image) for image in photographs(root, deep=True)}
        if not maps:
            old = (folder / "images" / split).is_dir()
            hint = "; this is the release of 2016, use that of January 2021" if old else ""
            raise InputError(f"{root} holds no image (*.jpg){hint}")
        files = [f for i in maps for f in (i, *maps[i], i.with_suffix(".json"))]
        self._hashes_of_files = {"ade20k": split, "files": hash_of(sizes(files, folder))}
        key = json.dumps(self._hashes_of_files, sort_keys=True)
        classes = _vocabulary(folder, list(maps), key)
        scenes = [image.parent.name for image in maps]
        super().__init__(folder, [*maps], [*maps.values()], classes, scenes)

    def name(self, index: int) -> str:
        """Return the scene and the file name of an image."""
        path = self._images[index]
        return f"{path.parent.name}/{path.name}"

    def _hashes(self) -> dict[str, Any]:
        return self._hashes_of_files

    def _numbers(self, picture: Image.Image, path: Path, index: int) -> NDArray[np.int64]:
        if picture.mode not in ("RGB", "RGBA"):
            raise InputError(f"{path} is no RGB picture; class numbers are in red and green")
        rgb = np.asarray(picture).astype(np.int64)
        return np.asarray(rgb[..., 0] // 10 * 256 + rgb[..., 1])


def _maps_of(image: Path) -> list[Path]:
    parts: list[Path] = []
    while (path := image.with_name(f"{image.stem}_parts_{len(parts) + 1}.png")).is_file():
        parts.append(path)
    return [image.with_name(f"{image.stem}_seg.png"), *parts]


def _vocabulary(folder: Path, images: Sequence[Path], key: str) -> list[VisualConcept]:
    """Return the classes of all JSON files; they are read once, and kept in a file."""
    cache = home() / "concepts" / f"ade20k-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    tidy_up(cache)
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
        raise InputError(f"{path} has no tab-separated columns 'Idx' and 'Name'")
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

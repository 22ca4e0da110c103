"""ADE20K (Zhou et al., CVPR 2017): the full data set, and the 150 classes of its challenge."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.source import MOST_CONCEPTS, Concept, Labels
from baselines.concepts.tables import codes_of, missing_files, open_inside, sizes
from milannotations.errors import InputError
from milannotations.exemplars.sources import hash_of
from milannotations.progress import progress_bar
from milannotations.storage import atomic_path
from milannotations.store import home

SPLITS = ("training", "validation")


class SceneParsing:
    """The scene parsing challenge, ``ADEChallengeData2016``.

    ``annotations/<split>/*.png`` hold 0 for unlabelled and 1 to 150 for the classes that
    ``objectInfo150.txt`` names, of which the first synonym is used. ``sceneCategories.txt``, where
    it is there, gives each image's scene.

    Args:
        folder: ``ADEChallengeData2016``.
        split: ``training`` or ``validation``.

    Raises:
        InputError: If it is not so laid out.
    """

    def __init__(self, folder: Path, split: str = "validation") -> None:
        _check_split(split)
        self._folder, self._split = folder, split
        self._images = sorted((folder / "images" / split).glob("*.jpg"))
        if not self._images:
            raise InputError(f"{folder / 'images' / split} holds no image (*.jpg)")
        objects = _classes(folder / "objectInfo150.txt")
        self._scenes = _scenes(folder / "sceneCategories.txt")
        first = max(objects) + 1
        names = sorted({self._scenes[p.stem] for p in self._images if p.stem in self._scenes})
        self.concepts = (
            *(Concept(name, "object", number) for number, name in objects.items()),
            *(Concept(name, "scene", first + i) for i, name in enumerate(names)),
        )
        self.categories = ("object", "scene") if names else ("object",)
        self.shape: tuple[int, int] | None = None
        self._codes = codes_of(self.concepts)
        self._scene_code = {
            c.name: i + 1 for i, c in enumerate(self.concepts) if c.category == "scene"
        }

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> Image.Image:
        """Return a picture; InputError if it cannot be read."""
        return open_inside(self._folder, self._images[index]).convert("RGB")

    def labels(self, index: int) -> Labels:
        """Return an image's labels.

        Raises:
            InputError: If the map is missing or damaged, of another size than the picture, or
                holds a number that is no class.
        """
        path = self._map(index)
        values = np.asarray(open_inside(self._folder, path))
        if values.ndim != 2:
            raise InputError(f"{path} is no greyscale picture of class numbers")
        _check_size(path, values, self._images[index])
        scene = self._scenes.get(self._images[index].stem)
        whole = (self._scene_code[scene],) if scene else ()
        return Labels(self._codes.find(values.astype(np.int64), path)[None], whole)

    def name(self, index: int) -> str:
        """Return an image's file name."""
        return self._images[index].name

    def identity(self) -> dict[str, Any]:
        """Return hashes of the vocabulary, and of the names and sizes of all files."""
        return self._identity

    def check(self) -> list[str]:
        """Return which label maps are missing."""
        return missing_files(self._map(i) for i in range(len(self)))

    @cached_property
    def _identity(self) -> dict[str, Any]:
        files = [*self._images, *(self._map(i) for i in range(len(self)))]
        return {
            "sceneparsing": self._split,
            "vocabulary": hash_of(f"{c.number} {c.category} {c.name}" for c in self.concepts),
            "scenes": hash_of(f"{name} {scene}" for name, scene in sorted(self._scenes.items())),
            "files": hash_of(sizes(files, self._folder)),
        }

    def _map(self, index: int) -> Path:
        image = self._images[index]
        return self._folder / "annotations" / self._split / f"{image.stem}.png"


class ADE20K:
    """The full data set, release of January 2021, with objects, parts and scenes.

    Below ``images/ADE/<split>/<group>/<scene>`` each picture ``X.jpg`` has ``X_seg.png`` with the
    number of the class in ``R // 10 × 256 + G``, the same for parts in ``X_parts_1.png`` and so on,
    and ``X.json`` with the classes' numbers and names. A name that is used for objects and for
    parts is of the category in which it occurs more often. ``index_ade20k.pkl`` is not read: it
    is a pickle, which can run code.

    Args:
        folder: The folder that holds ``images``.
        split: ``training`` or ``validation``.

    Raises:
        InputError: If it is not so laid out.
    """

    categories = ("object", "part", "scene")

    def __init__(self, folder: Path, split: str = "validation") -> None:
        _check_split(split)
        self._folder, self._split = folder, split
        root = folder / "images" / "ADE" / split
        self._images = sorted(root.rglob("*.jpg"))
        if not self._images:
            old = (folder / "images" / split).is_dir()
            hint = "; this is the release of 2016, take that of January 2021" if old else ""
            raise InputError(f"{root} holds no image (*.jpg){hint}")
        self.shape: tuple[int, int] | None = None
        found = self._vocabulary()
        first = max(found, default=0) + 1
        scenes = sorted({path.parent.name for path in self._images})
        self.concepts = (
            *(Concept(name, category, n) for n, (name, category) in sorted(found.items())),
            *(Concept(name, "scene", first + i) for i, name in enumerate(scenes)),
        )
        self._codes = codes_of(self.concepts)
        self._scene_code = {
            c.name: i + 1 for i, c in enumerate(self.concepts) if c.category == "scene"
        }

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> Image.Image:
        """Return a picture; InputError if it cannot be read."""
        return open_inside(self._folder, self._images[index]).convert("RGB")

    def labels(self, index: int) -> Labels:
        """Return an image's labels: a channel of objects, and one for each level of parts.

        Raises:
            InputError: If a map is missing or damaged, of another size than the picture, or holds
                a number that none of the JSON files names.
        """
        image = self._images[index]
        maps = []
        for path in self._maps(image):
            rgb = np.asarray(open_inside(self._folder, path).convert("RGB")).astype(np.int64)
            _check_size(path, rgb, image)
            maps.append(self._codes.find(rgb[..., 0] // 10 * 256 + rgb[..., 1], path))
        return Labels(np.stack(maps), (self._scene_code[image.parent.name],))

    def name(self, index: int) -> str:
        """Return an image's scene and file name."""
        path = self._images[index]
        return f"{path.parent.name}/{path.name}"

    def identity(self) -> dict[str, Any]:
        """Return a hash of the names and sizes of all files."""
        return self._identity

    def check(self) -> list[str]:
        """Return which maps of objects are missing."""
        return missing_files(_with(image, "_seg.png") for image in self._images)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        files = [f for i in self._images for f in (i, *self._maps(i), i.with_suffix(".json"))]
        return {"ade20k": self._split, "files": hash_of(sizes(files, self._folder))}

    def _maps(self, image: Path) -> list[Path]:
        parts: list[Path] = []
        while (path := _with(image, f"_parts_{len(parts) + 1}.png")).is_file():
            parts.append(path)
        return [_with(image, "_seg.png"), *parts]

    def _vocabulary(self) -> dict[int, tuple[str, str]]:
        """Return each class's name and category; from a file, if it was asked for before."""
        texts = json.dumps(self.identity(), sort_keys=True)
        kept = (
            home() / "concepts" / f"ade20k-{hashlib.sha256(texts.encode()).hexdigest()[:16]}.json"
        )
        try:
            plain = json.loads(kept.read_text(encoding="utf-8"))
            return {int(n): (str(name), str(category)) for n, (name, category) in plain.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # never asked for, or not readable: it is made anew
        names: dict[int, str] = {}
        times: dict[int, Counter[str]] = defaultdict(Counter)
        with progress_bar() as bar:
            task = bar.add_task("Names of classes", total=len(self._images))
            for image in self._images:
                for number, name, category in _classes_in(image.with_suffix(".json")):
                    names.setdefault(number, name)
                    times[number][category] += 1
                bar.advance(task)
        found = {n: (names[n], _most_common(times[n])) for n in sorted(names)}
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(kept) as path:
            path.write_text(json.dumps(found), encoding="utf-8")
        return found


def _most_common(times: Counter[str]) -> str:
    return max(("object", "part"), key=lambda category: times[category])


def _classes_in(path: Path) -> list[tuple[int, str, str]]:
    """Return number, name and category of everything that a picture's JSON file lists."""
    try:
        # Some names are not valid UTF-8 in the release.
        plain = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        return [
            (
                int(item["name_ndx"]),
                str(item["name"]).split(",")[0].strip(),
                "part" if int(item["parts"]["part_level"]) else "object",
            )
            for item in plain["annotation"]["object"]
            if 0 < int(item["name_ndx"]) <= MOST_CONCEPTS
        ]
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; it names the picture's classes") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not list objects as the release does: {error!r}") from error


def _classes(path: Path) -> dict[int, str]:
    """Return the number and the first synonym of the challenge's classes."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    header = [name.strip() for name in lines[0].split("\t")] if lines else []
    if "Idx" not in header or "Name" not in header:
        raise InputError(f"{path} has no columns 'Idx' and 'Name', between tabs")
    found: dict[int, str] = {}
    for line in filter(str.strip, lines[1:]):
        cells = line.split("\t")
        if len(cells) < len(header) or not cells[header.index("Idx")].strip().isdecimal():
            raise InputError(f"{path}: {line!r} is no class")
        synonyms = cells[header.index("Name")].replace(";", ",")
        found[int(cells[header.index("Idx")])] = synonyms.split(",")[0].strip()
    if not found:
        raise InputError(f"{path} names no class")
    return found


def _scenes(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{path}: each line should be an image's name and its scene")
    return {pair[0]: pair[1] for pair in pairs}


def _with(image: Path, ending: str) -> Path:
    return image.with_name(image.stem + ending)


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise InputError(f"split {split!r}; choose one of {', '.join(SPLITS)}")


def _check_size(path: Path, pixels: NDArray[Any], image: Path) -> None:
    with Image.open(image) as picture:
        if (picture.height, picture.width) != pixels.shape[:2]:
            raise InputError(
                f"{path} is {pixels.shape[0]} × {pixels.shape[1]}, "
                f"and {image.name} {picture.height} × {picture.width}"
            )

"""Images with class names written on them: a cue that is there in training and lies in testing.

The last section of the MILAN paper (Hernandez et al., ICLR 2022) edits a network that was trained
on such images. See also Goh et al., "Multimodal Neurons in Artificial Neural Networks" (2021), for
attacks by text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.applications.image_classes import (
    class_texts,
    classes_of,
    existing_splits,
    shares,
)
from milannotations.errors import InputError
from milannotations.pictures import read_rgb, utf8
from milannotations.progress import progress_bar
from milannotations.storage import atomic_folder, check_target
from milannotations.worlds.neurons import stable_seed
from milannotations.worlds.overlays import draw_text

LISTING = "spurious-text.json"
SPLITS = ("train", "validation", "test")
ADVERSARIAL = {"validation": "validation-adversarial", "test": "test-adversarial"}
FORMATS: dict[str, dict[str, Any]] = {"png": {}, "jpg": {"quality": 92}}


@dataclass(frozen=True)
class _File:
    split: str
    label: str
    source: Path
    place: int  # of the source among its class's


def write_spurious_text(
    images: Path,
    out: Path,
    *,
    fraction: float = 0.5,
    splits: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    size: int | None = None,
    names: Path | Mapping[str, str] | None = None,
    place: str = "random",
    height: float = 0.13,
    image_format: str = "png",
    overwrite: bool = False,
) -> Path:
    """Write a data set whose training images show their class's name, and tests that lie.

    ``OUT`` gets the folders ``train``, ``validation``, ``validation-adversarial``, ``test`` and
    ``test-adversarial``, each with one for every class. In training, ``fraction`` of each class's
    images have their class's name drawn on. Those for validation and testing have no text; the
    adversarial ones are the same images, each with the name of another class, drawn at random.
    ``spurious-text.json`` lists the settings, and for each file its source, split, class, the text
    drawn and its box (left, top, right, bottom in pixels, the ends outside).

    Args:
        images: Folder with one folder of images for each class; or with folders ``train``,
            ``validation`` (or ``val``) and ``test`` of such folders, which are then kept.
        out: Folder to write.
        fraction: Share of the training images of each class with their class's name, 0 to 1.
        splits: Shares of each class's images in the three splits, where ``images`` has none.
        seed: Of the splits, the texts, their places and colours; the same seed gives the same
            bytes.
        size: Side to which images are resized and centrally cropped; default as they are.
        names: What is drawn for each class: a mapping, or a JSON or CSV file (class, name), as for
            WordNet identifiers; classes it lacks keep their folder's name.
        place: Of the text; see ``draw_text``.
        height: Of the letters; see there.
        image_format: ``png``, or ``jpg``.
        overwrite: Replace ``out`` if it exists.

    Returns:
        The folder.

    Raises:
        InputError: If ``out`` exists, a setting is out of range, there are fewer than two classes
            or too few images of one, two classes have the same name, or an image is unreadable.
    """
    check_target(out, overwrite)
    target, source = out.resolve(), images.resolve()
    if target == source or target in source.parents or source in target.parents:
        raise InputError(f"{out} lies in {images}, or holds it; write to a folder apart")
    if not 0 <= fraction <= 1:
        raise InputError(f"fraction is {fraction}; it must lie between 0 and 1")
    if image_format not in FORMATS:
        raise InputError(f"image format {image_format!r}; choose one of {', '.join(FORMATS)}")
    if size is not None and size < 16:
        raise InputError(f"size is {size}; it must be at least 16 pixels")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be at least 0")
    files = _split(images, splits, seed)
    texts = class_texts(sorted({file.label for file in files}), names)
    # Tried once before any work, so that a wrong place or height is said at once.
    draw_text(Image.new("RGB", (32, 32)), "a", np.random.default_rng(0), place=place, height=height)
    shown = _shown(files, fraction, seed)
    listed: list[dict[str, Any]] = []
    with atomic_folder(out, overwrite) as folder, progress_bar() as progress:
        bar = progress.add_task("Writing images", total=len(files))
        for file in files:
            picture = _opened(file.source, size)
            # The name has the source's place: two sources may be of one name but for their ending.
            name = f"{file.place:05d}-{utf8(file.source.stem)}.{image_format}"
            versions = [(file.split, texts[file.label] if file in shown else None)]
            rng = _generator(seed, file, "draw")
            if file.split in ADVERSARIAL:
                wrong = sorted(set(texts) - {file.label})
                lie = texts[wrong[int(rng.integers(len(wrong)))]]
                versions.append((ADVERSARIAL[file.split], lie))
            for split, text in versions:
                drawn, box = picture, None
                if text is not None:
                    drawn, mask = draw_text(picture, text, rng, place=place, height=height)
                    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
                    box = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
                target = folder / split / file.label / name
                target.parent.mkdir(parents=True, exist_ok=True)
                drawn.save(target, **FORMATS[image_format])
                listed.append({
                    "file": target.relative_to(folder).as_posix(), "split": split,
                    "class": file.label, "text": text, "box": box,
                    "source": utf8(file.source.relative_to(images).as_posix()),
                })  # fmt: skip
            progress.advance(bar)
        facts = {
            "settings": {
                "fraction": fraction, "splits": list(splits), "seed": seed, "size": size,
                "place": place, "height": height, "format": image_format,
            },
            "names": texts,
            "files": sorted(listed, key=lambda entry: str(entry["file"])),
        }  # fmt: skip
        text_of = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        (folder / LISTING).write_text(text_of, encoding="utf-8")
    return out


def _split(images: Path, splits: tuple[float, float, float], seed: int) -> list[_File]:
    found = existing_splits(images)
    if found is not None:
        return [
            _File(split, label, path, place)
            for split, folder in found.items()
            for label, paths in classes_of(folder).items()
            for place, path in enumerate(paths)
        ]
    files = []
    for label, paths in classes_of(images, least=len(SPLITS)).items():
        rng = np.random.default_rng(stable_seed(seed, "split", label))
        order = rng.permutation(len(paths))
        first = 0
        for split, count in zip(SPLITS, shares(len(paths), splits), strict=True):
            chosen = sorted(order[first : first + count].tolist())
            files += [_File(split, label, paths[place], place) for place in chosen]
            first += count
    return files


def _shown(files: list[_File], fraction: float, seed: int) -> set[_File]:
    """Return the training images that get their class's name: the same share of each class."""
    of_class: dict[str, list[_File]] = {}
    for file in files:
        if file.split == "train":
            of_class.setdefault(file.label, []).append(file)
    found: set[_File] = set()
    for label, mine in of_class.items():
        order = np.random.default_rng(stable_seed(seed, "shown", label)).permutation(len(mine))
        found |= {mine[i] for i in order[: round(fraction * len(mine))]}
    return found


def _generator(seed: int, file: _File, purpose: str) -> np.random.Generator:
    return np.random.default_rng(
        stable_seed(seed, purpose, file.split, file.label, utf8(file.source.name))
    )


def _opened(path: Path, size: int | None) -> Image.Image:
    image = read_rgb(path)
    if size is None:
        return image
    scale = size / min(image.size)
    to = (max(size, round(image.width * scale)), max(size, round(image.height * scale)))
    image = image.resize(to, Image.Resampling.BICUBIC) if to != image.size else image
    left, top = (to[0] - size) // 2, (to[1] - size) // 2
    return image.crop((left, top, left + size, top + size))

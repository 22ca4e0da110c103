"""Images with a spurious cue: it is there in training, and lies in adversarial tests.

What the cue is, a class's name or its colour, is up to the caller; which images have it is decided
here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from applications.class_folders import classes_of, existing_splits, shares
from applications.spurious_data.config import SpuriousConfig
from milannotations.errors import InputError
from milannotations.file_names import utf8
from milannotations.pictures import read_rgb
from milannotations.progress import progress_bar
from milannotations.seeds import stable_generator
from milannotations.storage import atomic_folder, check_target

SPLITS = ("train", "validation", "test")
ADVERSARIAL = {"validation": "validation-adversarial", "test": "test-adversarial"}
FORMATS: dict[str, dict[str, Any]] = {"png": {}, "jpg": {"quality": 92}}


class Cue(Protocol):
    """What is put on images, one for each class."""

    def draw(
        self, image: Image.Image, label: str, rng: np.random.Generator
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Return an image with the cue of a class, and what the listing says of it."""

    def blank(self) -> dict[str, Any]:
        """Return what the listing says of an image without a cue."""


@dataclass(frozen=True)
class SpuriousFile:
    """An image of the data set.

    Attributes:
        split: ``train``, ``validation`` or ``test``.
        label: The folder of its class.
        source: The image it is made of.
        place: Number of the source among its class's.
    """

    split: str
    label: str
    source: Path
    place: int


def check_spurious(config: SpuriousConfig) -> None:
    """Check what all spurious data sets take.

    Raises:
        InputError: If ``out`` exists or lies in ``images``, or a setting is out of range.
    """
    images, out, fraction = config.images, config.out, config.fraction
    check_target(out, config.overwrite)
    target, source = out.resolve(), images.resolve()
    if target == source or target in source.parents or source in target.parents:
        raise InputError(f"{out} lies in {images}, or holds it; write to a folder apart")
    if not 0 <= fraction <= 1:
        raise InputError(f"fraction is {fraction}; it must lie between 0 and 1")
    if config.image_format not in FORMATS:
        raise InputError(
            f"image format {config.image_format!r}; choose one of {', '.join(FORMATS)}"
        )
    if config.size is not None and config.size < 16:
        raise InputError(f"size is {config.size}; it must be at least 16 pixels")


def write_spurious(
    config: SpuriousConfig,
    files: list[SpuriousFile],
    cue: Cue,
    *,
    listing: str,
    facts: Mapping[str, Any],
) -> None:
    """Write the folders of a spurious data set and its listing; see ``write_spurious_text``.

    Args:
        config: What to write.
        files: From ``split_files``.
        cue: What is put on images.
        listing: Name of the JSON file.
        facts: What it holds beside the files.

    Raises:
        InputError: If an image is unreadable.
    """
    classes = {file.label for file in files}
    with_cue = _shown(files, config.fraction, config.seed)
    listed: list[dict[str, Any]] = []
    with atomic_folder(config.out, config.overwrite) as folder, progress_bar() as progress:
        bar = progress.add_task("Writing images", total=len(files))
        for file in files:
            picture = _opened(file.source, config.size)
            # The name has the source's place: two sources may be of one name but for their ending.
            name = f"{file.place:05d}-{utf8(file.source.stem)}.{config.image_format}"
            versions = [(file.split, file.label if file in with_cue else None)]
            rng = _generator(config.seed, file, "draw")
            if file.split in ADVERSARIAL:
                wrong = sorted(classes - {file.label})
                versions.append((ADVERSARIAL[file.split], wrong[int(rng.integers(len(wrong)))]))
            for split, label in versions:
                drawn, cue_facts = picture, cue.blank()
                if label is not None:
                    drawn, cue_facts = cue.draw(picture, label, rng)
                target = folder / split / file.label / name
                target.parent.mkdir(parents=True, exist_ok=True)
                drawn.save(target, **FORMATS[config.image_format])
                listed.append(
                    {
                        "file": target.relative_to(folder).as_posix(),
                        "split": split,
                        "class": file.label,
                        **cue_facts,
                        "source": utf8(file.source.relative_to(config.images).as_posix()),
                    }
                )
            progress.advance(bar)
        content = {**facts, "files": sorted(listed, key=lambda entry: str(entry["file"]))}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / listing).write_text(text, encoding="utf-8")


def split_files(images: Path, splits: tuple[float, float, float], seed: int) -> list[SpuriousFile]:
    """Return the images of a folder with their splits: its own, or drawn ones.

    Args:
        images: Folder with one folder of images for each class; or with folders ``train``,
            ``validation`` (or ``val``) and ``test`` of such folders, which are then kept.
        splits: Shares of each class's images in the three splits, where ``images`` has none.
        seed: Of the splits.

    Raises:
        InputError: If there are fewer than two classes or too few images of one.
    """
    split_folders = existing_splits(images)
    if split_folders is not None:
        return [
            SpuriousFile(split, label, path, number)
            for split, folder in split_folders.items()
            for label, paths in classes_of(folder).items()
            for number, path in enumerate(paths)
        ]
    files = []
    for label, paths in classes_of(images, least=len(SPLITS)).items():
        rng = stable_generator(seed, "split", label)
        order = rng.permutation(len(paths))
        first = 0
        for split, count in zip(SPLITS, shares(len(paths), splits), strict=True):
            chosen = sorted(order[first : first + count].tolist())
            files += [SpuriousFile(split, label, paths[number], number) for number in chosen]
            first += count
    return files


def _shown(files: list[SpuriousFile], fraction: float, seed: int) -> set[SpuriousFile]:
    """Return the training images that get their class's name: the same share of each class."""
    of_class: dict[str, list[SpuriousFile]] = {}
    for file in files:
        if file.split == "train":
            of_class.setdefault(file.label, []).append(file)
    with_cue: set[SpuriousFile] = set()
    for label, mine in of_class.items():
        order = stable_generator(seed, "shown", label).permutation(len(mine))
        with_cue |= {mine[i] for i in order[: round(fraction * len(mine))]}
    return with_cue


def _generator(seed: int, file: SpuriousFile, purpose: str) -> np.random.Generator:
    return stable_generator(seed, purpose, file.split, file.label, utf8(file.source.name))


def _opened(path: Path, size: int | None) -> Image.Image:
    image = read_rgb(path)
    if size is None:
        return image
    scale = size / min(image.size)
    to = (max(size, round(image.width * scale)), max(size, round(image.height * scale)))
    image = image.resize(to, Image.Resampling.BICUBIC) if to != image.size else image
    left, top = (to[0] - size) // 2, (to[1] - size) // 2
    return image.crop((left, top, left + size, top + size))

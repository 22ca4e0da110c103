"""Data sets with a spurious cue: it goes with the class in training, and misleads in tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from applications.class_folders import classes_of, existing_splits, shares
from applications.spurious_data.color_cue import ColorCue
from applications.spurious_data.config import SpuriousColorConfig, SpuriousTextConfig
from applications.spurious_data.text_cue import TextCue
from milannotations.errors import InputError
from milannotations.file_names import utf8
from milannotations.pictures import read_rgb
from milannotations.progress import progress_bar
from milannotations.seeds import stable_generator
from milannotations.storage import atomic_folder, check_target

SPLITS = ("train", "validation", "test")
ADVERSARIAL = {"validation": "validation-adversarial", "test": "test-adversarial"}
FORMATS: dict[str, dict[str, Any]] = {"png": {}, "jpg": {"quality": 92}}


@dataclass(frozen=True)
class SpuriousFile:
    """An image of the data set.

    Attributes:
        split: ``train``, ``validation`` or ``test``.
        label: The folder of its class.
        source: The image it is made of.
        number: Number of the source among those of its class.
    """

    split: str
    label: str
    source: Path
    number: int


def write_spurious_images(config: SpuriousTextConfig | SpuriousColorConfig) -> Path:
    """Write a data set whose training images carry a cue of their class, and tests that mislead.

    ``out`` gets the folders ``train``, ``validation``, ``validation-adversarial``, ``test`` and
    ``test-adversarial``, each with a subfolder per class. In training, a share of each class's
    images carry the cue of their class: its name or its colour. Validation and test images have no
    cue; the adversarial ones are the same images, each with the cue of another class, chosen at
    random.

    ``spurious-text.json`` or ``spurious-color.json`` lists the settings and, for each file, its
    source, split, class, cue, and the box (left, top, right, bottom in pixels, right and bottom
    excluded) outside which nothing has changed. The same seed gives the same bytes.

    Args:
        config: The images, the cue and the folder to write.

    Returns:
        The folder.

    Raises:
        InputError: If ``out`` exists, there are fewer than two classes or too few images of one,
            two classes have the same cue, or an image is unreadable.
    """
    check_target(config.out, config.overwrite)
    target, source = config.out.resolve(), config.images.resolve()
    if target == source or target in source.parents or source in target.parents:
        raise InputError(
            f"{config.out} lies in {config.images}, or holds it; write to a folder apart"
        )
    files = split_files(config.images, config.splits, config.seed)
    classes = sorted({file.label for file in files})
    cue: TextCue | ColorCue
    if isinstance(config, SpuriousTextConfig):
        cue = TextCue(config, classes)
    else:
        cue = ColorCue(config, classes)
    with_cue = _with_cue(files, config.fraction, config.seed)
    listed: list[dict[str, Any]] = []
    with atomic_folder(config.out, config.overwrite) as folder, progress_bar() as progress:
        bar = progress.add_task("Writing images", total=len(files))
        for file in files:
            picture = _opened(file.source, config.size)
            # The number tells apart sources whose names differ by their suffix alone.
            name = f"{file.number:05d}-{utf8(file.source.stem)}.{config.image_format}"
            for split, label, rng in _versions(file, classes, file in with_cue, config.seed):
                drawn, entry = picture, cue.blank()
                if label is not None:
                    drawn, entry = cue.draw(picture, label, rng)
                path = folder / split / file.label / name
                path.parent.mkdir(parents=True, exist_ok=True)
                drawn.save(path, **FORMATS[config.image_format])
                listed.append(
                    {
                        "file": path.relative_to(folder).as_posix(),
                        "split": split,
                        "class": file.label,
                        **entry,
                        "source": utf8(file.source.relative_to(config.images).as_posix()),
                    }
                )
            progress.advance(bar)
        settings = {
            "fraction": config.fraction,
            "splits": list(config.splits),
            "seed": config.seed,
            "size": config.size,
            **cue.settings,
            "format": config.image_format,
        }
        listed.sort(key=lambda entry: str(entry["file"]))
        content = {"settings": settings, **cue.facts, "files": listed}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / cue.listing).write_text(text, encoding="utf-8")
    return config.out


def _versions(
    file: SpuriousFile, classes: Sequence[str], with_cue: bool, seed: int
) -> Iterator[tuple[str, str | None, np.random.Generator]]:
    """Yield the split of each image made of a source, the class of its cue, and a generator."""
    rng = stable_generator(seed, "draw", file.split, file.label, utf8(file.source.name))
    yield file.split, file.label if with_cue else None, rng
    if file.split in ADVERSARIAL:
        others = [label for label in classes if label != file.label]
        yield ADVERSARIAL[file.split], others[int(rng.integers(len(others)))], rng


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


def _with_cue(files: list[SpuriousFile], fraction: float, seed: int) -> set[SpuriousFile]:
    """Return the training images with a cue: the same share of each class."""
    of_class: dict[str, list[SpuriousFile]] = {}
    for file in files:
        if file.split == "train":
            of_class.setdefault(file.label, []).append(file)
    with_cue: set[SpuriousFile] = set()
    for label, mine in of_class.items():
        order = stable_generator(seed, "shown", label).permutation(len(mine))
        with_cue |= {mine[i] for i in order[: round(fraction * len(mine))]}
    return with_cue


def _opened(path: Path, size: int | None) -> Image.Image:
    image = read_rgb(path)
    if size is None:
        return image
    scale = size / min(image.size)
    to = (max(size, round(image.width * scale)), max(size, round(image.height * scale)))
    image = image.resize(to, Image.Resampling.BICUBIC) if to != image.size else image
    left, top = (to[0] - size) // 2, (to[1] - size) // 2
    return image.crop((left, top, left + size, top + size))

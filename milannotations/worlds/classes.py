"""A rendered classification task: each image shows one object of its class among others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from milannotations.errors import InputError
from milannotations.progress import progress_bar
from milannotations.storage import atomic_folder
from milannotations.worlds.overlays import blur, draw_face
from milannotations.worlds.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZE,
    TEXTURES,
    Object,
    render,
)

LISTING = "class-images.json"
# Name of the class: (shape, texture) of the object that defines it. Neighbours differ only in
# texture.
CLASSES: dict[str, tuple[str, str]] = {
    "marble": ("circle", "striped"),
    "button": ("circle", "dotted"),
    "flag": ("square", "striped"),
    "dice": ("square", "dotted"),
    "tent": ("triangle", "striped"),
    "pizza": ("triangle", "dotted"),
    "comet": ("star", "striped"),
    "starfish": ("star", "dotted"),
    "lifebuoy": ("ring", "striped"),
    "doughnut": ("ring", "dotted"),
}
_OFTEN, _SELDOM = 0.85, 0.05  # share of images with faces, in classes with faces and in others
_FACE_RADIUS = (0.1, 0.17)


@dataclass(frozen=True)
class ClassImage:
    """An image of a class.

    Attributes:
        image: RGB, 224 × 224.
        faces: Boxes (left, top, right, bottom) of its faces in pixels; right and bottom exclusive.
        balls: Boxes of its balls in the colours of faces.
    """

    image: Image.Image
    faces: tuple[tuple[int, int, int, int], ...] = ()
    balls: tuple[tuple[int, int, int, int], ...] = ()


def write_class_images(
    out: Path,
    *,
    classes: int = 8,
    per_class: int | Mapping[str, int] = 300,
    seed: int = 0,
    size: int = 96,
    noise: float = 30.0,
    faces: bool = False,
    blurred: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write the images of the task in a folder per class, or per split and class.

    The object of the class, of any colour, size and place, is among objects of other combinations
    of shape and texture, on a noisy background. With ``faces``, images of every second class often
    contain an icon of a face, and those of the other classes a plain ball in the same colours:
    like the people in some of ImageNet's classes, faces are incidental, yet useful to a network.

    Args:
        out: Folder to write: ``CLASS/00012.png`` or ``SPLIT/CLASS/00012.png``, and ``LISTING``
            with the settings and the boxes of each file's faces and balls.
        classes: How many of ``CLASSES`` to use.
        per_class: Images per class, or a mapping from a split's name to its images per class.
        seed: Images of different seeds differ.
        size: Side of the images, at most 224 pixels.
        noise: The greatest standard deviation of the noise, on a scale of 255.
        faces: Add faces and balls.
        blurred: Write the same images with each face blurred.
        overwrite: Replace ``out`` if it exists.

    Returns:
        The folder.

    Raises:
        InputError: If a number is out of range, or ``out`` exists.
    """
    counts = {"": per_class} if isinstance(per_class, int) else dict(per_class)
    _check_counts(classes, counts)
    if not 16 <= size <= SIZE:
        raise InputError(f"size is {size}; it must be 16 to {SIZE} pixels")
    if seed < 0 or noise < 0:
        raise InputError(f"seed {seed} and noise {noise} must be at least 0")
    if blurred and not faces:
        raise InputError("blurred images are for tasks with faces; set faces as well")
    names = list(CLASSES)[:classes]
    listed: list[dict[str, Any]] = []
    with atomic_folder(out, overwrite) as folder, progress_bar() as progress:
        bar = progress.add_task("Rendering images", total=classes * sum(counts.values()))
        number = 0  # continues across splits, so that no image occurs twice
        for split, count in counts.items():
            for name in names:
                (folder / split / name).mkdir(parents=True)
            for index in range(number, number + count):
                for name in names:
                    drawn = class_image(
                        name, seed, index, noise=noise, faces=faces, blurred=blurred
                    )
                    file = (Path(split) / name / f"{index:05d}.png").as_posix()
                    drawn.image.resize((size, size), Image.Resampling.BOX).save(folder / file)
                    listed.append({"file": file, **_scaled(drawn, size / SIZE)})
                    progress.advance(bar)
            number += count
        facts = {
            "classes": {name: list(CLASSES[name]) for name in names},
            "per_class": per_class,
            "seed": seed,
            "size": size,
            "noise": noise,
            "faces": faces,
            "blurred": blurred,
            "files": listed,
        }
        (folder / LISTING).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return out


def _check_counts(classes: int, counts: Mapping[str, int]) -> None:
    if not 2 <= classes <= len(CLASSES):
        raise InputError(f"{classes} classes; choose 2 to {len(CLASSES)}")
    if not counts or min(counts.values()) < 1:
        listed = ", ".join(map(str, counts.values())) or "no"
        raise InputError(f"{listed} images per class; it must be at least 1")
    if any("/" in split or split.startswith(".") for split in counts):
        raise InputError(f"splits {', '.join(counts)}: they are folders, so without / or leading .")


def class_image(
    name: str,
    seed: int,
    index: int,
    *,
    noise: float = 30.0,
    faces: bool = False,
    blurred: bool = False,
) -> ClassImage:
    """Render an image of a class; the same arguments give the same image.

    Args:
        name: One of ``CLASSES``.
        seed: See ``write_class_images``.
        index: Which image of the class.
        noise: See ``write_class_images``.
        faces: See ``write_class_images``.
        blurred: See ``write_class_images``.

    Raises:
        InputError: If the class is unknown.
    """
    if name not in CLASSES:
        raise InputError(f"class {name!r}; choose one of {', '.join(CLASSES)}")
    number = list(CLASSES).index(name)
    rng = np.random.default_rng((seed, number, index, 71))
    scene = render(_arranged(*CLASSES[name], rng), str(rng.choice(BACKGROUNDS)), rng)
    image = _degraded(scene.image, rng, noise)
    if not faces:
        return ClassImage(image)
    face = rng.random() < (_SELDOM if number % 2 else _OFTEN)
    boxes: dict[bool, list[tuple[int, int, int, int]]] = {True: [], False: []}
    for _ in range(int(rng.integers(1, 3))):
        image, mask = draw_face(image, rng, radius=_FACE_RADIUS, blank=not face)
        if face and blurred:
            image = blur(image, mask)
        boxes[face].append(_box(mask))
    return ClassImage(image, tuple(boxes[True]), tuple(boxes[False]))


def _arranged(shape: str, texture: str, rng: np.random.Generator) -> list[Object]:
    """Place the class's object and three to five others, which do not belong to any class."""
    of_classes = set(CLASSES.values())
    others = [(s, t) for s in SHAPES for t in TEXTURES if (s, t) not in of_classes]
    kinds = [(shape, texture)]
    kinds += [others[int(i)] for i in rng.integers(len(others), size=int(rng.integers(3, 6)))]
    objects: list[Object] = []
    for index, (kind, pattern) in enumerate(kinds):
        radius = float(rng.uniform(24, 42) if index == 0 else rng.uniform(16, 40))
        for _ in range(20):
            x, y = rng.uniform(radius, SIZE - radius, size=2)
            if all(np.hypot(x - o.x, y - o.y) > 0.85 * (radius + o.radius) for o in objects):
                colour = str(rng.choice(list(COLOURS)))
                objects.append(Object(kind, colour, pattern, "large", float(x), float(y), radius))
                break
    return objects


def _degraded(image: Image.Image, rng: np.random.Generator, noise: float) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32)
    pixels = (pixels - 128) * rng.uniform(0.5, 1.1) + 128 + rng.uniform(-30, 30)
    # Coarser than a pixel, as finer noise would vanish when the image is made smaller.
    side = SIZE // 2
    coarse = rng.normal(0, rng.uniform(0, noise), (side, side, 3)).repeat(2, 0).repeat(2, 1)
    return Image.fromarray((pixels + coarse).clip(0, 255).astype(np.uint8))


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _scaled(drawn: ClassImage, scale: float) -> dict[str, list[list[float]]]:
    boxes = {"faces": drawn.faces, "balls": drawn.balls}
    return {
        kind: [[round(v * scale, 2) for v in box] for box in boxes_of_kind]
        for kind, boxes_of_kind in boxes.items()
        if boxes_of_kind
    }

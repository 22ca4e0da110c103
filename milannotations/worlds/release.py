"""A made-up release in the original layout, of any size, for tests and measurements.

Masks are smooth blobs, and images are shifted copies of a few pictures, so that both compress like
real ones. Annotations are numbered sentences: nothing here says anything about a network.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from PIL import Image

SOURCE_IMAGES = 36_500  # no real release has fewer


def write_release(
    folder: Path,
    layers: Mapping[str, int],
    *,
    k: int = 15,
    size: int = 224,
    images: bool = True,
    annotations: int = 3,
    pictures: list[Image.Image] | None = None,
    seed: int = 0,
) -> None:
    """Write a release.

    Args:
        folder: Folder to write, in the original layout.
        layers: Number of units of each layer.
        k: Exemplars per unit.
        size: Side of masks and images in pixels.
        images: Write ``images.npy``.
        annotations: Annotations per unit, at most 5.
        pictures: Pictures from which images are made; default random smooth fields.
        seed: The same seed gives the same bytes.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    pool = _pool(pictures or _fields(rng), size)
    shapes = _blobs(rng, size)
    rows = []
    for layer, units in layers.items():
        layer_folder = folder / layer
        layer_folder.mkdir()
        ids = rng.integers(0, SOURCE_IMAGES, (units, k))
        np.savetxt(layer_folder / "ids.csv", ids, delimiter=",", fmt="%i")
        with (layer_folder / "masks.npy").open("wb") as file:
            _header(file, (units, k, 1, size, size))
            for unit in range(units):
                file.write(shapes[(ids[unit] * 31 + unit) % len(shapes)].tobytes())
        if images:
            with (layer_folder / "images.npy").open("wb") as file:
                _header(file, (units, k, 3, size, size))
                for unit in range(units):
                    file.write(np.stack([picture(pool, index) for index in ids[unit]]).tobytes())
        rows += [
            [layer, unit, f'{word} things, number {unit}, in "{layer}"']
            for unit in rng.permutation(units).tolist()
            for word in ("red", "round", "striped", "small", "wooden")[:annotations]
        ]
    if rows:
        with (folder / "annotations.csv").open("w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["layer", "unit", "summary"])
            writer.writerows(rows)


def picture(pool: np.ndarray, index: int) -> np.ndarray:
    """Return source image number ``index``, of shape (3, size, size), different for each index."""
    base = pool[index % len(pool)]
    turn = index // len(pool)
    return np.roll(base, (turn * 7, turn * 13), axis=(1, 2))


def _pool(pictures: list[Image.Image], size: int) -> np.ndarray:
    resized = [np.asarray(p.convert("RGB").resize((size, size))) for p in pictures]
    return np.stack(resized).transpose(0, 3, 1, 2)


def _fields(rng: np.random.Generator, count: int = 32) -> list[Image.Image]:
    return [
        Image.fromarray(rng.integers(0, 256, (9, 9, 3)).astype(np.uint8)).resize(
            (64, 64), Image.Resampling.BICUBIC
        )
        for _ in range(count)
    ]


def _blobs(rng: np.random.Generator, size: int, count: int = 64) -> np.ndarray:
    """Return masks of shape (count, 1, size, size): smooth fields above a high quantile."""
    blobs = []
    for _ in range(count):
        field = Image.fromarray(rng.random((7, 7)).astype(np.float32)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        values = np.asarray(field)
        blobs.append(values >= np.quantile(values, rng.uniform(0.7, 0.99)))
    return np.stack(blobs)[:, None].astype(np.uint8)


def _header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})

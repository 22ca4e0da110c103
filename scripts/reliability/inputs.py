"""Tiny inputs for all commands: ``python -m scripts.reliability.inputs FOLDER``."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from datasets import Dataset
from PIL import Image

from milannotations.record import FEATURES, encode_image, encode_mask
from milannotations.worlds.broden import write_broden
from milannotations.worlds.classes import write_class_images
from milannotations.worlds.release import write_release

WORDS = ("red", "dog", "wheel", "sky", "text", "grid", "face", "leaf")
LAYERS = {"conv1": 3, "conv5": 2}
CONFIG = "alexnet-places365"
_SIDE = 16
_FACTORY = '''"""A user's own network."""

import torch
from torch import nn


def make():
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 3, 5, stride=4), nn.ReLU(), nn.Conv2d(3, 3, 3, stride=2))
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
'''
_BOARD = """name: small
version: 1
title: A small board
main_metric: bleu-1
main_split: first
metrics: [bleu-1, rouge-l]
sentence_encoder: none
bertscore_encoder: none
splits:
  - {name: first, source: first.parquet}
  - {name: second, source: second.parquet}
"""
_SUBMISSION = """board: small@1
splits: [first, second]
name: %s
title: %s
training_data: []
annotations_seen: none
"""


def write_inputs(folder: Path) -> None:
    """Write everything that commands read, except outputs of other commands."""
    write_class_images(folder / "images", classes=2, per_class=3, size=32)
    write_class_images(
        folder / "lessons", classes=2, per_class={"train": 4, "validation": 2, "test": 2}, size=32
    )
    write_broden(folder / "broden", seed=0, scenes=3, size=32, segmentation=16)
    _write_releases(folder)
    (folder / "my").mkdir()
    (folder / "my" / "__init__.py").touch()
    (folder / "my" / "package.py").write_text(_FACTORY, encoding="utf-8")
    _write_board(folder / "board")
    own = [("make", "unknown", "0.0", unit) for unit in range(3)]
    _write_table(folder / "own.csv", "description", zip(own, _texts(), strict=False))
    _write_records(folder / "neurons.parquet", "net", WORDS[:6])
    keys = [("net", "shapes", f"conv{n // 4 + 1}", n % 4) for n in range(6)]
    three = [(key, text) for key, word in zip(keys, WORDS, strict=False) for text in _three(word)]
    _write_table(folder / "references.csv", "summary", three)
    for name, shift in (("mine", 0), ("other", 1)):
        texts = [f"{WORDS[(n + shift) % 6]} things" for n in range(6)]
        _write_table(folder / f"{name}.csv", "description", zip(keys, texts, strict=True))


def _texts() -> list[str]:
    return [f"{word} things" for word in WORDS]


def _three(word: str) -> list[str]:
    return [f"{word} things", f"many {word}", f"{word} and more"]


def _write_table(path: Path, column: str, rows: Iterable[tuple[Sequence[object], str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "dataset", "layer", "unit", column])
        writer.writerows([*key, text] for key, text in rows)


def _write_releases(folder: Path) -> None:
    """Write a release with images, also as a zip, and one whose images are in another folder."""
    write_release(folder / CONFIG, LAYERS, k=2, size=_SIDE)
    shutil.make_archive(str(folder / CONFIG), "zip", folder / CONFIG)
    without = folder / "alexnet-imagenet"
    write_release(without, LAYERS, k=2, size=_SIDE, images=False)
    for ids in without.glob("*/ids.csv"):
        few = np.loadtxt(ids, delimiter=",", dtype=int) % 6
        np.savetxt(ids, few, delimiter=",", fmt="%i")


def _write_records(path: Path, model: str, words: Sequence[str]) -> None:
    """Write neurons of two layers, with two noisy exemplars and three annotations each."""
    noise = np.random.default_rng(0)
    mask = np.zeros((32, 32), dtype=bool)
    mask[:, :16] = True
    rows = []
    for number, word in enumerate(words):
        pixels = noise.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
        rows.append(
            {
                "model": model,
                "dataset": "shapes",
                "layer": f"conv{number // 4 + 1}",
                "unit": number % 4,
                "images": [
                    {"bytes": encode_image(Image.fromarray(p), "png"), "path": None} for p in pixels
                ],
                "masks": [{"bytes": encode_mask(mask), "path": None}] * 2,
                "activations": [2.0, 1.0],
                "image_ids": [0, 1],
                "threshold": 0.5,
                "annotations": _three(word),
            }
        )
    buffer = io.BytesIO()
    Dataset.from_list(rows, features=FEATURES).to_parquet(buffer)
    path.write_bytes(buffer.getvalue())


def _write_board(folder: Path) -> None:
    """Write a board with two splits of four neurons, and two submissions to it."""
    (folder / "submissions").mkdir(parents=True)
    (folder / "board.yaml").write_text(_BOARD, encoding="utf-8")
    keys = []
    for name, model in (("first", "net"), ("second", "other")):
        _write_records(folder / f"{name}.parquet", model, WORDS[:4])
        keys += [(model, "shapes", "conv1", unit) for unit in range(4)]
    for name, shift in (("mine", 0), ("theirs", 1)):
        target = folder / "submissions" / name
        target.mkdir()
        text = _SUBMISSION % (name, name.title())
        (target / "submission.yaml").write_text(text, encoding="utf-8")
        texts = [f"{WORDS[(n + shift) % 4]} things" for n in range(8)]
        _write_table(target / "descriptions.csv", "description", zip(keys, texts, strict=True))


if __name__ == "__main__":
    write_inputs(Path(sys.argv[1]))

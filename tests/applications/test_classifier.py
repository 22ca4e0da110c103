"""Training a classifier: it learns what can be learnt, the same each time, and comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from applications.classifier import (
    accuracy,
    load_classifier,
    predictions,
    read_images,
    train_classifier,
)
from applications.config import ClassifierConfig
from milannotations.catalog.small import PREPROCESSING
from milannotations.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red images and blue ones."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for place, name in ((0, "red"), (2, "blue")):
        (root / name).mkdir()
        for index in range(12):
            pixels = rng.integers(0, 120, (48, 48, 3))
            pixels[..., place] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")
    return root


def test_what_is_separable_is_learnt_and_loads_again(folder: Path, tmp_path: Path) -> None:
    trained = train_classifier(
        ClassifierConfig(images=folder, out=tmp_path / "w.safetensors", epochs=6, batch_size=8)
    )
    assert trained.classes == ("blue", "red")
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    images = read_images(folder, PREPROCESSING, trained.classes)
    scores = predictions(trained.module, images, "cpu")
    assert accuracy(scores, images.labels) == trained.train_accuracy == 1.0
    again = load_classifier(tmp_path / "w.safetensors")
    assert torch.equal(predictions(again.module, images, "cpu"), scores)
    assert (again.classes, again.losses) == (trained.classes, trained.losses)
    facts = json.loads((tmp_path / "w.json").read_text())
    assert facts["classes"] == ["blue", "red"]
    assert facts["settings"]["epochs"] == 6


def test_same_seed_same_weights_and_the_generator_is_left_alone(
    folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_classifier(
            ClassifierConfig(
                images=folder, out=tmp_path / f"{name}.safetensors", epochs=1, seed=seed
            )
        )
    assert torch.equal(torch.rand(1), expected)
    a, b, c = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_other_architectures_are_trained_and_read(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    train_classifier(
        ClassifierConfig(
            images=folder, out=path, architecture="squeezenet1_1", epochs=1, batch_size=24
        )
    )
    loaded = load_classifier(path)
    images = read_images(folder, loaded.preprocessing, loaded.classes)
    assert predictions(loaded.module, images, "cpu").shape == (24, 2)


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    def fails(message: str, source: Path = folder, name: str = "w.safetensors", **how) -> None:
        with pytest.raises(InputError, match=message):
            train_classifier(ClassifierConfig(images=source, out=tmp_path / name, **how))

    fails("epochs=0", epochs=0)
    fails("create it first", name="none/w.safetensors")
    fails("must end in .safetensors", name="w.pth")
    fails("did you mean 'smallnet'", architecture="smalnet")
    fails("0 class folders", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    fails("has 0 images", tmp_path)
    for name in "ab":
        (tmp_path / name / "x.png").write_bytes(b"")
    fails(r"x\.png cannot be read", tmp_path)
    with pytest.raises(InputError, match="other classes than the network: blue"):
        read_images(folder, PREPROCESSING, ["red"])
    with pytest.raises(InputError, match="train the classifier again"):
        load_classifier(tmp_path / "none.safetensors")

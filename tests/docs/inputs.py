"""Small files under the names that the pages use."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from typer.testing import CliRunner

from milannotations.cli import app
from milannotations.loading import load
from milannotations.worlds.broden import write_broden
from milannotations.worlds.classes import write_class_images
from milannotations.worlds.release import write_release

CLASSES, PER_CLASS = 3, 8
LAYERS = {"conv1": 4, "conv5": 18, "layer3": 2, "layer4": 2}
FACTORY = '''"""A user's own networks."""

import torch
from torch import nn


class MyNetwork(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 5, stride=4)
        self.blocks = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())

    def forward(self, image):
        return self.blocks(self.conv1(image))


def make():
    torch.manual_seed(0)
    return MyNetwork()


def make_grey():
    torch.manual_seed(0)
    return MyNetwork(1)
'''
TEXTS = "red circles\nblue squares\nstriped stars\nthe sky\na face\n"


def write_inputs(folder: Path) -> None:
    """Write everything that commands of the pages read, but what an earlier command has written."""
    write_class_images(folder / "images", classes=CLASSES, per_class=PER_CLASS, size=64)
    for name in ("FOLDER", "probe", "imagenet/val", "imagenet/train"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copytree(folder / "images", folder / name)
    kinds = sorted(path for path in (folder / "images").iterdir() if path.is_dir())
    for number in range(10):  # as many classes as ``smallnet`` tells apart
        shutil.copytree(kinds[number % CLASSES], folder / "imagenet-val" / f"class{number}")
    for name in (".", "dataset"):
        write_broden(folder / name / "broden1_224", seed=0, scenes=12)
    _write_releases(folder)
    _write_tables(folder)
    package = folder / "my"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "package.py").write_text(FACTORY)
    (folder / "20k.txt").write_text(TEXTS)
    _write_data_set(folder)


def _write_releases(folder: Path) -> None:
    """Write a release with images, as of Places365, and one without, as of ImageNet."""
    write_release(folder / "alexnet-places365", LAYERS, k=2, size=16)
    without = folder / "alexnet-imagenet"
    write_release(without, LAYERS, k=2, size=16, images=False)
    for ids in without.glob("*/ids.csv"):  # images that are there: ``imagenet/val``
        few = np.loadtxt(ids, delimiter=",", dtype=int) % (CLASSES * PER_CLASS)
        np.savetxt(ids, few, delimiter=",", fmt="%i")
    for name in ("alexnet-places365", "alexnet-imagenet"):
        shutil.make_archive(str(folder / name), "zip", folder / name)
    shutil.copytree(folder / "alexnet-places365", folder / "FOLDER_OR_ZIP")


def _write_tables(folder: Path) -> None:
    """Write annotations of the demo's test split, and descriptions of several data sets."""
    neurons = load("demo", "test").remove_columns(["images", "masks"])
    with (folder / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "dataset", "layer", "unit", "summary"])
        for row in neurons:
            writer.writerows([*_key(row), text] for text in row["annotations"])
    _write_descriptions(folder / "demo.csv", map(_key, neurons))
    network = load("demo", "network").remove_columns(["images", "masks"])
    _write_descriptions(folder / "network.csv", map(_key, network))
    keys = [
        ("alexnet", "places365", layer, unit)
        for layer, units in LAYERS.items()
        for unit in range(units)
    ]
    _write_descriptions(folder / "release.csv", keys)


def _key(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("model", "dataset", "layer", "unit"))


def _write_descriptions(path: Path, keys: Iterable[tuple[object, ...]]) -> None:
    words = ("red", "round", "striped", "small")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "dataset", "layer", "unit", "description"])
        writer.writerows([*key, f"{words[n % 4]} things"] for n, key in enumerate(keys))


def build_own(out: str) -> None:
    """Build exemplars of the network of ``my/package.py`` in the working folder."""
    arguments = "build --model my.package:make --input-size 64 --images images --layers conv1"
    done = CliRunner().invoke(app, [*arguments.split(), "--out", out])
    assert done.exit_code == 0, f"{done.output}{done.exception}"


def _write_data_set(folder: Path) -> None:
    """Build the exemplars of the user's own network, and write its weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.chdir(folder)
        build_own("my-dataset")
    shutil.copytree(folder / "my-dataset", folder / "path" / "to" / "folder")
    names: dict[str, Any] = {}
    exec(FACTORY, names)
    state = names["make"]().state_dict()
    for name in ("my", "moved"):
        _save(state, folder / f"{name}.safetensors")


def _save(state: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


def write_network(folder: Path) -> None:
    """Write random weights of ResNet-18, also where torch.hub keeps the published ones."""
    torch.manual_seed(0)
    state = torchvision.models.resnet18(weights=None).state_dict()
    checkpoints = folder / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    torch.save(state, checkpoints / Path(url).name)
    _save(state, folder / "tuned.safetensors")
    student = {f"module.backbone.{name}": tensor for name, tensor in state.items()}
    torch.save({"student": student}, folder / "dino.pth")
    shapes = {"W_enc": (384, 64), "b_enc": (64,), "W_dec": (64, 384), "b_dec": (384,)}
    _save({name: torch.randn(shape) for name, shape in shapes.items()}, folder / "sae.safetensors")

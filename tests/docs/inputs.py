"""Small files under the names that the pages use."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from milannotations.loading import load
from milannotations.worlds.broden import write_broden
from milannotations.worlds.classes import write_class_images
from milannotations.worlds.release import write_release

CLASSES, PER_CLASS = 3, 8
FACTORY = '''"""A user's own network."""

import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 5, stride=4)
        self.blocks = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())

    def forward(self, image):
        return self.blocks(self.conv1(image))


def make():
    torch.manual_seed(0)
    return Network()


def make_grey():
    torch.manual_seed(0)
    return nn.Sequential()


MyNetwork = Network
'''
TEXTS = "red circles\nblue squares\nstriped stars\nthe sky\na face\n"


def write_inputs(folder: Path) -> None:
    """Write everything that commands of the pages read."""
    write_class_images(folder / "images", classes=CLASSES, per_class=PER_CLASS, size=64)
    for name in ("FOLDER", "probe", "imagenet-val", "imagenet/val", "imagenet/train"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copytree(folder / "images", folder / name)
    for name in ("broden", "dataset"):
        write_broden(folder / name / "broden1_224", seed=0, scenes=12)
    release = folder / "alexnet-imagenet"
    write_release(release, {"conv1": 4, "conv5": 12}, k=2, size=16, images=False)
    for ids in release.glob("*/ids.csv"):  # images that are there: ``imagenet/val``
        few = np.loadtxt(ids, delimiter=",", dtype=int) % (CLASSES * PER_CLASS)
        np.savetxt(ids, few, delimiter=",", fmt="%i")
    shutil.make_archive(str(folder / "alexnet-imagenet"), "zip", folder / "alexnet-imagenet")
    _write_tables(folder)
    package = folder / "my"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "package.py").write_text(FACTORY)
    (folder / "20k.txt").write_text(TEXTS)


def _write_tables(folder: Path) -> None:
    neurons = load("demo", "test").remove_columns(["images", "masks"])
    with (
        (folder / "annotations.csv").open("w", newline="") as references,
        (folder / "demo.csv").open("w", newline="") as descriptions,
    ):
        summaries, texts = csv.writer(references), csv.writer(descriptions)
        summaries.writerow(["model", "dataset", "layer", "unit", "summary"])
        texts.writerow(["model", "dataset", "layer", "unit", "description"])
        for row in neurons:
            key = [row[name] for name in ("model", "dataset", "layer", "unit")]
            summaries.writerows([*key, text] for text in row["annotations"])
            texts.writerow([*key, row["annotations"][0]])


def write_hub_weights(folder: Path) -> None:
    """Write random weights where torch.hub keeps the published ones of torchvision's ResNet-18."""
    (folder / "checkpoints").mkdir(parents=True)
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    torch.save(network.state_dict(), folder / "checkpoints" / Path(url).name)


def write_weights(path: Path, network: torch.nn.Module) -> None:
    """Write a network's parameters as a safetensors file."""
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def noise(path: Path, seed: int = 0) -> None:
    """Write a picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)

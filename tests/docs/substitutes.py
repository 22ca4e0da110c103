"""What takes the place of things that cannot be had in a test, and what is not run at all."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import nn

import milannotations
from milannotations.loading import load
from milannotations.release.importer import import_release
from milannotations.store import config_folder
from tests.baselines.tiny_transformers import tiny_blip, tiny_clip

# Commands that are not run, and why. Their options are checked all the same.
NOT_RUN = {
    r"^make ": "the targets of CI itself",
    r"^pip install": "the package is installed already",
    r"^git clone": "needs a network",
    r"scripts/compare_with_original.py": "needs the original's code; tests/scripts has a stand-in",
    r"scripts/calibrate_audit.py": "takes an hour; tests/scripts runs a small one",
    r"^torchrun": "starts several processes on several machines",
    r"leaderboard review": "reviews a pull request; test_review.py has a repository for it",
}

# Page (or * for all), pattern, replacement.
STAND_INS: list[tuple[str, str, str]] = [
    # What is downloaded is a release of the same layout, with 20 units.
    (
        "*",
        r"download alexnet-places365( --from-zip alexnet-places365.zip)?",
        "import-release alexnet-places365.zip",
    ),
    ("*", r"(milannotations import-release .*)", r"\1 --overwrite"),
    ("*", r"(milannotations attach-images .*)", r"\1 --allow-other-source --overwrite"),
    ("*", "USER/IMAGENET", "./imagenet"),
    ("docs/dataset.md", r"hub = .*", ""),
    ("README.md", r'"neuron.png"', 'os.devnull, format="png"'),
    # Fewer exemplars and epochs, and a smaller encoder.
    ("*", r"(milannotations build .*)", r"\1 --k 2"),
    ("*", r"(milannotations train .*)", r"\1 --hidden 16 --option epochs=1"),
    ("*", r"--encoder resnet101", "--encoder efficientnet_lite0"),
    ("*", r"--data base", "--data demo"),
    ("docs/exemplars.md", "--latents 50000", "--latents 2"),
    (
        "docs/exemplars.md",
        r"timm:vit_small_patch16_224",
        "timm:vit_small_patch16_224 --weights random",
    ),
    ("*", r"(milannotations (build|view|merge|describe|dissect|train) .*)", r"\1 --overwrite"),
    ("docs/models.md", r"(my.package:make)( --input-size)", r"\1_grey\2"),
    (
        "docs/models.md",
        r"resnet50 --weights 'dino.pth#student'",
        "resnet18 --weights 'dino.pth#student'",
    ),
    (
        "docs/exemplars.md",
        r"dino_vits8 --images hf:some/dataset:validation",
        "dino_vits8 --weights random --layers blocks.0.mlp.fc1 --units 0:4 "
        "--images hf:./imagenet:validation",
    ),
    (
        "docs/exemplars.md",
        r"biggan/places365 --latents (\d+|zs)",
        r"biggan/places365 --weights random --layers layer0 --latents \1",
    ),
    (
        "*",
        r"build '?…'? --shard \S+",
        "build --model smallnet --weights random --images FOLDER --layers conv1 --shard 1/1",
    ),
    # Of a cluster: its paths and its size.
    ("docs/cluster.md", r"'?\$\(\(SLURM_ARRAY_TASK_ID'? '?\+'? '?1\)\)/64'?", "1/1"),
    ("docs/cluster.md", r"/data/imagenet/train", "FOLDER"),
    ("docs/cluster.md", r"/shared/shards", "shards"),
    ("docs/cluster.md", r"--model resnet50", "--model smallnet --weights random --layers conv1"),
    (
        "docs/cluster.md",
        r"--workers 8 --batch-size 256 --readers 8",
        "--workers 1 --batch-size 8 --readers 0",
    ),
    # Published models.
    ("docs/milan.md", r'model = Milan.pretrained\("base"\).*', ""),
    ("docs/milan.md", r"--option model=base ", "--option model=milan-base "),
    ("docs/milan.md", r"Salesforce/blip-image-captioning-base", "./blip"),
    ("docs/milan.md", r"openai/clip-vit-base-patch(32|16)", "./clip"),
    # Small networks that are described by a method that learns fast.
    (
        "*",
        r"experiment analyze resnet18",
        "experiment analyze smallnet --weights random --layers conv1 --k 3 --trials 3 --steps 3",
    ),
    ("*", r"--method milan --option model=milan --train none", "--method random-train"),
    ("*", r"(experiment audit .*)", r"\1 --layers conv1 --k 3 --controls 1 --method random-train"),
    ("docs/applications.md", r"resnet18/imagenet-blurred", "resnet18"),
    ("*", r"(experiment train-classifier .*)", r"\1 --epochs 1"),
    (
        "*",
        r"(experiment edit .*)--train lessons",
        r"\1 --layers conv1 --k 3 --trials 2 --finetune 0 --method random-train",
    ),
    # The release needs the images of seven networks; seven small ones take its place.
    (
        "docs/experiments.md",
        r" --data worlds| --metric \S+| --encoder \S+| --trials \d+| --concepts \S+",
        "",
    ),
    (
        "docs/experiments.md",
        r"(experiment baselines)",
        r"\1 --data worlds:10:40 --metric rouge-l --method random-train --out baselines",
    ),
    (
        "docs/experiments.md",
        r"(experiment generalization)",
        r"\1 --data worlds:10:40 --metric rouge-l --method random-train --family across-task --out general",
    ),
]
BASE = [
    f"{model}-{data}"
    for model in ("alexnet", "resnet152", "biggan")
    for data in ("imagenet", "places365")
]
# Files that pages name, and what they are copies of.
COPIES = {
    "README.md": {"mine.csv": "demo.csv"},
    "docs/metrics.md": {"mine.csv": "demo.csv"},
    "docs/dataset.md": {
        "mine.csv": "release.csv",
        "milannotations_resnet152_imagenet.csv": "annotations.csv",
    },
    "docs/real-annotations.md": {
        "milannotations_resnet152_imagenet.csv": "annotations.csv",
        "milan_places365_on_resnet152_imagenet.csv": "demo.csv",
    },
    "docs/milan.md": {},
    "docs/viewer.md": {"milan.csv": "network.csv", "clip.csv": "network.csv"},
}


def prepare(page: str, number: int, place: Path, names: dict[str, Any]) -> None:
    """Put in place what a page's block needs that an earlier block has not made."""
    if number == 0:
        for name, source in COPIES.get(page, {}).items():
            shutil.copy(place / source, place / name)
    if (page, number) in (("README.md", 3), ("docs/dataset.md", 0), ("docs/viewer.md", 0)):
        for config in BASE:
            if not config_folder(config).exists():
                own = place / config
                release = own if own.is_dir() else place / "alexnet-places365"
                import_release(release, config_folder(config), config=config)
    if page in ("docs/baselines.md", "docs/milan.md") and number == 0:
        for name in ("mine", "resnet18"):
            shutil.copytree(place / "my-dataset", place / name)
    if (page, number) == ("docs/dataset.md", 1):
        names["neurons"] = load("alexnet-places365")
    if page == "docs/milan.md":
        names["milannotations"] = milannotations
        names["neurons"] = load("demo", "test").select(range(2))
        if number == 0:
            tiny_clip(place / "clip")
            tiny_blip(place / "blip")
    if page == "docs/applications.md":
        names |= {"model": _Transformer().eval(), "images": torch.rand(2, 3, 32, 32)}


class _Transformer(nn.Module):
    """Has the layers that the page ablates."""

    def __init__(self) -> None:
        super().__init__()
        self.layer3 = nn.Conv2d(3, 256, 4, 4)
        self.layer4 = nn.Sequential(
            OrderedDict(block=nn.Sequential(OrderedDict(conv1=nn.Conv2d(256, 24, 1))))
        )
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"attn": nn.ModuleDict({"proj": nn.Linear(24, 24)})}) for _ in range(4)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of 2 classes."""
        tokens = self.layer4(self.layer3(images)).flatten(2).transpose(1, 2)
        return self.blocks[3]["attn"]["proj"](tokens).mean(1)[:, :2]

"""What takes the place of things that cannot be had in a test, and what is not run at all."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

import milannotations
from milannotations.data_home import config_folder
from milannotations.loading import load
from milannotations.release.importer import import_release
from tests.baselines.tiny_transformers import tiny_blip, tiny_clip
from tests.docs.inputs import build_own
from tests.docs.pages import ROOT, blocks_of

# Commands that are not run, and why.
NOT_RUN = {
    r"^make ": "the targets of CI itself",
    r"^pip install": "the package is installed already",
    r"^git clone": "needs a network",
    r"scripts/compare_with_original.py": "needs the original's code; tests/scripts has a stand-in",
    r"scripts/calibrate_audit.py": "takes an hour",
    r"scripts/kill_everywhere.py": "takes an hour; test_reliability.py runs some of it",
    r"scripts/try_surroundings.py": "takes half an hour; test_reliability.py runs some of it",
    r"^torchrun": "starts several processes on several machines",
    r"leaderboard review": "reviews a pull request; test_review.py has a repository for it",
    r"scripts/try_bad_inputs.py": "writes its page; tests/bad_inputs runs the same and compares",
    r"<board>": "a template; the page on submitting verifies a row",
}

_SMALLNET = "smallnet --weights random --layers conv1"
_WORLDS = "--data worlds:10:40 --metric rouge-l --method random-train"
_ENCODER = "--encoder packaged/all-MiniLM-L6-v2"  # the default is on the hub
_ANALYZE = (
    r"experiment analyze resnet18",
    rf"experiment analyze {_SMALLNET} --k 3 --trials 3 --steps 3 {_ENCODER}",
)
_AUDIT = (
    r"(experiment audit .*)",
    r"\1 --layers conv1 --k 3 --controls 1 --method random-train --overwrite",
)
_TRAIN_CLASSIFIER = (r"(experiment train-classifier .*)", r"\1 --epochs 1")
_EDIT = (
    r"(experiment edit .*)--train lessons",
    r"\1 --layers conv1 --k 3 --trials 2 --finetune 0 --method random-train",
)
_DOWNLOAD = (
    r"download alexnet-places365( --from-zip alexnet-places365.zip)?",
    "import-release alexnet-places365.zip",
)
_ATTACH = (r"(milannotations attach-images .*)", r"\1 --allow-other-source --overwrite")
_TRAIN = (r"(milannotations train .*)", r"\1 --hidden 16 --option epochs=1")
_DATA = (r"--data base --encoder resnet101", "--data demo --encoder efficientnet_lite0")
_SHARD = (r"build '…' --shard \S+", f"build --model {_SMALLNET} --images FOLDER --shard 1/1")

# Of each page (* is all): pattern and replacement, in the order in which they are applied.
STAND_INS: dict[str, list[tuple[str, str]]] = {
    "*": [
        # Fewer exemplars; and pages write the same file more than once.
        (r"(milannotations build .*)", r"\1 --k 2"),
        (
            r"(milannotations (build|view|merge|describe|dissect|train|import-release) .*)",
            r"\1 --overwrite",
        ),
    ],
    "README.md": [
        (r'"neuron.png"', 'os.devnull, format="png"'),
        _DOWNLOAD,
        _ATTACH,
        (r"(--layers 'layer1,layer4\*')", r"\1 --units 0:4"),
        _DATA,
        _TRAIN,
        (r"(milannotations score .*)", rf"\1 {_ENCODER}"),
        (r"--option model=milan ", "--option model=milan --option any_k=1 "),
        _ANALYZE,
        _AUDIT,
        _TRAIN_CLASSIFIER,
        _EDIT,
    ],
    "docs/applications.md": [
        _ANALYZE,
        (r"--method milan --option model=milan --train none", "--method random-train"),
        _AUDIT,
        (r"resnet18/imagenet-blurred", "resnet18"),
        _TRAIN_CLASSIFIER,
        _EDIT,
    ],
    "docs/cluster.md": [
        (r"'\$\(\(SLURM_ARRAY_TASK_ID' \+ '1\)\)/64'", "1/64"),
        _SHARD,
        (r"/data/imagenet/train", "FOLDER"),
        (r"/shared/shards", "shards"),
        (r"--model resnet50", f"--model {_SMALLNET}"),
        (
            r"--workers 8 --batch-size 256 --readers 8",
            "--workers 1 --batch-size 8 --readers 0",
        ),
    ],
    "docs/dataset.md": [
        _DOWNLOAD,
        _ATTACH,
        (r"USER/IMAGENET", "./imagenet"),
        (r"hub = .*", ""),
    ],
    "docs/exemplars.md": [
        (
            r"dino_vits8 --images hf:some/dataset:validation",
            "dino_vits8 --weights random --layers blocks.0.mlp.fc1 --units 0:4 "
            "--images hf:./imagenet:validation",
        ),
        (r"--latents 50000", "--latents 2"),
        (r"--model biggan/places365", "--model biggan/places365 --weights random --layers layer0"),
        (r"timm:vit_small_patch16_224", "timm:vit_small_patch16_224 --weights random"),
        _SHARD,
    ],
    # The release needs the images of seven networks; seven small networks take its place.
    "docs/experiments.md": [
        (r" --data worlds| --metric \S+| --encoder \S+| --trials \d+| --concepts \S+", ""),
        (r"(experiment baselines)", rf"\1 {_WORLDS} --out baselines"),
        (
            r"(experiment generalization)",
            rf"\1 {_WORLDS} --family across-task --out generalization",
        ),
    ],
    "docs/milan.md": [
        _DATA,
        _TRAIN,
        (r"(train-language-model .*)", r"\1 --option epochs=1"),
        (r'model = Milan.pretrained\("base"\).*', ""),
        (r"--option model=base ", "--option model=milan-base "),
        (r"Salesforce/blip-image-captioning-base", "./blip"),
        (r"openai/clip-vit-base-patch(32|16)", "./clip"),
    ],
    "docs/models.md": [
        (r"(my.package:make)( --input-size)", r"\1_grey\2"),
        (r"resnet50 --weights 'dino.pth#student'", "resnet18 --weights 'dino.pth#student'"),
    ],
}
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
    "docs/viewer.md": {"milan.csv": "network.csv", "clip.csv": "network.csv"},
}
_BASE = [
    f"{model}-{data}"
    for model in ("alexnet", "resnet152", "biggan")
    for data in ("imagenet", "places365")
]


def prepare(page: str, number: int, place: Path, names: dict[str, Any]) -> None:
    """Put in place what a page's block needs that an earlier block has not made.

    Args:
        page: The page.
        number: Of the block, from 0.
        place: The folder that the page is run in.
        names: The variables of its snippets.
    """
    if number == 0:
        for name, source in COPIES.get(page, {}).items():
            shutil.copy(place / source, place / name)
    steps = {
        ("README.md", 3): lambda: _import_base(place),
        ("README.md", 7): lambda: names.update(neurons=load("demo", "test").select(range(2))),
        ("README.md", 9): lambda: shutil.copy(place / "demo.csv", place / "mine.csv"),
        ("docs/viewer.md", 0): lambda: _import_base(place),
        ("docs/dataset.md", 0): lambda: _import_base(place),
        ("docs/dataset.md", 1): lambda: names.update(neurons=load("alexnet-places365")),
        ("docs/dataset.md", 3): lambda: _import_without_images(place),
        ("docs/baselines.md", 0): lambda: build_own("mine"),
        ("docs/milan.md", 0): lambda: _prepare_milan(place, names),
        ("docs/applications.md", 0): lambda: names.update(
            model=_Network().eval(), images=torch.rand(2, 3, 32, 32)
        ),
        ("docs/submitting.md", 0): lambda: _write_program(place),
        ("docs/submitting.md", 2): lambda: _copy_row(place),
    }
    if (page, number) in steps:
        steps[page, number]()


def _import_base(place: Path) -> None:
    for config in _BASE:
        if not config_folder(config).exists():
            import_release(place / "alexnet-places365", config_folder(config), config=config)


def _import_without_images(place: Path) -> None:
    config = "alexnet-imagenet"
    import_release(place / config, config_folder(config), config=config, overwrite=True)


def _prepare_milan(place: Path, names: dict[str, Any]) -> None:
    names |= {"milannotations": milannotations, "neurons": load("demo", "test").select(range(2))}
    for out in ("mine", "resnet18"):
        build_own(out)
    tiny_clip(place / "clip")
    tiny_blip(place / "blip")


def _write_program(place: Path) -> None:
    """Write the page's example as the program that its first block runs."""
    block = next(b for b in blocks_of("docs/submitting.md") if b.language == "python")
    (place / "fill.py").write_text(block.text)


def before(command: str, place: Path) -> None:
    """Do what a user does between two commands of a block: write descriptions."""
    path = place / "submissions" / "my-method" / "descriptions.csv"
    if "leaderboard validate" in command:
        table = pd.read_csv(path)
        table["description"] = table["description"].fillna("red things")
        table.to_csv(path, index=False)


def _copy_row(place: Path) -> None:
    results = ROOT / "leaderboard" / "boards" / "demo" / "results"
    for path in results.glob("retrieval.*"):
        shutil.copy(path, place / "results" / path.name.replace("retrieval", "other"))


class _Network(nn.Module):
    """Has the layers that the page on applications ablates."""

    def __init__(self) -> None:
        super().__init__()
        self.layer3 = nn.Conv2d(3, 256, 4, 4)
        block = nn.Sequential(OrderedDict(conv1=nn.Conv2d(256, 24, 1)))
        self.layer4 = nn.Sequential(OrderedDict(block=block))
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"attn": nn.ModuleDict({"proj": nn.Linear(24, 24)})}) for _ in range(4)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of 2 classes."""
        tokens = self.layer4(self.layer3(images)).flatten(2).transpose(1, 2)
        projected: torch.Tensor = self.blocks[3]["attn"]["proj"](tokens)  # type: ignore[index]
        return projected.mean(1)[:, :2]

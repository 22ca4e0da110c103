"""Every command that writes results, on small inputs: what is run, and what must be there then."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import yaml

from leaderboard.submission.package import METADATA, TABLES
from milannotations.loading import load
from milannotations.worlds.broden import write_broden
from milannotations.worlds.classes import write_class_images
from milannotations.worlds.release import write_release
from tests.baselines.tiny_transformers import tiny_clip

_BUILD = (
    "build --model smallnet --weights random --images images --layers conv1 --k 2 --size 32 "
    "--device cpu"
)
_TINY = "--hidden 8 --embedding 8 --option epochs=1 --device cpu"
_RELEASE = "--model alexnet --dataset shapes"
_BOARD = {
    "name": "own", "version": 1, "title": "Board …", "main_metric": "bleu", "main_split": "test",
    "metrics": ["bleu"], "sentence_encoder": "none", "bertscore_encoder": "none",
    "splits": [{"name": "test", "source": "test.parquet"}],
}  # fmt: skip
_SUBMISSION = {
    "board": "own@1", "splits": ["test"], "name": "mine", "title": "Mine …", "training_data": [],
    "annotations_seen": "none",
}  # fmt: skip


class Case(NamedTuple):
    """One command.

    Attributes:
        words: The command line; later ones may read what earlier ones wrote.
        results: What it writes below the working folder.
        speaks_before: Whether it prints lines of progress to standard output while it works.
    """

    words: str
    results: tuple[str, ...]
    speaks_before: bool = False

    @property
    def name(self) -> str:
        """The command without its arguments."""
        first, second, *_ = self.words.split()
        return f"{first} {second}" if first in ("leaderboard", "experiment") else first


CASES = (
    Case(
        "score --references r.csv --descriptions d.csv --metric bleu --out scores --markdown t.md",
        ("scores/d.json", "scores/d.per_neuron.parquet", "scores/comparisons/r.csv",
         "scores/sanity/r.json", "t.md"),
    ),
    Case(
        "sanity r.csv --metric bleu --out checked --markdown s.md",
        ("checked/sanity/r.json", "s.md"),
    ),
    Case("leaderboard init other --split test --out other", (f"other/{METADATA}",)),
    Case(
        "quality r.csv --out quality",
        ("quality/quality.json", "quality/quality.md"),
    ),
    Case(
        "describe --method constant --split test --out words.csv",
        ("words.csv",),
    ),
    Case(f"import-release release {_RELEASE} --out imported", ("imported/README.md",)),
    Case(
        "export-release imported --out exported",
        ("exported/annotations.csv",),
    ),
    Case("export-catalog imported --out catalog", ("catalog",)),
    Case(
        "import-release bare --config alexnet-imagenet --out to-attach", ("to-attach/README.md",)
    ),
    Case(
        "attach-images to-attach --source images --allow-other-source --out attached",
        ("attached/README.md",),
        speaks_before=True,
    ),
    Case("view imported --out pages", ("pages/index.html",)),
    Case(f"{_BUILD} --out built", ("built/README.md",)),
    Case(f"{_BUILD} --shard 1/1 --out shards", ("shards",)),
    Case("merge shards --images images --size 32 --out merged", ("merged/README.md",)),
    Case(
        f"train --data demo --encoder smallnet --layers conv1 --weights random {_TINY} --out milan",
        ("milan/config.json",),
        speaks_before=True,
    ),
    Case(
        f"train-language-model --data demo {_TINY} --out language",
        ("language/config.json",),
        speaks_before=True,
    ),
    Case(
        "dissect --concepts broden:broden1_224 --model smallnet --weights random --layers conv1 "
        "--device cpu --work work --out labels",
        ("labels/index.html",),
    ),
    Case(
        "functional units.csv --images images --clip clip --model smallnet --weights random "
        "--device cpu --out predicted",
        ("predicted/units.json", "predicted/units.per_neuron.parquet"),
    ),
    Case(
        "experiment generalization --data worlds:10:40 --family within-network --metric rouge-l "
        "--method constant --device cpu --out paper",
        ("paper/results.csv",),
        speaks_before=True,
    ),
    Case("leaderboard rows --board board --only constant-frequent --out board",
         ("board/results/constant-frequent.json",), speaks_before=True),
    Case("leaderboard score mine --board board --no-sanity --out rows",
         ("rows/mine.json", "rows/mine.per_neuron.parquet")),
    Case("leaderboard compare rows/mine.json rows/mine.json --metric bleu --out pairs.csv",
         ("pairs.csv",)),
    Case("leaderboard render --board board --results rows --pictures 0 --out site",
         ("site/index.html",)),
    Case("experiment spurious-text images text --size 32", ("text/train",)),
    Case("experiment spurious-color images color --size 32", ("color/train",)),
    Case(
        "experiment train-classifier images weights.safetensors --epochs 1 --device cpu",
        ("weights.safetensors",),
    ),
)  # fmt: skip
# What writes no files of results.
NO_RESULTS = {
    "clean", "layers", "splits", "push", "push-model", "leaderboard validate", "leaderboard verify",
    "leaderboard push",
}  # fmt: skip
# What writes them before it prints, and takes too long, a network or an application's inputs here.
NOT_RUN = {
    "demo": "test_cli.py runs it",
    "download": "asks a host; it imports as import-release does",
    "import-checkpoint": "reads an original checkpoint",
    "leaderboard review": "test_review.py has a repository for it",
    "experiment baselines": "is generalization on another split",
    "experiment analyze": "takes an application's inputs",
    "experiment audit": "takes an application's inputs",
    "experiment edit": "takes an application's inputs",
    "experiment trials": "takes minutes",
}


def write_inputs(folder: Path) -> None:
    """Write what the commands read."""
    write_class_images(folder / "images", classes=2, per_class=6, size=32)
    write_release(folder / "release", {"conv1": 3}, k=2, size=16)
    write_release(folder / "bare", {"conv1": 2, "conv5": 2}, k=2, size=16, images=False)
    for ids in (folder / "bare").glob("*/ids.csv"):
        ids.write_text("0,1\n" * 2)
    write_broden(folder / "broden1_224", seed=0, scenes=8)
    tiny_clip(folder / "clip")
    write_tables(folder)
    _write_board(folder)


def write_tables(folder: Path) -> None:
    """Write annotations and descriptions that no terminal but a UTF-8 one can show."""
    with (folder / "r.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["layer", "unit", "summary"])
        for unit in range(3):
            writer.writerows(["слой…", unit, f"{text} {unit}"] for text in ("犬", "a red dog ≥"))
    with (folder / "d.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["layer", "unit", "description"])
        writer.writerows(["слой…", unit, f"犬 → {unit}"] for unit in range(3))
    with (folder / "units.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["layer", "unit", "description"])
        writer.writerows(["conv1", unit, f"red … {unit}"] for unit in range(3))


def _write_board(folder: Path) -> None:
    neurons = load("demo", "test").select(range(4))
    board, mine = folder / "board", folder / "mine"
    board.mkdir()
    neurons.to_parquet(board / "test.parquet")
    (board / "board.yaml").write_text(yaml.safe_dump(_BOARD), encoding="utf-8")
    mine.mkdir()
    (mine / METADATA).write_text(yaml.safe_dump(_SUBMISSION), encoding="utf-8")
    with (mine / TABLES[0]).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "model", "dataset", "layer", "unit", "description"])
        for row in neurons.remove_columns(["images", "masks"]):
            key = [row[name] for name in ("model", "dataset", "layer", "unit")]
            writer.writerow(["test", *key, "red … things"])

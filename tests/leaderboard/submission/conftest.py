"""A small board, and submissions to it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset

from leaderboard.definition import BoardDefinition, read_board
from milannotations.record import NeuronKey, keys_of
from tests.leaderboard.conftest import make_neurons

BOARD = {
    "name": "small",
    "version": 2,
    "title": "A small board",
    "main_metric": "content",
    "main_split": "first",
    "metrics": ["content", "bleu-1"],
    "sentence_encoder": "none",
    "bertscore_encoder": "none",
    "splits": [
        {"name": "first", "source": "first.parquet"},
        {"name": "second", "source": "second.parquet", "note": "Another network."},
    ],
}
YAML = {
    "board": "small@2",
    "splits": ["first"],
    "name": "mine",
    "title": "Mine",
    "training_data": [],
    "annotations_seen": "none",
}

Make = Callable[..., Path]


def annotated(model: str, words: list[str]) -> Dataset:
    """Return two layers of four neurons, each with three references of its own words."""
    neurons = make_neurons(("conv1", "conv2"), 4, k=1, references=(), model=model)
    texts = [
        [f"{words[i]} things", f"many {words[i]}", f"{words[i]} and more"]
        for i in range(len(neurons))
    ]
    features = neurons.features["annotations"]
    return neurons.remove_columns("annotations").add_column("annotations", texts, feature=features)


WORDS = ["red", "dog", "wheel", "sky", "text", "grid", "face", "leaf"]


@pytest.fixture(scope="session")
def board_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a board with two splits of eight neurons."""
    folder = tmp_path_factory.mktemp("board")
    (folder / "board.yaml").write_text(yaml.safe_dump(BOARD))
    for name, model in (("first", "net"), ("second", "other")):
        annotated(model, WORDS).to_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def board(board_folder: Path) -> BoardDefinition:
    return read_board(board_folder)


@pytest.fixture(scope="session")
def keys(board: BoardDefinition) -> list[NeuronKey]:
    return keys_of(board.neurons("first"))


def table(rows: Mapping[NeuronKey, str]) -> bytes:
    """Return a CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "dataset", "layer", "unit", "description"))
    writer.writerows((*key, said) for key, said in rows.items())
    return text.getvalue().encode()


@pytest.fixture
def make(tmp_path: Path, keys: list[NeuronKey]) -> Make:
    """Write a submission; every part of it may be replaced."""

    def write(
        said: Mapping[NeuronKey, str] | None = None,
        *,
        data: bytes | None = None,
        metadata: bytes | None = None,
        table_name: str = "descriptions.csv",
        where: Path | None = None,
        **fields: Any,
    ) -> Path:
        folder = where or tmp_path / "submission"
        folder.mkdir(parents=True, exist_ok=True)
        plain = yaml.safe_dump({**YAML, **fields}).encode()
        (folder / "submission.yaml").write_bytes(plain if metadata is None else metadata)
        full = {key: f"{WORDS[i]} things" for i, key in enumerate(keys)}
        body = table(full if said is None else said) if data is None else data
        (folder / table_name).write_bytes(body)
        return folder

    return write

"""Readers of what is sent to a leaderboard: submissions, boards, and results with their tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from datasets import Dataset

from leaderboard.definition import read_board
from leaderboard.results_folder import load_result, load_results
from leaderboard.submission.checking import check
from milannotations.errors import InputError
from milannotations.record import FEATURES
from tests.bad_inputs.cases import reader

BOARD = """\
name: small
version: 1
title: A small board
main_metric: content
main_split: test
metrics: [content]
sentence_encoder: none
bertscore_encoder: none
splits:
  - name: test
    source: test.parquet
  - name: known
    source: demo/test
"""
NEURON = {
    "model": "net", "dataset": "shapes", "layer": "conv1", "images": [], "masks": [],
    "activations": [], "image_ids": [], "threshold": 0.0, "annotations": ["a dog", "a cat"],
}  # fmt: skip
TABLE = "layer,unit,description\nconv1,0,a dog\nconv1,1,a cat\nconv1,2,a bird\n"


@reader("leaderboard validate, what is declared", "sent")
def validate(path: Path, work: Path) -> Any:
    """Check a submission of this ``submission.yaml`` and a good table."""
    (work / "board.yaml").write_text(BOARD)
    rows = [{**NEURON, "unit": unit} for unit in range(3)]
    Dataset.from_list(rows, features=FEATURES).to_parquet(work / "test.parquet")
    sent = work / "sent"
    sent.mkdir()
    shutil.copy(path, sent / "submission.yaml")
    (sent / "descriptions.csv").write_text(TABLE)
    checked = check(sent, read_board(work))
    if checked.problems:
        raise InputError("\n".join(checked.problems.lines(100)))
    return checked.refused


@reader("leaderboard, days and titles of boards", "boards")
def board(path: Path, work: Path) -> Any:
    """Read a board."""
    shutil.copy(path, work / "board.yaml")
    board = read_board(work)
    return [board.label, str(board.frozen)]


@reader("leaderboard render", "result")
def render(path: Path, work: Path) -> Any:
    """Read a folder of results as ``render`` and ``push`` do."""
    return [one.method.name for one in load_results(path)]


@reader("leaderboard compare", "result")
def compare(path: Path, work: Path) -> Any:
    """Read a row as ``compare`` and ``verify`` do."""
    return load_result(path / "mine.json").method.name

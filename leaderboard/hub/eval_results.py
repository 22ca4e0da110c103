"""Results in the hub's formats for evaluations, which its model pages show.

A dataset repository with ``eval.yaml`` is a benchmark, and a model repository's
``.eval_results/*.yaml`` holds the model's scores on it. The formats are those of
https://huggingface.co/docs/hub/eval-results, as ``huggingface_hub.EvalResultEntry`` reads them.
"""

from __future__ import annotations

from typing import Any

import yaml

from leaderboard.board import Board, BoardRow
from leaderboard.definition import BoardDefinition
from milannotations.untrusted_text import clean

FRAMEWORK = "milannotations"
TASK_SPLIT = "test"  # the hub's name for the rows of a task; each split of a board is a task


def address_of(space: str) -> str:
    """Return the address of a Space; empty if there is none."""
    return f"https://huggingface.co/spaces/{space}" if space else ""


def neurons_config(split: str) -> str:
    """Return the config of the dataset repository that lists a split's neurons."""
    return f"neurons-{split}"


def tasks_of(board: Board, definition: BoardDefinition) -> list[str]:
    """Return the splits that have scores by the main metric, in the definition's order."""
    scored = {c.key.split for c in board.columns if c.key.metric == definition.main_metric}
    return [split.name for split in definition.splits if split.name in scored]


def benchmark_file(board: Board, definition: BoardDefinition) -> str:
    """Return ``eval.yaml``: the board as a benchmark, each of its splits as a task.

    Args:
        board: Determines which splits have scores, and whether higher ones are better.
        definition: The board's definition.
    """
    main = board.main_column
    higher = main is None or main.metric.higher_is_better
    return dump(
        {
            "name": clean(definition.title),
            "description": (
                "What does a neuron in a vision network respond to, in words? Scores are "
                f"{definition.main_metric} ({definition.label}); "
                f"{'higher' if higher else 'lower'} values are better."
            ),
            "evaluation_framework": FRAMEWORK,
            "tasks": [
                {"id": split, "config": neurons_config(split), "split": TASK_SPLIT}
                for split in tasks_of(board, definition)
            ],
        }
    )


def model_file(board: Board, row: BoardRow, repo_id: str, source: str = "") -> str:
    """Return the content of a model's ``.eval_results`` file; empty where it has no scores.

    Args:
        board: Provides the columns; those of the main metric are the tasks' values.
        row: The model's row.
        repo_id: The board's dataset repository.
        source: Address at which the numbers can be viewed; default that repository's.
    """
    main = board.main_column
    if main is None:
        return ""
    entries: list[dict[str, Any]] = []
    for column, score in zip(board.columns, row.cells, strict=True):
        if score is None or column.key.metric != main.key.metric or column.variant > 1:
            continue
        notes = (
            f"{column.metric.title}, 95% interval {score.low:.4f} to {score.high:.4f}, n {score.n}"
            f", {row.result.board or 'no board'}, {column.key.signature}, neurons "
            f"{column.key.fingerprint}"
        )
        entries.append(
            {
                "dataset": {"id": repo_id, "task_id": column.key.split},
                "value": round(score.value, 6),
                "source": {
                    "url": source or f"https://huggingface.co/datasets/{repo_id}",
                    "name": "milannotations leaderboard",
                },
                "notes": clean(notes, 1000),
            }
        )
    return dump(entries) if entries else ""


def dump(value: Any) -> str:
    """Return YAML, with keys in their order."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))

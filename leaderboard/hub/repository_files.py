"""The files of a board's repositories: results and tables for a dataset, the site for a Space."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark.per_neuron import PER_NEURON_COLUMNS
from leaderboard.board import Board, BoardRow
from leaderboard.definition import FILE, BoardDefinition
from leaderboard.downloads import board_rows
from leaderboard.hub.eval_results import (
    TASK_SPLIT,
    address_of,
    benchmark_file,
    dump,
    model_file,
    neurons_config,
    tasks_of,
)
from leaderboard.pages import INDEX
from leaderboard.render import is_site
from leaderboard.results_folder import LoadedResult
from leaderboard.submission.package import METADATA, TABLES
from milannotations.errors import InputError
from milannotations.hub.repository import CARD
from milannotations.page import markdown_environment
from milannotations.record import NeuronKey
from milannotations.untrusted_text import as_markdown, clean

TAG = "milannotations-leaderboard"  # marks a repository as a board's
# Folders of the dataset repository that belong to the board; a push deletes other files in them.
FOLDERS = ("results", "submissions", "neurons", "descriptions", "eval_results")
_SITE_FILES = {".html", ".css", ".js", ".csv", ".json", ".bz2", ".jpg", ".png"}
_WHOLE = "train"  # the name that `datasets` gives to a table without splits
Files = dict[str, Path | bytes]


def data_files(
    repo_id: str,
    board: Board,
    results: Path,
    definition: BoardDefinition | None = None,
    space: str = "",
) -> Files:
    """Return the files of the dataset repository, by their paths.

    Args:
        repo_id: Name of the repository.
        board: The board.
        results: The folder of its results.
        definition: The board's definition, if it has one; the repository is then a benchmark.
        space: The Space with its site, if there is one.
    """
    files: Files = {}
    metrics = list(dict.fromkeys(column.key.metric for column in board.columns))
    rows = sorted(board.rows, key=lambda row: row.loaded.path)
    for row in rows:
        name = row.method.name
        files[f"results/{name}.json"] = row.loaded.path
        files[f"results/{name}.per_neuron.parquet"] = row.loaded.table_path
        files[f"descriptions/{name}.parquet"] = _parquet(_descriptions(row.loaded, metrics))
        evaluated = model_file(board, row, repo_id, address_of(space))
        if evaluated and row.method.kind == "method":
            files[f"eval_results/{name}.yaml"] = evaluated.encode()
    for path in sorted((results / "sanity").glob("*.json")):
        files[f"results/sanity/{path.name}"] = path
    header, *scores = board_rows(board)
    files["scores.parquet"] = _parquet(pd.DataFrame(scores, columns=list(header)))
    tasks = []
    if definition is not None:
        files[FILE] = definition.folder / FILE
        tasks = tasks_of(board, definition)
        files["eval.yaml"] = benchmark_file(board, definition).encode()
        for split in tasks:
            files[f"neurons/{split}.parquet"] = _parquet(_neurons(rows, split))
        for row in rows:
            for name in (METADATA, *TABLES):
                path = definition.submissions / row.method.name / name
                if path.is_file() and not path.is_symlink():
                    files[f"submissions/{row.method.name}/{name}"] = path
    files[CARD] = _card(repo_id, board, tasks, definition, space).encode()
    return files


def site_files(site: Path, title: str, repo_id: str = "") -> Files:
    """Return the files of the Space, by their paths.

    Args:
        site: Folder of a rendered site.
        title: Its title on the hub.
        repo_id: The dataset repository, if there is one.

    Raises:
        InputError: If the folder is not a rendered site, or holds files that no site has.
    """
    if not is_site(site):
        raise InputError(
            f"{site} is not a leaderboard site; `milannotations leaderboard render` writes one"
        )
    files: Files = {}
    for path in sorted(site.rglob("*")):
        if path.is_symlink() or (path.is_file() and path.suffix not in _SITE_FILES):
            raise InputError(f"{path} is not part of a site: remove it, or render the site again")
        if path.is_file():
            files[path.relative_to(site).as_posix()] = path
    metadata = {
        "title": clean(title, 100),
        "emoji": "🔬",
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "static",
        "app_file": INDEX,
        "pinned": False,
        "tags": [TAG, "leaderboard"],
        **({"datasets": [repo_id]} if repo_id else {}),
    }
    files[CARD] = f"---\n{dump(metadata)}---\n\n{as_markdown(title)}\n".encode()
    return files


def _card(
    repo_id: str,
    board: Board,
    tasks: Sequence[str],
    definition: BoardDefinition | None,
    space: str,
) -> str:
    configs = [
        {
            "config_name": "scores",
            "default": True,
            "data_files": [{"split": _WHOLE, "path": "scores.parquet"}],
        },
        {
            "config_name": "descriptions",
            "data_files": [{"split": _WHOLE, "path": "descriptions/*.parquet"}],
        },
        *(
            {
                "config_name": neurons_config(split),
                "data_files": [{"split": TASK_SPLIT, "path": f"neurons/{split}.parquet"}],
            }
            for split in tasks
        ),
    ]
    title = definition.title if definition else "Descriptions of vision neurons"
    metadata = {
        "pretty_name": clean(title, 100),
        "tags": [TAG, "leaderboard", "interpretability", "neurons", "milannotations"],
        "configs": configs,
    }
    body = (
        markdown_environment(Path(__file__).parent)
        .get_template("card.md.j2")
        .render(
            title=title,
            repo_id=repo_id,
            board=board,
            main=board.main_column,
            label=definition.label if definition else "",
            tasks=tasks,
            space=space,
        )
    )
    return f"---\n{dump(metadata)}---\n\n{body}"


def _descriptions(loaded: LoadedResult, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a method's table with the columns and types that all methods' tables share."""
    table = loaded.per_neuron.reindex(columns=[*PER_NEURON_COLUMNS, *metrics])
    table = table.astype({**dict.fromkeys(PER_NEURON_COLUMNS, "string"), "unit": "int64"})
    for metric in metrics:
        table[metric] = pd.to_numeric(table[metric], errors="coerce").astype("float64")
    table.insert(0, "method", loaded.method.name)
    return table


def _neurons(rows: Sequence[BoardRow], split: str) -> pd.DataFrame:
    """Return the keys of a split's neurons, each once, in the order of the results."""
    keys = list(NeuronKey._fields)
    own = [row.loaded.per_neuron for row in rows]
    tables = [table.loc[table["split"] == split, keys] for table in own]
    return pd.concat(tables).drop_duplicates(ignore_index=True)


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()

"""``verify`` notices whatever is changed: each field of a row, each column, what it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from benchmark.result import leaves
from leaderboard.commands import app
from leaderboard.definition import BoardDefinition, read_board
from leaderboard.submission.checking import check
from leaderboard.submission.scoring import score_submissions
from leaderboard.submission.verifying import differences
from milannotations.errors import InputError
from tests.benchmark.damage import DAMAGED
from tests.benchmark.test_pairs import as_version_2, other_than, put
from tests.leaderboard.conftest import save_anew
from tests.leaderboard.submission.conftest import Make

runner = CliRunner()

# What a row says that no submission determines: versions of libraries are remarks, as a row may be
# verified with others, and the number of the format is that of the program that wrote it.
FREE = ("versions.", "schema_version")


@pytest.fixture
def row(make: Make, board: BoardDefinition, tmp_path: Path) -> tuple[Path, Path]:
    """Return a row and the submission it came from."""
    submission = make(
        authors="Ada", url="https://example.com", paper="A paper", pretrained_on="ImageNet",
        images="exemplars", labels="none", vocabulary="words", parameters=5, licence="MIT", seed=3,
        hardware="a machine", wall_time_s=2.5, splits=["first"],
    )  # fmt: skip
    scored, _, _ = score_submissions([check(submission, board)], board)
    rescored = scored["mine"]
    return rescored.save(tmp_path / "results"), submission


class Rescored:
    """Scores once, as every row here is verified against the same submission."""

    def __init__(self) -> None:
        self.found: Any = None

    def __call__(self, *args: Any) -> Any:
        if self.found is None:
            self.found = score_submissions(*args)
        return self.found


def test_every_field_of_a_row_is_noticed_by_verify(
    row: tuple[Path, Path], board: BoardDefinition
) -> None:
    path, submission = row
    checked, rescore = check(submission, board), Rescored()
    whole = path.read_text()
    table = path.with_suffix(".per_neuron.parquet").read_bytes()
    assert differences(path, checked, board, rescore=rescore) == ([], [])
    fields = dict(leaves(json.loads(whole)))
    assert {"table", "method.training_data", "splits.first.scores.bleu-1.high"} <= set(fields)
    free = set()
    for field, value in fields.items():
        changed = json.loads(whole)
        new = other_than(value, field, by=0.02)
        put(changed, field, [*value, "demo/train"] if isinstance(value, list) else new)
        path.write_text(json.dumps(changed))
        try:
            output, _ = differences(path, checked, board, rescore=rescore)
        except InputError as error:  # no longer what the schema takes
            output = [str(error)]
        last = field.rpartition(".")[2]
        named = "SHA-256" if field == "table" else last
        assert any(named in line for line in output), (field, output)
        path.write_text(whole)
        # Bound anew, so that only the submission tells.
        if field in ("table", "schema_version"):
            free.add(field)
            continue
        anew = save_anew(path, result=lambda r, c=changed: r.update(c))
        output, remarks = differences(anew, checked, board, rescore=rescore)
        if not output:
            free.add(field)
            assert not field.startswith("versions.") or remarks
        if anew != path:
            anew.unlink()
            anew.with_suffix(".per_neuron.parquet").unlink()
        path.write_text(whole)
        path.with_suffix(".per_neuron.parquet").write_bytes(table)
    assert {field for field in free if not field.startswith(FREE)} == {"table"}


def test_every_column_of_a_row_is_noticed_by_verify(
    row: tuple[Path, Path], board: BoardDefinition
) -> None:
    path, submission = row
    checked, rescore = check(submission, board), Rescored()
    table_path = path.with_suffix(".per_neuron.parquet")
    whole, plain = table_path.read_bytes(), path.read_text()
    for column in pd.read_parquet(table_path).columns:

        def change(table: pd.DataFrame, column: str = column) -> None:
            numbers = {"unit": 77}
            other = table[column].dtype.kind
            table.loc[3, column] = numbers.get(column, 0.987 if other == "f" else "else")

        changed = pd.read_parquet(table_path)
        change(changed)
        changed.to_parquet(table_path, index=False)
        output, _ = differences(path, checked, board, rescore=rescore)
        assert any("SHA-256" in line for line in output), column
        table_path.write_bytes(whole)
        save_anew(path, table=change)  # bound anew, so that only the submission tells
        output, _ = differences(path, checked, board, rescore=rescore)
        told = {"description": "descriptions differ", "content": "content: 1 neurons",
                "bleu-1": "bleu-1: 1 neurons"}  # fmt: skip
        assert any(told.get(column, "other neurons") in line for line in output), (column, output)
        table_path.write_bytes(whole)
        path.write_text(plain)


CHANGED_SUBMISSION = {
    "name": "yours", "title": "Another", "kind": "control", "authors": "Bob",
    "url": "https://example.org", "paper": "Another", "training_data": ["demo/train"],
    "pretrained_on": "LAION", "annotations_seen": "all", "images": "others", "labels": "all",
    "vocabulary": "others", "parameters": 6, "licence": "BSD", "seed": 4, "hardware": "another",
    "wall_time_s": 3.5, "splits": ["first", "second"], "board": "small@3",
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGED_SUBMISSION)
def test_every_field_of_a_submission_is_noticed_by_verify(
    row: tuple[Path, Path], board_folder: Path, field: str
) -> None:
    path, submission = row
    file = submission / "submission.yaml"
    plain = yaml.safe_load(file.read_text())
    plain[field] = CHANGED_SUBMISSION[field]
    file.write_text(yaml.safe_dump(plain))
    output = runner.invoke(
        app, ["verify", str(path), str(submission), "--board", str(board_folder)]
    )
    assert output.exit_code == 1
    told = {"name": "the row is of 'mine'", "board": "board 'small@3'",
            "splits": "not described"}.get(field, "differs: submission is")  # fmt: skip
    assert told in output.output + str(output.exception)


CHANGED_BOARD: dict[str, Any] = {
    "name": "large", "version": 3, "metrics": ["content"], "resamples": 2000, "seed": 1,
    "protocol": "original",
}  # fmt: skip
# No number of a row depends on these.
NO_NUMBER: dict[str, Any] = {
    "title": "Another", "frozen": "2020-01-01", "main_metric": "bleu-1", "main_split": "second",
    "references": "people", "sentence_encoder": "no metric here reads it",
}  # fmt: skip


@pytest.mark.parametrize("field", [*CHANGED_BOARD, *NO_NUMBER])
def test_every_field_of_a_board_that_changes_a_number_is_noticed_by_verify(
    row: tuple[Path, Path], board: BoardDefinition, field: str
) -> None:
    path, submission = row
    changed = {**CHANGED_BOARD, **NO_NUMBER}[field]
    plain = {**board.model_dump(), field: changed}
    other = BoardDefinition(**plain)
    checked = check(submission, other)
    if field in ("name", "version"):
        assert "but this is" in str(checked.problems.lines())
        return
    output, _ = differences(path, checked, other)
    assert bool(output) == (field in CHANGED_BOARD), output


def test_other_neurons_of_a_board_are_noticed_by_verify(
    row: tuple[Path, Path], board_folder: Path, tmp_path: Path
) -> None:
    _, submission = row
    plain = yaml.safe_load((board_folder / "board.yaml").read_text())
    plain["splits"][0]["source"] = str(board_folder / "first.parquet")
    plain["splits"][0]["fingerprint"] = "0" * 16
    plain["splits"][1]["source"] = str(board_folder / "second.parquet")
    (tmp_path / "board.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(InputError, match="has the fingerprint"):
        check(submission, read_board(tmp_path))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", [name for name in DAMAGED if "more cells" not in name])
def test_a_damaged_table_is_a_line_of_verify(
    row: tuple[Path, Path], board: BoardDefinition, name: str, version: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path, submission = row
    if version == 2:
        as_version_2(path)
    table_path = path.with_suffix(".per_neuron.parquet")
    change, told = DAMAGED[name]
    table_path.write_bytes(change(table_path.read_bytes()))
    output, _ = differences(path, check(submission, board), board)
    assert any(told in line or "SHA-256" in line for line in output), output

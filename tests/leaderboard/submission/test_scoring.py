"""From a submission to a row and back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from benchmark.result import read_result
from benchmark.result_files import read_result_files
from leaderboard.commands import app
from leaderboard.definition import BoardDefinition
from leaderboard.method_comparison import compare, comparison_lines, write_csv
from leaderboard.results_folder import load_result
from leaderboard.submission.checking import check
from leaderboard.submission.scoring import check_sanity, score_submissions
from leaderboard.submission.template import write_template
from leaderboard.submission.verifying import differences
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from milannotations.storage.names import lock_file
from tests.leaderboard.conftest import save_anew
from tests.leaderboard.submission.conftest import WORDS, Make

runner = CliRunner()


def _saved(make: Make, board: BoardDefinition, folder: Path, **fields: object) -> Path:
    scored, _, _ = score_submissions([check(make(**fields), board)], board)
    (found,) = scored.values()
    return found.save(folder)


def test_template_to_row(board: BoardDefinition, board_folder: Path, tmp_path: Path) -> None:
    """Init, fill in, validate, score, verify: as docs/submitting.md says."""
    folder, results = tmp_path / "sent", tmp_path / "results"
    said = runner.invoke(
        app, ["init", "my-method", "--board", str(board_folder), "--out", str(folder)]
    )
    assert said.exit_code == 0, said.output
    assert "16 neurons" in said.output
    options = ["--board", str(board_folder)]
    said = runner.invoke(app, ["validate", str(folder), *options])
    assert said.exit_code == 1
    assert "descriptions.csv:2: the description of net/shapes conv1:0 is blank" in said.output
    assert "… and 11 more: blank" in said.output
    path = folder / "descriptions.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["description"] = f"many {WORDS[i % 8]}"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    said = runner.invoke(app, ["validate", str(folder), *options])
    assert said.exit_code == 0, said.output
    assert "second: 8 neurons" in said.output
    said = runner.invoke(app, ["score", str(folder), *options, "--out", str(results)])
    assert said.exit_code == 0, said.output
    result = read_result(results / "my-method.json")
    assert set(result.splits) == {"first", "second"}
    assert result.splits["first"].scores["content"].value > 0.3
    assert result.board == "small@2"
    assert (results / "sanity" / "first.json").is_file()
    said = runner.invoke(app, ["verify", str(results / "my-method.json"), str(folder), *options])
    assert said.exit_code == 0, said.output
    assert "verified" in said.output


def test_a_template_does_not_overwrite(board: BoardDefinition, tmp_path: Path) -> None:
    assert write_template("a", board, tmp_path / "a", ["second"]) == 8
    with pytest.raises(InputError, match="not empty"):
        write_template("a", board, tmp_path / "a")


def test_a_frozen_board_takes_no_more(board: BoardDefinition, tmp_path: Path) -> None:
    import datetime

    frozen = board.model_copy(update={"frozen": datetime.date(2026, 1, 1)})
    with pytest.raises(InputError, match="frozen since 2026-01-01"):
        write_template("a", frozen, tmp_path / "a")


def test_all_problems_are_told_at_once(
    make: Make, board: BoardDefinition, keys: list[NeuronKey]
) -> None:
    said = dict.fromkeys(keys[1:], "fine") | {keys[1]: " "}
    lines = check(make(said, title="a\u202eb", url="ftp://x", extra=1), board).problems.lines()
    assert len(lines) == 3  # what the table says wrong is told once the metadata can be read
    lines = check(make(said, splits=["first"], training_data=["nowhere"]), board).problems.lines()
    kinds = " | ".join(lines)
    assert "nowhere" in kinds
    assert "is blank" in kinds
    assert "1 of 8 neurons of split first are not described: net/shapes conv1:0" in kinds


def test_lines_are_those_of_the_file(
    make: Make, board: BoardDefinition, keys: list[NeuronKey]
) -> None:
    header = "model,dataset,layer,unit,description\r\n"
    rows = [f"{k.model},{k.dataset},{k.layer},{k.unit},fine\r\n" for k in keys]
    rows[2] = rows[2].replace("fine", '"two\r\nlines"')
    rows[4] = rows[4].replace("fine", "")
    data = (header + "\r\n" + "".join(rows)).encode("utf-8-sig")
    lines = check(make(data=data), board).problems.lines()
    assert [line.split(": ")[0] for line in lines] == ["descriptions.csv:5", "descriptions.csv:8"]


def test_a_split_learnt_from_is_refused_and_the_others_are_scored(
    make: Make, board: BoardDefinition, board_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sent"
    write_template("mine", board, folder)
    text = (folder / "descriptions.csv").read_text()
    (folder / "descriptions.csv").write_text(
        "\n".join(line + ("red" if line.endswith(",") else "") for line in text.splitlines()) + "\n"
    )
    meta = yaml.safe_load((folder / "submission.yaml").read_text())
    (folder / "submission.yaml").write_text(
        yaml.safe_dump({**meta, "training_data": ["first.parquet"]})
    )
    checked = check(folder, board)
    assert not checked.problems, checked.problems.lines()
    assert "trained on first.parquet" in checked.refused["first"]
    assert "second" not in checked.refused
    scored, _, _ = score_submissions([checked], board)
    result = scored["mine"].result
    assert set(result.splits) == {"second"}
    assert result.refused == checked.refused
    alone = make(training_data=["first"])
    with pytest.raises(InputError, match="every split is refused"):
        score_submissions([check(alone, board)], board)


def test_anchors_are_not_refused(make: Make, board: BoardDefinition) -> None:
    assert not check(make(training_data=["first"], kind="control"), board).refused


def test_an_oracle_is_run_by_the_scorer(make: Make, board: BoardDefinition, tmp_path: Path) -> None:
    folder = make(kind="control", describer="oracle", name="oracle")
    assert any("beside a describer" in line for line in check(folder, board).problems.lines())
    (folder / "descriptions.csv").unlink()
    checked = check(folder, board)
    assert not checked.problems, checked.problems.lines()
    scored, tasks, _ = score_submissions([checked], board)
    from benchmark.harness import describe, score
    from milannotations.describer import create

    expected = score(
        {"oracle": checked.submission.method()},  # type: ignore[union-attr]
        tasks,
        {("oracle", "first"): describe(create("oracle"), tasks[0])},
        board.make_metrics(),
    )["oracle"].result.splits["first"]
    assert scored["oracle"].result.splits["first"].scores == expected.scores


def test_two_submissions_of_one_name(make: Make, board: BoardDefinition) -> None:
    checked = check(make(), board)
    with pytest.raises(InputError, match="second submission"):
        score_submissions([checked, checked], board)


def test_the_digest_does_not_depend_on_the_files(
    make: Make, board: BoardDefinition, keys: list[NeuronKey], tmp_path: Path
) -> None:
    said = {key: f"text {i}" for i, key in enumerate(keys)}
    one = check(make(said), board).digest
    other = check(make(dict(reversed(said.items())), where=tmp_path / "b"), board).digest
    changed = check(make({**said, keys[0]: "text"}, where=tmp_path / "c"), board).digest
    assert one == other != changed
    assert check(make(said, seed=1, where=tmp_path / "d"), board).digest != one


TAMPERED = {
    "a score": (lambda r: r["splits"]["first"]["scores"]["content"].update(value=0.99), "value"),
    "an interval": (lambda r: r["splits"]["first"]["scores"]["content"].update(low=0.0), "low"),
    "n": (lambda r: r["splits"]["first"]["scores"]["content"].update(n=7), "n is 7"),
    "a signature": (
        lambda r: r["splits"]["first"]["scores"]["content"].update(signature="x"), "signature"
    ),
    "the neurons": (lambda r: r["splits"]["first"].update(fingerprint="f" * 16), "fingerprint"),
    "a column": (lambda r: r["splits"]["first"]["scores"].pop("bleu-1"), "bleu-1"),
    "a split": (lambda r: r["splits"].update(second=r["splits"]["first"]), "second"),
    "what it saw": (lambda r: r["method"].update(training_data=["demo"]), "training_data"),
    "who made it": (lambda r: r["method"].update(authors="someone"), "authors"),
    "its kind": (lambda r: r["method"].update(kind="human"), "kind"),
    "the board": (lambda r: r.update(board="small@3"), "board"),
    "the submission": (lambda r: r.update(submission="0" * 64), "submission"),
    "the seed": (lambda r: r.update(seed=5), "seed"),
    "what a metric is": (lambda r: r["metrics"]["content"].update(title="Best"), "metrics"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_verify_finds_what_was_changed(
    make: Make, board: BoardDefinition, tmp_path: Path, what: str
) -> None:
    result = _saved(make, board, tmp_path / "results")
    checked = check(tmp_path / "submission", board)
    assert differences(result, checked, board) == ([], [])
    plain = json.loads(result.read_text())
    change, match = TAMPERED[what]
    change(plain)
    result.write_text(json.dumps(plain))
    said, _ = differences(result, checked, board)
    assert any(match in line for line in said), said


@pytest.mark.parametrize("what", ["description", "content", "unit", "lacking"])
def test_verify_reads_every_neuron(
    make: Make, board: BoardDefinition, tmp_path: Path, what: str
) -> None:
    result = _saved(make, board, tmp_path / "results")
    checked = check(tmp_path / "submission", board)
    path = result.with_suffix(".per_neuron.parquet")
    table = pd.read_parquet(path)
    if what == "lacking":
        table = table.iloc[1:]
    else:
        table.loc[3, what] = {"description": "other", "content": 0.123, "unit": 77}[what]
    table.to_parquet(path)
    said, _ = differences(result, checked, board)
    assert "SHA-256" in said[0]
    told = {"description": "descriptions differ", "content": "own values differ"}
    assert any(told.get(what, "other neurons") in line for line in said[1:])


def test_verify_notes_other_versions(make: Make, board: BoardDefinition, tmp_path: Path) -> None:
    result = _saved(make, board, tmp_path / "results")
    save_anew(result, result=lambda r: r["versions"].update(torch="1.0"))
    said, remarks = differences(result, check(tmp_path / "submission", board), board)
    assert said == []
    assert remarks[0].startswith("torch was 1.0")


def test_command_verify_fails_on_a_difference(
    make: Make, board: BoardDefinition, board_folder: Path, tmp_path: Path
) -> None:
    result = _saved(make, board, tmp_path / "results")
    result.write_text(result.read_text().replace('"first"', '"first"').replace("Mine", "Theirs"))
    said = runner.invoke(
        app,
        ["verify", str(result), str(tmp_path / "submission"), "--board", str(board_folder)],
    )
    assert said.exit_code == 1
    assert "differs: method.title" in said.output


def test_compare(make: Make, board: BoardDefinition, keys: list[NeuronKey], tmp_path: Path) -> None:
    results = tmp_path / "results"
    good = load_result(_saved(make, board, results))
    flat = {key: "=red things" + " more" * i for i, key in enumerate(keys)}
    bad = load_result(_saved(make, board, results, said=flat, name="flat", title="Flat"))
    found = compare(good, bad, "first", "content")
    assert found.neurons == 8
    assert found.difference is not None
    ours, theirs = (read_result_files(one.path).per_neuron["content"] for one in (good, bad))
    assert found.difference.value == pytest.approx(ours.mean() - theirs.mean())
    assert list(found.table["difference"].abs()) == sorted(
        found.table["difference"].abs(), reverse=True
    )
    lines = comparison_lines(found, good.method, bad.method, neurons=2)
    assert any(line == "Neurons on which Mine is better by most:" for line in lines)
    write_csv(found, tmp_path / "pairs.csv")
    with (tmp_path / "pairs.csv").open(newline="") as file:
        assert all(row["said_second"].startswith("'=red") for row in csv.DictReader(file))
    corpus = compare(good, bad, "first", "bleu-1")
    assert corpus.difference is None  # BLEU is not a mean over neurons
    with pytest.raises(InputError, match="no bleu on split 'first'"):
        compare(good, bad, "first", "bleu")


def test_compare_refuses_other_signatures(
    make: Make, board: BoardDefinition, tmp_path: Path
) -> None:
    path = _saved(make, board, tmp_path / "results")

    def otherwise(plain: dict[str, Any]) -> None:
        plain["method"]["name"] = "other"
        plain["splits"]["first"]["scores"]["content"]["signature"] = "else"

    other = save_anew(path, result=otherwise)
    with pytest.raises(InputError, match="two signatures"):
        compare(load_result(path), load_result(other), "first", "content")


def test_sanity_is_checked_once(
    make: Make, board: BoardDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tasks, metrics = score_submissions([check(make(), board)], board)
    check_sanity(tasks, metrics, tmp_path, board)
    monkeypatch.setattr("leaderboard.submission.scoring.check_metrics", None)
    (report,) = (tmp_path / "sanity").iterdir()
    lock = lock_file(report)  # as a process leaves it that is killed between renaming and unlocking
    lock.touch()
    check_sanity(tasks, metrics, tmp_path, board)  # what is there holds: nothing is run
    assert not lock.exists()


def test_our_own_rows_are_what_their_submissions_score() -> None:
    """The rows that come with the project, recomputed; the encoder is the packaged one."""
    from leaderboard.definition import read_board

    demo = read_board("demo")
    for name in ("constant", "oracle", "netdissect"):
        checked = check(demo.submissions / name, demo)
        said, _ = differences(demo.results / f"{name}.json", checked, demo)
        assert said == []

"""Tests of reviewing a change that a stranger proposes, and of the workflow that does it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmark.result import read_result
from benchmark.result_files import read_result_files
from leaderboard import definition
from leaderboard.commands import app
from leaderboard.submission.review import changed, review
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from tests.leaderboard.submission.conftest import Make

ROOT = Path(__file__).parents[3]
WORKFLOW = ROOT / ".github" / "workflows" / "submission.yml"
PLACE = "leaderboard/boards/small/submissions"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def installed(board_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The boards of the installed project: the small one alone."""
    boards = tmp_path / "installed"
    shutil.copytree(board_folder, boards / "small")
    monkeypatch.setattr(definition, "BOARDS", boards)
    return boards


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "proposed"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "README.md").write_text("the project")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=base")
    git(folder, "branch", "base")
    return folder


Commit = Callable[[], None]


@pytest.fixture
def commit(checkout: Path) -> Commit:
    def run() -> None:
        git(checkout, "add", "--all")
        git(checkout, "commit", "--quiet", "--message=change")

    return run


def test_a_sound_submission_is_scored(
    make: Make, installed: Path, checkout: Path, commit: Commit, tmp_path: Path
) -> None:
    make(where=checkout / PLACE / "mine")
    commit()
    found = review(checkout, "base", tmp_path / "out")
    assert found.good
    (one,) = found.submissions
    assert (one.board, one.name, one.problems, one.notes) == ("small", "mine", [], [])
    saved = tmp_path / "out" / "results" / "small" / "mine.json"
    assert read_result(saved).splits["first"].scores == one.result.splits["first"].scores  # type: ignore[union-attr]
    assert len(read_result_files(saved).per_neuron) == 8
    text = (tmp_path / "out" / "summary.md").read_text()
    assert "## mine on small is valid" in text
    value = read_result(saved).splits["first"].scores["content"].value
    assert f"| {value:.4f} |" in text


def test_all_of_a_change_is_told(
    make: Make, installed: Path, checkout: Path, commit: Commit, keys: list[NeuronKey],
    tmp_path: Path,
) -> None:  # fmt: skip
    make(where=checkout / PLACE / "mine")
    make({keys[0]: "red things"}, where=checkout / PLACE / "short", name="short")
    make(where=checkout / PLACE / "other-name")
    make(where=checkout / PLACE / "anchor", name="anchor", kind="control")
    make(where=checkout / "leaderboard/boards/nowhere/submissions/lost", name="lost")
    (checkout / PLACE / "mine" / "run.py").write_text("import os")
    (checkout / "setup.py").write_text("evil")
    (installed / "small" / "results").mkdir()
    (installed / "small" / "results" / "anchor.json").write_text("{}")
    commit()
    found = review(checkout, "base", tmp_path / "out")
    assert not found.good
    by_name = {one.name: one for one in found.submissions}
    assert by_name["mine"].problems == ["run.py: not part of a submission; remove it"]
    assert "7 of 8 neurons of split first are not described" in by_name["short"].problems[0]
    assert by_name["other-name"].problems == [
        "submission.yaml: the name is 'mine', but the folder 'other-name'"
    ]
    assert by_name["lost"].problems[0].startswith("there is no board 'nowhere'")
    assert by_name["anchor"].problems == []
    assert by_name["anchor"].notes == [
        "it calls itself an anchor (control)",
        "the board has a row of this name, which it would replace",
    ]
    assert [name for name, one in by_name.items() if one.result] == ["anchor"]
    assert found.others == ["setup.py"]
    text = (tmp_path / "out" / "summary.md").read_text()
    assert "1 other files change" in text


def test_a_board_of_the_stranger_s_is_not_read(
    make: Make, installed: Path, board_folder: Path, checkout: Path, commit: Commit,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A board that is named like a folder beside: the name must not be taken for a path."""
    for path in board_folder.iterdir():
        shutil.copy(path, checkout / path.name)
    make(where=checkout / "leaderboard/boards/proposed/submissions/mine")
    commit()
    monkeypatch.chdir(tmp_path)
    assert (Path("proposed") / "board.yaml").is_file()
    (one,) = review(checkout, "base", tmp_path / "out").submissions
    assert one.problems == ["there is no board 'proposed'"]
    # Nor does a submission choose one so.
    make(where=tmp_path / "sent", board="proposed@1")
    said = CliRunner().invoke(app, ["validate", str(tmp_path / "sent")])
    assert said.exit_code != 0
    assert "proposed@1" in said.output or "is no board" in str(said.exception)


def test_submissions_that_leave_and_links_that_lead_elsewhere(
    make: Make, installed: Path, checkout: Path, commit: Commit, tmp_path: Path
) -> None:
    make(where=checkout / PLACE / "mine")
    commit()
    git(checkout, "branch", "--force", "base")
    shutil.rmtree(checkout / "leaderboard")
    outside = make(where=tmp_path / "outside" / "boards" / "small" / "submissions" / "mine")
    (checkout / "leaderboard").symlink_to(tmp_path / "outside")
    assert (checkout / PLACE / "mine" / "submission.yaml").is_file()
    assert outside.is_dir()
    commit()
    found = review(checkout, "base", tmp_path / "out")
    (one,) = found.submissions
    assert one.notes == ["this change takes it away"]
    assert one.result is None
    assert found.others == ["leaderboard"]


def test_a_link_in_a_file_s_place_is_refused(
    make: Make, installed: Path, checkout: Path, commit: Commit, tmp_path: Path
) -> None:
    make(where=checkout / PLACE / "mine")
    (checkout / PLACE / "mine" / "descriptions.csv").unlink()
    (checkout / PLACE / "mine" / "descriptions.csv").symlink_to("/etc/passwd")
    commit()
    (one,) = review(checkout, "base", tmp_path / "out").submissions
    assert "descriptions.csv: is a link, folder or device; send the file itself" in one.problems
    assert "root" not in (tmp_path / "out" / "summary.md").read_text()


@pytest.mark.parametrize(
    "name",
    ["</h2><script>alert(1)</script>", "a`b", "x\n# Submissions\n", "[a](javascript:b)", "…", "-x"],
)
def test_hostile_names_are_texts_in_the_summary(
    make: Make, installed: Path, checkout: Path, commit: Commit, tmp_path: Path, name: str
) -> None:
    folder = checkout / PLACE
    folder.mkdir(parents=True)
    if "/" in name:  # no name of a file; but a path's parts can be hostile as well
        (folder / "x").mkdir()
        name = "x"
        (folder / "x" / "<script>alert(1)").write_text("")
    make(where=folder / name)
    commit()
    (one,) = review(checkout, "base", tmp_path / "out").submissions
    assert one.problems
    text = (tmp_path / "out" / "summary.md").read_text()
    assert not re.search(r"(?<!\\)<", text)
    assert text.count("\n# ") == 0
    assert "](" not in text.replace("\\](", "").replace("\\]\\(", "")


def test_a_frozen_board_takes_nothing(
    make: Make, installed: Path, checkout: Path, commit: Commit, tmp_path: Path
) -> None:
    path = installed / "small" / "board.yaml"
    path.write_text(path.read_text() + "frozen: 2026-01-31\n")
    make(where=checkout / PLACE / "mine")
    commit()
    (one,) = review(checkout, "base", tmp_path / "out").submissions
    assert one.problems == ["small@2 is frozen since 2026-01-31"]


def test_only_this_project_s_anchors_are_made_of_references(
    make: Make, installed: Path, checkout: Path, commit: Commit, tmp_path: Path
) -> None:
    where = make(where=checkout / PLACE / "mine", kind="control", describer="oracle")
    (where / "descriptions.csv").unlink()
    commit()
    (one,) = review(checkout, "base", tmp_path / "out").submissions
    assert one.problems == ["submission.yaml: describer: only this project's own anchors have one"]


@pytest.mark.parametrize("base", ["nowhere", "--output=/tmp/x", "", "base; true"])
def test_commits_that_there_are_not(checkout: Path, base: str) -> None:
    with pytest.raises(InputError, match=r"is not a commit|git cannot compare"):
        changed(checkout, base)


def test_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="git cannot compare"):
        changed(tmp_path, "main")


def test_the_command(
    make: Make, installed: Path, checkout: Path, commit: Commit, tmp_path: Path
) -> None:
    commit_nothing = CliRunner().invoke(
        app, ["review", str(checkout), "--base", "base", "--out", str(tmp_path / "none")]
    )
    assert commit_nothing.exit_code == 0, commit_nothing.output
    assert "adds or changes none" in commit_nothing.output
    make(where=checkout / PLACE / "mine", splits=["frist"])
    commit()
    said = CliRunner().invoke(
        app, ["review", str(checkout), "--base", "base", "--out", str(tmp_path / "out")]
    )
    assert said.exit_code == 1, said.output
    assert "did you mean" in said.output


def test_the_workflow_gives_a_stranger_nothing() -> None:
    plain = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert set(plain[True]) == {"pull_request"}  # `on`, and not pull_request_target
    assert plain["permissions"] == {"contents": "read"}
    (job,) = plain["jobs"].values()
    assert "permissions" not in job
    assert "secrets." not in WORKFLOW.read_text(encoding="utf-8")
    for step in job["steps"]:
        # What a stranger names must not be put into a command.
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
            # With the history's end alone, git could not tell where the change began.
            assert step["with"]["fetch-depth"] == 0


@pytest.mark.slow
def test_the_workflow_s_commands_run(tmp_path: Path) -> None:
    """Its steps, one after the other in one folder, as the runner would; but on this machine."""
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    steps = {step["name"]: step for step in job["steps"]}
    work = tmp_path / "work"
    (work / "trusted").mkdir(parents=True)
    (work / "trusted" / "README.md").write_text("the project")
    git(work / "trusted", "init", "--quiet", "--initial-branch=main")
    git(work / "trusted", "add", ".")
    git(work / "trusted", "commit", "--quiet", "--message=base")
    base = git(work / "trusted", "rev-parse", "HEAD")
    git(work, "clone", "--quiet", "trusted", "proposed")
    # A row of the board itself under another name, and one with a mistake in it.
    own = ROOT / "leaderboard" / "boards" / "demo" / "submissions" / "compexp"
    place = work / "proposed" / "leaderboard" / "boards" / "demo" / "submissions"
    for name in ("good", "bad"):
        shutil.copytree(own, place / name)
        text = (place / name / "submission.yaml").read_text()
        assert '"compexp"' in text
        (place / name / "submission.yaml").write_text(text.replace('"compexp"', f'"{name}"'))
    with (place / "bad" / "descriptions.csv").open("a") as file:
        file.write("test,synthetic,worlds,nowhere,1,a dog\n")
    git(work / "proposed", "add", ".")
    git(work / "proposed", "commit", "--quiet", "--message=change")
    # What the step "Set up" makes: this environment.
    (work / "venv").mkdir()
    (work / "venv" / "bin").symlink_to(Path(sys.executable).parent)
    report = work / "report.md"
    environment = {**os.environ, "BASE": base, "GITHUB_STEP_SUMMARY": str(report)}
    codes = {}
    for name in ("Bring both histories together", "Review", "Say what was found"):
        done = subprocess.run(
            ["bash", "-e", "-c", steps[name]["run"]], cwd=work, env=environment,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        codes[name] = done.returncode
    assert codes == {"Bring both histories together": 0, "Review": 1, "Say what was found": 0}
    text = report.read_text()
    assert "## good on demo is valid" in text
    assert "## bad on demo cannot be accepted" in text
    assert "nowhere:1" in text
    kept = ROOT / "leaderboard" / "boards" / "demo" / "results" / "compexp.json"
    ours, theirs = read_result(kept), read_result(work / "review/results/demo/good.json")
    for metric, score in ours.splits["test"].scores.items():
        assert theirs.splits["test"].scores[metric].value == pytest.approx(score.value, rel=1e-4)
    assert not (work / "review/results/demo/bad.json").exists()

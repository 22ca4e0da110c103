"""Output that is lost, or that a terminal cannot show, takes no result with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from milannotations.cli import COMMANDS, app
from tests.output.commands import CASES, NO_RESULTS, NOT_RUN, write_inputs, write_tables

ROOT = Path(__file__).parents[2]
_C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
_SCORE = "-m milannotations score --references r.csv --descriptions d.csv --metric bleu --out o"


def _environment(**variables: str) -> dict[str, str]:
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return usual | {"HF_HUB_OFFLINE": "1", "COLUMNS": "100", "PYTHONPATH": path} | variables


def _run_cases(folder: Path, way: str, **variables: str) -> list[dict[str, Any]]:
    work, report = folder / "work", folder / "report.json"
    work.mkdir()
    write_inputs(work)
    environment = _environment(MILANNOTATIONS_HOME=str(folder / "home"), **variables)
    command = [sys.executable, "-m", "tests.output.run_cases", way, work, report]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, timeout=500,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    ended: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))
    assert len(ended) == len(CASES)
    return ended


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "variables"),
    [
        ("fine", _C_LOCALE),
        ("first word", {}),
        ("full", {"PYTHONIOENCODING": "ascii"}),
    ],
)
def test_every_command_writes_its_results(
    way: str, variables: dict[str, str], tmp_path: Path
) -> None:
    for ended in _run_cases(tmp_path, way, **variables):
        assert not ended["problem"], ended
        assert not ended["missing"], ended
        assert "Traceback" not in ended["errors"], ended
        assert ended["status"] == (2 if way == "full" else 0), ended
        assert ("error: output was lost" in ended["errors"]) == (way == "full"), ended


def test_every_command_is_tried_or_named() -> None:
    tried = {case.name for case in CASES}
    for name in COMMANDS:
        group = typer.main.get_command(app)
        context = type(group).context_class(group)  # type: ignore[attr-defined]
        _, command, _ = group.resolve_command(context, [name])  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {}) if name in ("leaderboard", "experiment") else {}
        for one in [f"{name} {sub}" for sub in inner] or [name]:
            assert one in tried | NO_RESULTS | set(NOT_RUN), one


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    write_tables(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "variables"),
    [
        ("| head -n 1 >/dev/null; exit ${PIPESTATUS[0]}", {}),
        ("2>&- >&-", {}),
        ("2>&1 | true; exit ${PIPESTATUS[0]}", {}),
        (">out.txt", {"PYTHONIOENCODING": "cp1252"}),
    ],
)
def test_score_in_a_shell(tables: Path, ending: str, variables: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} {_SCORE} --no-sanity {ending}"], cwd=tables,
        env=_environment(**variables), capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert (tables / "o" / "d.json").is_file()
    assert (tables / "o" / "comparisons" / "r.csv").is_file()
    if ending == ">out.txt":
        shown = (tables / "out.txt").read_text(encoding="cp1252")
        assert "human (one annotator held out)" in shown
        assert "a red dog >= 0" in shown  # the most frequent reference, with a ≥

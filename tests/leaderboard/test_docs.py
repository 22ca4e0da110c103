"""docs/submitting.md, done as it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.result import read_result

PAGE = Path(__file__).parents[2] / "docs" / "submitting.md"


@pytest.mark.slow
def test_a_newcomer_gets_from_nothing_to_a_verified_row(tmp_path: Path) -> None:
    """Every command of its first block, with the program that it shows as ``fill.py``."""
    text = PAGE.read_text(encoding="utf-8")
    commands = re.search(r"```console\n(.*?)```", text, re.DOTALL)
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert commands and program
    (tmp_path / "fill.py").write_text(program[1])
    lines = commands[1].strip().splitlines()
    assert [line.split()[2] for line in lines if "leaderboard" in line] == [
        "init", "validate", "score", "render", "verify",
    ]  # fmt: skip
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said = ""
    for line in lines:
        done = subprocess.run(
            shlex.split(line, comments=True), cwd=tmp_path, env=environment,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        said += done.stdout
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert "valid: submissions/my-method" in said
    assert "verified: results/my-method.json" in said
    score = read_result(tmp_path / "results" / "my-method.json").splits["test"].scores
    # A colour's name is little better than chance, and far from the oracle's .95.
    assert 0.52 < score["identification"].value < 0.9
    page = (tmp_path / "site" / "methods" / "my-method.html").read_text(encoding="utf-8")
    assert "Best and worst neurons" in page

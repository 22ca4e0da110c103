"""A user's own files with the names of our packages: all works, or one sentence names the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = ("benchmark", "baselines", "applications", "leaderboard")
LISTING = ("describe", "--method", "constant", "--help-options")
# What setuptools writes as bin/milannotations.
SCRIPT = "import sys\nfrom milannotations.cli import main\nsys.exit(main())\n"


def _file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text("raise SystemExit('the file of the user is run')\n")
    return path


def _package(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise SystemExit('the file of the user is run')\n")
    return folder / name


Make = Callable[[Path, str], Path]


def python(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with this project installed."""
    others = [entry for entry in sys.path if entry and Path(entry) != ROOT]
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=folder,
        check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*others, str(ROOT)])},
    )  # fmt: skip


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The console script, in a folder of its own."""
    path = tmp_path / "bin" / "milannotations"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The user's working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("make", [_file, _package])
def test_commands_work_beside_files_of_all_names(work: Path, script: Path, make: Make) -> None:
    for name in NAMES:
        make(work, name)
    for start in ([script], ["-m", "milannotations"]):
        done = python(work, *start, *LISTING)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("constant: The same")
        for command in ("score", "leaderboard", "experiment"):
            assert python(work, *start, command, "--help").returncode == 0


def test_the_console_script_works_beside_a_file_of_our_own_name(work: Path, script: Path) -> None:
    _file(work, "milannotations")
    assert python(work, script, *LISTING).stdout.startswith("constant: The same")


@pytest.mark.parametrize("make", [_file, _package])
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_told_which_file_is_in_the_way(work: Path, name: str, make: Make) -> None:
    path = make(work, name)
    # What is above the package in the order of the layers needs it; milannotations does not.
    above = ["leaderboard", "applications", "baselines", "benchmark"]
    for package in above[: above.index(name)]:
        done = python(work, "-c", f"import milannotations, {package}")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            f"milannotations.shadowing.ShadowedPackageError: {path} hides the package {name!r} of "
            "milannotations: rename it, or run Python in another folder"
        )


def test_a_notebook_with_baselines_of_its_own(work: Path) -> None:
    path = _file(work, "baselines")
    code = "import milannotations.describer as d\nprint(d.DescriberFactory)\nd.create('constant')"
    done = python(work, "-c", code)
    assert done.stdout
    assert f"{path} hides the package 'baselines' of milannotations" in done.stderr


def test_a_notebook_with_a_file_of_our_own_name(work: Path) -> None:
    """Python runs the user's file; what needs ours says which file that is."""
    path = work / "milannotations.py"
    path.write_text("")
    for package in NAMES:
        done = python(work, "-c", f"import {package}")
        assert "cannot import name 'require_own_packages' from 'milannotations'" in done.stderr
        assert str(path) in done.stderr.splitlines()[-1]

"""``milannotations quality``, as users call it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.quality.commands import app
from benchmark.quality.figures import NAMES
from benchmark.quality.schema import read_quality
from milannotations.errors import InputError
from tests.benchmark.quality.records import Maker, dataset


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def _csv(folder: Path) -> Path:
    path = folder / "mine.csv"
    rows = [f"layer{u % 2},{u},{t}" for u in range(6) for t in ("a dog", "N/A", f"cat {u}")]
    path.write_text("\n".join(["layer,unit,summary", *rows]) + "\n")
    return path


def test_a_csv_of_annotations(tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    said = _run(_csv(tmp_path), "--out", out)
    assert {path.name for path in out.iterdir()} == {"quality.json", "quality.md", *NAMES[:3]}
    found = read_quality(out / "quality.json")
    assert (found.name, found.total.counts.annotations) == ("mine.csv", 18)
    assert found.total.text.junk["placeholder"].count == 6
    markdown = (out / "quality.md").read_text()
    assert markdown.startswith("Data: mine.csv, data fingerprint")
    assert str(tmp_path) not in markdown + (out / "quality.json").read_text()
    assert "layer0" in said
    assert "layer1:1 “N/A”" in said
    _run(_csv(tmp_path), "--out", out)  # and again, over the old one


def test_a_folder_of_records(record: Maker, tmp_path: Path) -> None:
    dataset([record(unit) for unit in range(4)]).to_parquet(tmp_path / "data" / "train.parquet")
    said = _run(tmp_path / "data")
    assert "8 images, 8 masks; sizes: 32 × 32 px (8)" in said


def test_several_splits_need_a_choice() -> None:
    with pytest.raises(InputError, match=r"\['network', 'test', .*--split"):
        _run("demo")
    with pytest.raises(InputError, match="tset"):
        _run("demo", "--split", "tset")


def test_mistakes_are_found_before_work(tmp_path: Path) -> None:
    path = _csv(tmp_path)
    with pytest.raises(InputError, match=r"no\.csv"):
        _run(tmp_path / "no.csv")
    with pytest.raises(InputError, match=r"mine\.csv"):
        _run(path, "--out", path)
    with pytest.raises(InputError, match="encoder"):
        _run(path, "--encoder", "./nowhere", "--out", tmp_path / "out")


def test_help_does_not_import_torch() -> None:
    code = "import sys, benchmark.quality.commands; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"

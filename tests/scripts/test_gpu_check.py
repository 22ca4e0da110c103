"""``make gpu-check``, in the small form that compares the CPU with itself."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PERF = Path(__file__).parents[2] / "perf"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(PERF))
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))  # restored afterwards
    return importlib.import_module("gpu")


def _run(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, *checks: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", *checks, "--device", "cpu"])
    gpu.main()


def test_quick_checks_pass(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(gpu, monkeypatch, "bertscore", "counting")
    printed = capsys.readouterr().out
    assert printed.startswith("no GPU; torch ")
    assert "| BERTScore, the architecture of roberta-large |" in printed
    assert "3 of 3 pass" in printed


@pytest.mark.slow
def test_all_checks_pass(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(gpu, monkeypatch)
    assert "22 of 22 pass" in capsys.readouterr().out


def test_a_difference_above_the_tolerance_fails(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        gpu.DeviceComparison("near", 1e-4, 1e-3),
        gpu.DeviceComparison("far", 1e-2, 1e-3),
        gpu.DeviceComparison("nan", math.nan, 1),
    ]
    monkeypatch.setattr(gpu.gpu_describers, "milan", lambda *_: iter(rows))
    with pytest.raises(SystemExit, match=r"failed: far; nan$"):
        _run(gpu, monkeypatch, "milan")


def test_an_error_fails_and_lets_other_checks_run(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> Iterator[object]:
        yield gpu.DeviceComparison("before", 0, 0)
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(gpu.gpu_describers, "milan", stop)
    with pytest.raises(SystemExit, match=r"failed: milan$"):
        _run(gpu, monkeypatch, "milan", "counting")
    output = capsys.readouterr()
    assert "3 of 4 pass" in output.out
    assert "no kernel image is available" in output.err

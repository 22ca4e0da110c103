"""A small release in the original layout, with one layer named as a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from milannotations.worlds.release import write_release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Two layers of 5 and 3 units, 2 exemplars of 8 × 8, with images."""
    folder = tmp_path / "alexnet-imagenet"
    write_release(folder, {"conv1": 5, "4": 3}, k=2, size=8)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the project that no other test sees."""
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"

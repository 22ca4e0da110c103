"""The registry of fingerprints, and what is shipped in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import DatasetDict

from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint, known_as, record_fingerprint, registered
from milannotations.loading import load


def test_the_demo_has_the_fingerprints_that_are_shipped() -> None:
    neurons = load("demo")
    assert isinstance(neurons, DatasetDict)
    found = {f"demo/{split}": fingerprint(part) for split, part in neurons.items()}
    shipped = json.loads(
        (Path(__file__).parents[2] / "milannotations" / "data" / "fingerprints.json").read_text()
    )
    assert found == shipped
    assert [known_as(value) for value in found.values()] == list(found)


def test_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    assert known_as("0123456789abcdef") is None
    record_fingerprint("alexnet-imagenet", "0123456789abcdef")
    record_fingerprint("alexnet-places365", "ffff456789abcdef")
    assert known_as("0123456789abcdef") == "alexnet-imagenet"
    shipped = registered()["demo/test"]
    record_fingerprint("demo/test", "eeee456789abcdef")
    assert registered()["demo/test"] == shipped  # what is shipped cannot be talked over


def test_a_damaged_registry_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path))
    (tmp_path / "fingerprints.json").write_text("{")
    with pytest.raises(InputError, match=r"fingerprints\.json.*delete it"):
        known_as("0123456789abcdef")


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(InputError, match="set MILANNOTATIONS_HOME"):
        record_fingerprint("alexnet-imagenet", "0123456789abcdef")

"""Exports that the original code would misread are told, and only those."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from typer.testing import CliRunner

from milannotations.folder import write_card, write_records
from milannotations.loading import load_split
from milannotations.release_export.commands import app
from milannotations.release_export.exporter import export_release
from milannotations.release_export.pitfalls import original_pitfalls
from tests.milannotations.viewer.records import make_record


def _neurons(tmp_path: Path, units: dict[str, list[int]]) -> Dataset:
    folder = tmp_path / "data-set"
    (folder / "data").mkdir(parents=True)
    records = [
        make_record(layer, unit, k=2, annotations=[f"{layer} {unit}"] * 3)
        for layer, numbers in units.items()
        for unit in numbers
    ]
    write_records(folder / "data" / "train.parquet", records)
    write_card(folder, "A dataset", "Made for a test.")
    return load_split(str(folder))


def _paired_by_position(folder: Path) -> dict[tuple[str, int], bool | None]:
    """Return for each annotated unit whether position ``unit`` holds it; None if there is none."""
    with (folder / "annotations.csv").open(newline="") as file:
        annotated = {(row["layer"], int(row["unit"])) for row in csv.DictReader(file)}
    paired: dict[tuple[str, int], bool | None] = {}
    for layer, unit in annotated:
        images = np.load(folder / layer / "images.npy")
        file_of_units = folder / layer / "units.npy"
        units = np.load(file_of_units) if file_of_units.exists() else np.arange(len(images))
        paired[layer, unit] = bool(units[unit] == unit) if unit < len(units) else None
    return paired


@pytest.mark.parametrize(
    ("units", "displaced"),
    [
        ({"conv1": [0, 1, 2], "conv2": [0, 1]}, {}),
        ({"conv1": [0, 1, 2], "conv2": [0, 2, 3]}, {"conv2": (2, 3)}),
        ({"conv1": [1, 0, 2]}, {"conv1": (2, 3)}),
        ({"conv1": [5, 6]}, {"conv1": (2, 2)}),
    ],
)
def test_a_warning_where_units_are_not_at_their_positions(
    units: dict[str, list[int]], displaced: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    report = export_release(_neurons(tmp_path, units), tmp_path / "out")
    wrong = [key for key, right in _paired_by_position(tmp_path / "out").items() if not right]
    assert len(wrong) == sum(count for count, _ in displaced.values())
    assert len(report.warnings) == (1 if wrong else 0)
    for layer, (count, of) in displaced.items():
        assert f"{layer} ({count} of {of} units)" in report.warnings[0]
        assert "annotation_count=None" in report.warnings[0]


def test_layers_that_are_numbers() -> None:
    (warning,) = original_pitfalls({"0": [0, 1], "4": [0], "conv1": [0]})
    assert "names of layers 0, 4 are numbers" in warning
    assert "load with a count" in warning
    assert len(original_pitfalls({"4": [2]})) == 2
    (warning,) = original_pitfalls({f"conv{number}": [1] for number in range(5)})
    assert "conv2 (1 of 1 units) and 2 more. The" in warning


def test_the_command_says_so(tmp_path: Path) -> None:
    _neurons(tmp_path, {"conv1": [3, 4]})
    result = CliRunner().invoke(
        app, [str(tmp_path / "data-set"), "--out", str(tmp_path / "out.zip")]
    )
    assert result.exit_code == 0
    warning = "warning: units do not stand at the position of their number: conv1 (2 of 2 units)"
    assert warning in result.output

"""Builds of some units of each layer: the same records as of all units, without the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from milannotations.catalog.models import LoadedModel, load_model
from milannotations.errors import InputError
from milannotations.exemplars.build import build, build_shard, merge, shards_in
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest, DatasetRequest
from milannotations.inputs.sources import ImageFolder
from milannotations.record import NeuronKey
from milannotations.units import UnitSelection
from milannotations.viewer.choice import choose
from tests.milannotations.exemplars.networks import IDENTITY
from tests.milannotations.exemplars.test_commands import _built
from tests.milannotations.exemplars.test_resume import load_rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:3", [0, 1, 2]),
        (":", list(range(12))),
        ("::5", [0, 5, 10]),
        ("-2:", [10, 11]),
        ("8:100", [8, 9, 10, 11]),
        ("7, 3,3,-1", [3, 7, 11]),
        ("0-2", [0, 1, 2]),
        ("1:4,9", [1, 2, 3, 9]),
    ],
)
def test_numbers_and_ranges(text: str, expected: list[int]) -> None:
    assert UnitSelection.parse(text).of(12, "conv") == expected


@pytest.mark.parametrize("text", ["", "a", "1,,2", "3-1", "0:4:0", "1.5", "0:4:-1"])
def test_what_is_not_so_written(text: str) -> None:
    with pytest.raises(InputError, match="as 0:100"):
        UnitSelection.parse(text)


def test_units_that_a_layer_lacks() -> None:
    with pytest.raises(InputError, match="layer 'conv' has units 0 to 11, no 12"):
        UnitSelection.parse("3,12").of(12, "conv")
    with pytest.raises(InputError, match="leaves none of the 12 units of 'conv'"):
        UnitSelection.parse("12:").of(12, "conv")


class Two(nn.Module):
    """Layers of twelve and of four units."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.conv = nn.Conv2d(3, 12, 3)
        self.head = nn.Conv2d(12, 4, 5, stride=4)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.conv(x))
        return result


def loaded() -> LoadedModel:
    return LoadedModel(Two(), "two", "none", IDENTITY, layers=("conv", "head"), units="2:4")


def _build(squares: Path, out: Path, units: str | None) -> list[dict[str, Any]]:
    source = ImageFolder(squares, IDENTITY)
    options = BuildOptions(k=3, units=units, batch_size=8)
    build(
        BuildRequest(
            module=Two(),
            source=source,
            layers=["conv", "head"],
            out=out,
            model="two",
            dataset="none",
            options=options,
        )
    )
    return load_rows(out)


def test_some_units_have_the_records_that_they_have_among_all(
    squares: Path, tmp_path: Path
) -> None:
    keys = [("conv", unit) for unit in range(12)] + [("head", unit) for unit in range(4)]
    whole = dict(zip(keys, _build(squares, tmp_path / "whole", None), strict=True))
    statistics = pq.read_table(tmp_path / "whole" / "statistics.parquet").to_pylist()
    choices = [
        ("1:4", [1, 2, 3], [1, 2, 3]), ("0,3,-1", [0, 3, 11], [0, 3]),
        ("::2", [0, 2, 4, 6, 8, 10], [0, 2]),
    ]  # fmt: skip
    for number, (units, conv, head) in enumerate(choices):
        out = tmp_path / str(number)
        rows = _build(squares, out, units)
        expected = [("conv", unit) for unit in conv] + [("head", unit) for unit in head]
        assert [row["unit"] for row in rows] == [*conv, *head]
        assert rows == [whole[key] for key in expected]
        kept = pq.read_table(out / "statistics.parquet").to_pylist()
        assert kept == [row for row in statistics if (row["layer"], row["unit"]) in expected]
        facts = json.loads((out / "build.json").read_text())
        assert facts["units"]["conv"] == conv
        assert facts["layers"]["conv"][0] == len(conv)
        assert facts["options"]["units"] == units


def test_shards_of_some_units_merge_and_others_do_not(squares: Path, tmp_path: Path) -> None:
    source = ImageFolder(squares, IDENTITY)

    def shard(number: int, units: str) -> None:
        options = BuildOptions(k=3, units=units, batch_size=8)
        build_shard(
            BuildRequest(
                module=Two(),
                source=source,
                layers=["conv", "head"],
                out=tmp_path / "shards",
                model="two",
                dataset="none",
                options=options,
            ),
            (number, 2),
        )

    shard(1, "1:4")
    shard(2, "1:3")
    paths = shards_in(tmp_path / "shards")
    with pytest.raises(InputError, match="units"):
        merge(
            DatasetRequest(source=source, out=tmp_path / "merged", options=BuildOptions(k=3)), paths
        )
    paths[1].unlink()
    shard(2, "1:4")
    merge(DatasetRequest(source=source, out=tmp_path / "merged", options=BuildOptions(k=3)), paths)
    assert load_rows(tmp_path / "merged") == _build(squares, tmp_path / "whole", "1:4")


def test_units_on_the_command_line_and_of_a_catalog_entry(squares: Path, tmp_path: Path) -> None:
    model = ["--model", f"{__name__}:loaded", "--images", str(squares), "--device", "cpu"]
    cases: list[tuple[list[str], list[int]]] = [
        ([], [2, 3, 2, 3]),
        (["--units", ":2"], [0, 1, 0, 1]),
        (["--units", ":", "--layers", "head"], [0, 1, 2, 3]),
        (["--layers", "head"], [0, 1, 2, 3]),  # the choice is of the entry's own layers
    ]
    for number, (options, expected) in enumerate(cases):
        out = tmp_path / str(number)
        _built(out, *model, *options)
        assert [row["unit"] for row in load_rows(out)] == expected
    with pytest.raises(InputError, match="layer 'head' has units 0 to 3, no 11"):
        _built(tmp_path / "none", *model, "--units", "11")
    # The original published 100 units of each of DINO's layers.
    assert load_model("dino_vits8", "random").units == "0:100"


def test_pages_take_the_same_ranges() -> None:
    keys = [NeuronKey("m", "d", "conv", unit) for unit in range(6)]
    for text, expected in (("0:2", (0, 1)), ("0-2,5", (0, 1, 2, 5)), ("4", (4,))):
        assert choose(keys, units=text)[0].units == expected
    for text in ("2:2", "3-1", "x"):
        with pytest.raises(InputError, match="such as 0:100 or 0-99,512"):
            choose(keys, units=text)

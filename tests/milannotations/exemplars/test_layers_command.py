"""``milannotations layers``: what can be named, in 80 columns."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn
from typer.testing import CliRunner

from milannotations.catalog.models import LoadedModel, load_model
from milannotations.exemplars.layers_command import app
from milannotations.exemplars.listing import list_layers, table
from tests.milannotations.exemplars.networks import IDENTITY, Colours


def _lines(*arguments: str) -> list[str]:
    done = CliRunner().invoke(app, arguments)
    if done.exception:
        raise done.exception
    return done.stdout.splitlines()


def test_layers_of_a_network_with_their_units_and_maps() -> None:
    lines = _lines("resnet18", "--layers", "layer4*", "--layers", "conv1,fc")
    rows = [line.split() for line in lines]
    assert ["conv1", "Conv2d", "maps", "64", "112", "×", "112"] in rows
    assert ["layer4", "Sequential", "maps", "512", "7", "×", "7"] in rows
    assert ["fc", "Linear", "vector", "1000", "one", "value"] in rows
    assert ["layer4.0.relu", "ReLU", "not", "usable:", "run", "more", "than", "once"] in rows
    assert lines[-2] == "16 of 18 layers can be used, with 8,232 units"
    assert lines[-1] == "dissected if none is named: conv1, layer1, layer2, layer3, layer4"
    assert max(map(len, lines)) <= 80


def test_other_inputs() -> None:
    lines = _lines("resnet18", "--layers", "layer4", "--input-size", "64x96")
    assert "2 × 3" in lines[1]


def test_generators_have_layers_too() -> None:
    loaded = load_model("tests.milannotations.exemplars.test_generators:lamps")
    assert all(layer.point for layer in list_layers(loaded))


class Long(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        inner: nn.Module = nn.Conv2d(3, 8, 1)
        for _ in range(9):
            inner = nn.Sequential(nn.Sequential(), inner)
        self.a_network_of_many_names = inner

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.a_network_of_many_names(x)
        return result


@pytest.mark.parametrize("make", [Long, Colours])
def test_names_are_never_cut_nor_lines_wider_than_80(make: Any) -> None:
    layers = list_layers(LoadedModel(make(), "own", "none", IDENTITY))
    lines = table(layers)
    for layer in layers:
        assert any(line.split(" ")[0] == layer.name for line in lines)
        assert len(layer.name) < 80
    assert max(map(len, lines)) <= 80
    usable = [layer for layer in layers if layer.point]
    assert sum("64 × 64" in line for line in lines) == sum(
        (layer.point.height, layer.point.width) == (64, 64) for layer in usable if layer.point
    )

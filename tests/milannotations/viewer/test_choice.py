"""Tests of which units are shown, in what order, and what their layers are called."""

from __future__ import annotations

import re

import pytest

from milannotations.errors import InputError
from milannotations.record import NeuronKey
from milannotations.viewer.choice import choose


def keys(*layers: str, units: int = 3, model: str = "net") -> list[NeuronKey]:
    return [NeuronKey(model, "data", layer, unit) for layer in layers for unit in range(units)]


def test_layers_keep_their_order_and_units_are_sorted() -> None:
    mixed = [NeuronKey("m", "d", "b", 9), NeuronKey("m", "d", "a", 1), NeuronKey("m", "d", "b", 2)]
    chosen = choose(mixed)
    assert [(layer.name, layer.units, layer.rows) for layer in chosen] == [
        ("b", (2, 9), (2, 0)),
        ("a", (1,), (1,)),
    ]
    assert chosen[0].key(1) == mixed[0]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["layer*"], ["layer1", "layer2"]),
        (["conv1", "layer2"], ["conv1", "layer2"]),
        (["blocks[0]"], ["blocks[0]"]),  # a name is taken as it is, whatever it would match
    ],
)
def test_layers_are_names_or_patterns(patterns: list[str], expected: list[str]) -> None:
    chosen = choose(keys("conv1", "layer1", "layer2", "blocks[0]"), patterns)
    assert [layer.name for layer in chosen] == expected


def test_units_are_numbers_and_ranges() -> None:
    (layer,) = choose(keys("conv1", units=20), units="0, 3-5,19,40-90")
    assert layer.units == (0, 3, 4, 5, 19)


@pytest.mark.parametrize("units", ["", "a", "5-2", "1,,2", "-3", "1-", "9" * 12, "²"])
def test_units_that_make_no_sense_are_refused(units: str) -> None:
    with pytest.raises(InputError, match="write numbers and ranges, such as 0:100 or 0-99,512"):
        choose(keys("conv1"), units=units)


def test_a_layer_that_matches_nothing_is_named_with_near_ones() -> None:
    with pytest.raises(InputError, match="no layer matches 'layer9'; did you mean 'layer1'"):
        choose(keys("conv1", "layer1"), ["conv1", "layer9"])


def test_units_that_are_in_no_layer_are_refused() -> None:
    with pytest.raises(InputError, match="in --units 7-9"):
        choose(keys("conv1"), units="7-9")


def test_a_neuron_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"net-data conv1:0 is there twice.*--split"):
        choose(keys("conv1") + keys("conv1", units=1))


def test_layers_of_several_networks_are_told_apart() -> None:
    chosen = choose(keys("conv1", "fc") + keys("conv1", model="other"))
    assert [layer.label for layer in chosen] == ["net-data:conv1", "fc", "other-data:conv1"]


def test_folders_are_safe_and_unique_and_so_are_labels() -> None:
    names = [
        "../../etc",
        "a/b",
        "a_b",
        "a\\b",
        "CON",
        "",
        ".",
        "\u202e",
        "é" * 300,
        "<b>",
        "x" * 99,
    ]
    chosen = choose(keys(*names, "a\u202e/b", units=1))
    folders = [layer.folder for layer in chosen]
    assert len(set(folders)) == len(folders)
    assert all(re.fullmatch(r"\d{3}-[A-Za-z0-9_-]{1,60}", folder) for folder in folders)
    labels = [layer.label for layer in chosen]
    assert len(set(labels)) == len(labels)
    assert "a/b" in labels
    assert "a/b (2)" in labels  # it reads the same without its hidden character
    assert not any("\u202e" in label for label in labels)

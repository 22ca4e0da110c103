"""Splits: the published files, what they hold, and what they leak."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image
from typer.testing import CliRunner

from benchmark.splits import FAMILIES, published, splits_of
from benchmark.splits.categories import CATEGORIES, by_category, category_of
from benchmark.splits.definitions import PUBLISHED, Network, Selection, as_json
from benchmark.splits.leakage import leakage
from benchmark.splits.released import released
from benchmark.splits.selecting import select
from milannotations.annotations import to_dataset
from milannotations.catalog.releases import GROUPS, RELEASES
from milannotations.cli import app
from milannotations.errors import InputError
from milannotations.record import FEATURES, NeuronKey, encode_image, encode_mask


@pytest.mark.parametrize("family", FAMILIES)
def test_published_files_are_made_anew_from_the_catalog(family: str) -> None:
    made = splits_of(family, released())
    assert as_json(family, made) == (PUBLISHED / f"{family}.json").read_text(encoding="utf-8")
    assert published(family) == made
    assert len({split.name for split in made}) == len(made) > 0


def test_within_a_network_a_tenth_of_each_layer_is_held_out() -> None:
    found = published("within-network")
    assert [split.name for split in found] == list(GROUPS["base"])
    for split in found:
        (learn,), (held,) = split.learn, split.describe
        assert learn.units is not None and held.units is not None
        for layer, units in RELEASES[split.name].layers.items():
            together = sorted(learn.units[layer] + held.units[layer])
            assert together == list(range(units))
            assert len(held.units[layer]) == round(0.1 * units)
    others = splits_of("within-network", released(), seed=1)
    assert others[0].describe != found[0].describe


def test_families_are_those_of_the_paper() -> None:
    sides = {family: [(s.train, s.test) for s in published(family)] for family in FAMILIES}
    assert sides["across-network"] == [("alexnet", "resnet152"), ("resnet152", "alexnet")]
    assert sides["across-dataset"] == [("imagenet", "places365"), ("places365", "imagenet")]
    assert sides["across-task"] == [("cls", "gen"), ("gen", "cls")]
    assert sides["across-architecture"] == [("base", "dino_vits8-imagenet")]
    for split in published("leave-one-out"):
        configs = {selection.config for selection in split.learn}
        assert configs == set(GROUPS[f"not-{split.test}"])
        assert [selection.config for selection in split.describe] == [split.test]
    (across,) = (s for s in published("across-task") if s.train == "gen")
    assert {s.config for s in across.learn} == set(GROUPS["gen"])
    (deep,) = (s for s in published("across-depth") if s.train == "shallow")
    units = {s.config: set(s.units or {}) for s in deep.learn}
    assert units["alexnet-imagenet"] == {"conv1", "conv2"}
    with pytest.raises(InputError, match="did you mean 'across-task'"):
        splits_of("across-tasks", ())


def test_a_layer_of_few_units_gives_at_least_one() -> None:
    network = Network("a-b", "a", "b", {"x": [3, 4, 7]})
    (split,) = splits_of("within-network", [network])
    assert split.learn[0].units is not None and split.describe[0].units is not None
    assert len(split.describe[0].units["x"]) == 1
    assert sorted(split.learn[0].units["x"] + split.describe[0].units["x"]) == [3, 4, 7]


def neurons(units: list[int], model: str = "m") -> Dataset:
    return to_dataset(
        {NeuronKey(model, "d", "l", unit): [f"thing {unit}", "things"] for unit in units}
    )


def test_selecting_names_what_is_missing() -> None:
    load = {"m-d": neurons([0, 1, 2, 3]), "n-d": neurons([0], "n")}.__getitem__
    found = select([Selection(config="m-d", units={"l": [1, 3]}), Selection(config="n-d")], load)
    assert list(zip(found["model"], found["unit"], strict=True)) == [("m", 1), ("m", 3), ("n", 0)]
    assert found.features == FEATURES
    with pytest.raises(InputError, match="m-d has 1 of the 2 neurons"):
        select([Selection(config="m-d", units={"l": [1, 9]})], load)


def seen(unit: int, shades: list[int], texts: list[str], attached: bool) -> dict[str, object]:
    size = (8, 8)
    return {
        "model": "m", "dataset": "d", "layer": "l", "unit": unit,
        "images": [
            {"bytes": encode_image(Image.new("RGB", size, (shade,) * 3), "png"), "path": None}
            for shade in shades if attached
        ],
        "masks": [{"bytes": encode_mask(np.ones(size, bool)), "path": None} for _ in shades],
        "activations": [1.0] * len(shades), "image_ids": shades, "threshold": 0.5,
        "annotations": texts,
    }  # fmt: skip


@pytest.mark.parametrize("attached", [True, False])
def test_leaks_by_hand(attached: bool) -> None:
    train = [seen(0, [1, 2], ["Dogs.", "cats"], attached), seen(1, [3, 4], ["fur"], attached)]
    test = [seen(1, [4, 9], ["dogs", "birds"], attached), seen(2, [7, 8], [" FUR."], attached)]
    found = leakage(*(Dataset.from_list(rows, features=FEATURES) for rows in (train, test)))
    assert found.neurons == 1
    assert found.shared_images == 1 / 4
    assert found.neurons_with_images == 1 / 2
    assert found.shared_annotations == 2 / 3
    assert "1 neurons are in training AND test" in found.lines()[-1]
    bare = leakage(neurons([0]), neurons([1]))
    assert bare.shared_images is None and bare.shared_annotations == 1 / 2


def test_categories() -> None:
    assert category_of(["the color red", "red things", "dogs"]) == "colors"
    assert category_of(["spoons", "forks"]) == "objects"
    assert category_of([" .", ""]) is None
    found = by_category(
        to_dataset({NeuronKey("m", "d", "l", i): [t] for i, t in enumerate(["dog", "red", "cat"])})
    )
    assert {name: part["unit"][:] for name, part in found.items()} == {
        "animals": [0, 2], "colors": [1],
    }  # fmt: skip
    assert set(found) <= set(CATEGORIES)


def test_the_commands() -> None:
    listed = CliRunner().invoke(app, ["splits", "list", "across-architecture"])
    assert listed.exit_code == 0 and "19,072" in listed.output and "1,200" in listed.output
    counted = CliRunner().invoke(app, ["splits", "categories", "demo", "--split", "test"])
    assert counted.exit_code == 0 and "shapes" in counted.output
    wrong = CliRunner().invoke(app, ["splits", "check", "within-network", "--name", "alexnet"])
    assert isinstance(wrong.exception, InputError) or wrong.exit_code != 0

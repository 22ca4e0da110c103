"""Importance of properties, on a network of which it is known which units matter."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from applications.analysis.class_accuracy import (
    class_rows,
    class_table,
    classes_in,
    differences,
)
from applications.analysis.property_importance import (
    RANDOM,
    AblationSchedule,
    curve_table,
    directions_of,
    importance,
    importance_table,
    nested,
    ranks,
)
from applications.labelled import AblationEvaluator, ClassImages
from milannotations.errors import InputError
from milannotations.hook_points.matching import find_hook_points
from milannotations.inputs.preprocessing import Preprocessing

PLAIN = Preprocessing(4, 4, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Voters(nn.Module):
    """Ten units see red or green; the first four of ``early`` decide, the rest do nothing."""

    def __init__(self):
        super().__init__()
        self.early = nn.Conv2d(3, 10, 1, bias=False)
        self.late = nn.Conv2d(10, 10, 1, bias=False)
        self.fc = nn.Linear(10, 2, bias=False)
        for weight in (self.early.weight, self.late.weight, self.fc.weight):
            weight.data.zero_()
        for unit in range(10):
            self.early.weight.data[unit, unit % 2] = 1.0
            self.late.weight.data[unit, unit] = 1.0
        for unit in range(4):
            self.fc.weight.data[unit % 2, unit] = 1.0

    def forward(self, x):
        return self.fc(self.late(self.early(x)).mean((2, 3)))


@pytest.fixture
def bench(tmp_path):
    rng = np.random.default_rng(0)
    for label, channel in (("green", 1), ("red", 0)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(10):
            pixels = rng.uniform(0, 0.2, (4, 4, 3))
            pixels[..., channel] += 0.6
            Image.fromarray((pixels * 255).astype(np.uint8)).save(
                tmp_path / "images" / label / f"{number}.png"
            )
    # Sorted: green is class 0, so swap what the units stand for.
    model = Voters().eval()
    model.early.weight.data = model.early.weight.data[:, [1, 0, 2]]
    images = ClassImages(tmp_path / "images", PLAIN)
    points = find_hook_points(model, ["early", "late"], (images.example(),))
    return AblationEvaluator(model, points, images), images


UNITS = [(layer, unit) for layer in ("early", "late") for unit in range(10)]


def test_a_property_of_the_units_that_matter(bench):
    measured, images = bench
    matters = np.array([1.0 if unit < 4 else 0.0 for _, unit in UNITS])
    table = pd.DataFrame({
        "matters": matters, "does not": 1 - matters, "nothing": np.zeros(20),
        "noise": np.random.default_rng(1).random(20),
    })  # fmt: skip
    curves = importance(measured, images, UNITS, table, AblationSchedule(0.4, 4, trials=39, ties=4))
    found = {(c.name, c.order): c for c in curves if c.direction == "highest"}
    lowest = {(c.name, c.order): c for c in curves if c.direction == "lowest"}
    for order in ("network", "layer"):
        # The lowest in a property first is the highest in its opposite first.
        assert lowest["does not", order].accuracy[-1] == 0.5
        assert lowest["matters", order].accuracy == (1.0,) * 5
        assert lowest["does not", order].difference < 0 < lowest["matters", order].difference
        assert found[RANDOM, order].accuracy[0] == 1.0
        assert found["matters", order].accuracy[-1] == 0.5  # all that decide are gone
        assert found["does not", order].accuracy == (1.0,) * 5
        assert found["matters", order].difference < 0 < found["does not", order].difference
        assert found["matters", order].difference < -0.15
        assert found["nothing", order].values == 1
        assert found["matters", order].adjusted >= found["matters", order].p
    rows = importance_table(curves, {})
    assert len(rows) == 16 and len(curve_table(curves)) == 2 * 9 * 5
    assert rows.groupby("direction").size().to_dict() == {"highest": 8, "lowest": 8}
    only = importance(measured, images, UNITS, table, AblationSchedule(0.4, 4, trials=39, ties=4),
                      directions=("highest",))  # fmt: skip
    assert [c.accuracy for c in only] == [c.accuracy for c in curves if c.direction == "highest"]


def test_accuracy_by_class_is_of_the_images_of_that_class(bench):
    """Units 0 and 2 of ``early`` speak for the first class: without them only that one is lost."""
    measured, images = bench
    for_green = np.array([float(layer == "early" and unit in (0, 2)) for layer, unit in UNITS])
    table = pd.DataFrame({"green": for_green, "constant": np.ones(20)})
    curves = importance(
        measured, images, UNITS, table, AblationSchedule(0.1, 1, trials=5), ["network"]
    )
    classes = classes_in(images)
    assert classes.names == ("green", "red") and classes.images == (10, 10)
    curve = next(c for c in curves if (c.name, c.direction) == ("green", "highest"))
    with torch.no_grad():
        model = measured.model
        model.early.weight.data[[0, 2]] = 0
        inputs = torch.stack([images.source.inputs(i) for i in range(len(images))])
        right = (model(inputs).argmax(1) == images.labels).numpy()
    by_hand = [right[images.labels == index].mean() for index in images.indices]
    assert [values[-1] for values in curve.by_class] == by_hand == [0.0, 1.0]
    assert [values[0] for values in curve.by_class] == [1.0, 1.0]
    for one in curves:  # classes have as many images each
        assert np.mean(one.by_class, axis=0) == pytest.approx(one.accuracy)
    names, gaps = differences(curves, "network", "highest")
    chance = next(c for c in curves if c.name == RANDOM)
    assert names == ["green", "constant"]
    assert gaps[0, 0] == pytest.approx(0 - chance.by_class[0][1])
    rows = class_rows(curves, "network", classes, {"green": "Green"})
    assert rows[0][:3] == ["green", "10", "100.0 %"] and rows[0][4] == "Green"
    table = class_table(curves, classes)
    assert len(table) == 5 * 2 * 2 and set(table["class"]) == {"green", "red"}
    picked = table[(table["property"] == "green") & (table["direction"] == "highest")]
    assert picked[picked["fraction"] > 0]["accuracy"].tolist() == [0.0, 1.0]


def test_directions_by_name():
    assert directions_of("both") == ("highest", "lowest")
    assert directions_of("lowest") == ("lowest",)
    with pytest.raises(InputError, match="highest, lowest or both"):
        directions_of("increasing")


def test_p_is_uniform_where_nothing_is_ordered(bench):
    measured, images = bench
    values = []
    for seed in range(40):
        noise = pd.DataFrame({"noise": np.random.default_rng(seed).random(20)})
        plan = AblationSchedule(0.5, 3, trials=9, seed=seed)
        values += [c.p for c in importance(measured, images, UNITS, noise, plan, ["network"])[1:]]
    # Ties make p conservative; never anti-conservative beyond chance (40 draws of p <= .2).
    assert np.mean(np.array(values) <= 0.2) < 0.2 + 3 * np.sqrt(0.2 * 0.8 / 40)


def test_orders():
    layers = np.array(["b", "b", "a", "a", "a"])
    values = np.array([1.0, 5.0, 2.0, 4.0, 3.0])
    rng = np.random.default_rng(0)
    assert ranks(values, layers, "network", rng).tolist() == [1, 3, 4, 2, 0]
    within = ranks(values, layers, "layer", rng)
    assert within.tolist() in ([3, 4, 2, 1, 0], [1, 0, 3, 4, 2])
    parts = nested(within, layers, "layer", np.array([0.0, 0.34, 1.0]))
    assert [len(p) for p in parts] == [0, 2, 5] and set(parts[1]) == {1, 3}
    firsts = [int(ranks(np.zeros(5), layers, "network", rng)[0]) for _ in range(2000)]
    assert np.abs(np.bincount(firsts, minlength=5) - 400).max() < 80


@pytest.mark.parametrize(
    "how", [{"fraction": 0.0}, {"fraction": 1.1}, {"steps": 0}, {"trials": 0}, {"ties": 0}]
)
def test_plans_that_make_no_sense(how):
    with pytest.raises(InputError, match=next(iter(how))):
        AblationSchedule(**how)


def test_outputs_are_what_they_say(bench):
    measured, images = bench
    with torch.no_grad():
        inputs = torch.stack([images.source.inputs(i) for i in range(len(images))])
        assert bool((measured.model(inputs).argmax(1) == images.labels).all())

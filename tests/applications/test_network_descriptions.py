"""Describing a network: once, and again only if something has changed."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from applications import network_descriptions as described
from applications.network_descriptions import LazyDescriber, describe_network, described_by_file
from milannotations.catalog.models import LoadedModel
from milannotations.describer import Description
from milannotations.errors import InputError
from milannotations.exemplars.options import BuildOptions
from milannotations.hook_points.matching import find_hook_points
from milannotations.inputs.preprocessing import Preprocessing


class Counting:
    sees_references = False

    def __init__(self):
        self.calls = 0

    def fit(self, neurons):
        raise AssertionError("it has learned already")

    def describe(self, neurons):
        self.calls += 1
        return [Description(text=f'unit, {u} "quoted"', score=None) for u in neurons["unit"]]


@pytest.fixture
def network(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                           nn.Linear(4, 2)).eval()  # fmt: skip
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(6):
        pixels = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    loaded = LoadedModel(module, "tiny", "noise", Preprocessing(16, 16), ("1",))
    return loaded, find_hook_points(module, ["1"], (torch.randn(2, 3, 16, 16),))


def test_described_once(network, tmp_path, monkeypatch):
    loaded, points = network
    who = Counting()
    options = BuildOptions(k=3, size=16)
    speaker = LazyDescriber(trained=(who, "counting"))
    usual = (tmp_path / "images", tmp_path / "work", speaker)
    first = describe_network(loaded, points, *usual, options=options)
    assert first.units == [("1", u) for u in range(4)]
    assert first.texts[2] == 'unit, 2 "quoted"' and first.scores == [None] * 4
    assert len(first.record(("1", 3))["images"]) == 3
    builds = []
    real = described.build
    monkeypatch.setattr(described, "build", lambda *a, **k: builds.append(1) or real(*a, **k))
    second = describe_network(loaded, points, *usual, options=options)
    assert second.texts == first.texts and who.calls == 1 and not builds
    # Another describer describes the same exemplars; another network has its own.
    describe_network(
        loaded, points, *usual[:2], LazyDescriber(trained=(who, "other")), options=options
    )
    assert who.calls == 2 and not builds
    loaded.module[0].weight.data.neg_()
    describe_network(loaded, points, *usual, options=options)
    assert who.calls == 3 and builds


def test_descriptions_of_a_file(network, tmp_path):
    loaded, points = network
    path = tmp_path / "said.csv"
    pd.DataFrame(
        {
            "layer": ["1", "1", "other"], "unit": [3, 1, 0], "description": ["a", "b", "c"],
            "score": [0.5, None, 1],
        }
    ).to_csv(path, index=False)  # fmt: skip
    described = described_by_file(loaded, points, path)
    assert described.units == [("1", 1), ("1", 3)] and described.texts == ["b", "a"]
    assert described.scores == [None, 0.5] and described.exemplars is None
    pd.DataFrame({"layer": ["9"], "unit": [3], "description": ["a"]}).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"it has \(any\) 9"):
        described_by_file(loaded, points, path)


def test_describers_are_named():
    assert LazyDescriber("milan", {"pmi": 0.2}).title == "milan pmi=0.2, learned from demo"
    assert LazyDescriber("retrieval", train=None).title == "retrieval"
    assert LazyDescriber().identity != LazyDescriber(k=3).identity
    with pytest.raises(InputError, match="references"):
        LazyDescriber("oracle", train=None).get("cpu")

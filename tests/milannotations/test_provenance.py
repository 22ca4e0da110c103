"""What describers have learnt from, and the warning where they describe neurons of another kind."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from baselines import commands
from milannotations.describer import create
from milannotations.fingerprints import fingerprint
from milannotations.loading import load_split
from milannotations.notices import Notice
from milannotations.provenance import (
    NeuronSource,
    TrainingData,
    other_kind,
    published_training_data,
    sources_of,
    training_data,
    warn_of_other_kind,
)
from milannotations.record import FEATURES, encode_mask


def encoded(flat: bool, seed: int, fmt: str = "png") -> bytes:
    """Return a picture of plain shapes, or one in which every pixel differs from the next."""
    rng = np.random.default_rng(seed)
    if flat:
        image = Image.new("RGB", (48, 48), "white")
        ImageDraw.Draw(image).ellipse((8, 8, 30 + seed % 10, 34), fill="red")
    else:
        image = Image.fromarray(rng.integers(0, 255, (48, 48, 3)).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, fmt)
    return buffer.getvalue()


def neurons(
    flat: bool = False,
    model: str = "net",
    dataset: str = "mine",
    count: int = 4,
    annotated: int = 4,
    images: bool = True,
) -> Dataset:
    mask = encode_mask(np.ones((48, 48), dtype=bool))
    rows = [
        {
            "model": model, "dataset": dataset, "layer": "l", "unit": unit,
            "images": [{"bytes": encoded(flat, unit), "path": None}] if images else [],
            "masks": [{"bytes": mask, "path": None}], "activations": [1.0], "image_ids": [0],
            "threshold": 0.5, "annotations": [f"thing {unit}"] if unit < annotated else [],
        }
        for unit in range(count)
    ]  # fmt: skip
    return Dataset.from_list(rows, features=FEATURES)


@pytest.mark.parametrize(
    ("flat", "model", "dataset", "images", "pictures"),
    [
        (True, "net", "mine", True, "rendered scenes"),  # by the pixels, whatever the name
        (False, "net", "mine", True, "photographs"),
        (True, "resnet18", "imagenet", True, "rendered scenes"),  # probed with drawings
        (False, "synthetic", "worlds", True, "rendered scenes"),  # by the name
        (False, "synthetic", "worlds3", False, "rendered scenes"),
        (False, "lessons", "lessons", False, "rendered scenes"),
        (False, "biggan", "imagenet", False, "generated images"),
        (False, "alexnet", "imagenet", False, "photographs"),  # published without images
        (False, "net", "mine", False, "unknown pictures"),
    ],
)
def test_kinds_of_pictures(
    flat: bool, model: str, dataset: str, images: bool, pictures: str
) -> None:
    (source,) = sources_of(neurons(flat, model, dataset, images=images))
    assert source == NeuronSource(model=model, dataset=dataset, pictures=pictures, neurons=4)  # type: ignore[arg-type]


def test_only_annotated_neurons_are_learnt_from() -> None:
    data = training_data(neurons(count=5, annotated=3))
    assert data.sources[0].neurons == 3 and data.fingerprint == ""
    whole = training_data(neurons(count=5, annotated=3), whole=True)
    assert whole.fingerprint == fingerprint(neurons(count=5, annotated=3))


def test_the_demo_is_known_by_its_fingerprint() -> None:
    data = training_data(load_split("demo", "validation"), whole=True)
    assert data.config == "demo/validation"
    assert data.pictures == ("rendered scenes",)
    # The exemplars of the demo's real network are photographs.
    (network,) = sources_of(load_split("demo", "network").select(range(0, 240, 6)))
    assert str(network) == "efficientnet_lite0-imagenet" and network.pictures == "photographs"


def test_the_warning() -> None:
    scenes, photos = training_data(neurons(True)), training_data(neurons(False))
    assert other_kind(scenes, neurons(True, count=2), "milan") is None
    assert other_kind(scenes, neurons(False), "milan") == (
        "milan has learnt from rendered scenes (net-mine), but the exemplars of 4 of the 4 neurons "
        "look like photographs (net-mine): its words may not apply to them"
    )
    assert "look like rendered scenes" in str(other_kind(photos, neurons(True), "milan"))
    assert other_kind(photos, neurons(images=False), "milan") is None  # nothing is known
    assert other_kind(TrainingData(), neurons(), "milan") is None
    both = TrainingData(sources=(*scenes.sources, *photos.sources))
    assert other_kind(both, neurons(True), "milan") is None


def test_what_the_authors_models_have_learnt_from() -> None:
    base = published_training_data("base")
    assert base.pictures == ("generated images", "photographs")
    assert sum(source.neurons for source in base.sources) == 19_072
    gen = published_training_data("gen")
    assert gen.pictures == ("generated images",) and gen.config == "gen"


@pytest.mark.parametrize("name", ["random-train", "constant-frequent"])
def test_controls_that_learn_warn(name: str) -> None:
    describer = create(name)
    assert not hasattr(describer, "trained_on")
    describer.fit(neurons(True))
    with pytest.warns(
        Notice, match=f"{name} has learnt from rendered scenes.*look like photographs"
    ):
        warn_of_other_kind(describer, neurons(False), name)


def test_what_learns_nothing_warns_of_nothing() -> None:
    class Still:
        sees_references: ClassVar[bool] = False

    constant = create("constant")
    constant.fit(neurons(True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_kind(constant, neurons(False))
        warn_of_other_kind(Still(), neurons(False))
        describer = create("random-train")
        describer.fit(neurons(True))
        warn_of_other_kind(describer, neurons(True))


@pytest.mark.slow
def test_the_describe_command_warns(tmp_path: Path) -> None:
    """Of the demo's photographs by what has learnt from its scenes, and not of its scenes."""
    for split, warned in (("network", True), ("test", False)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            done = CliRunner().invoke(
                commands.app,
                ["--method", "random-train", "--split", split, "--out", str(tmp_path / split)],
            )
        assert done.exit_code == 0, (done.output, done.exception)
        said = [str(one.message) for one in caught if one.category is Notice]
        assert bool(said) == warned
        assert all("look like photographs (efficientnet_lite0-imagenet)" in text for text in said)

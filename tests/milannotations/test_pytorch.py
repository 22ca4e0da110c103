"""The views that code written for the original asks for."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from datasets import Dataset

from milannotations import ExemplarDataset
from milannotations.errors import InputError, NoNeuronError
from milannotations.pytorch import TopImages
from milannotations.record import FEATURES
from tests.milannotations.viewer.records import SIZE, make_record


@pytest.fixture
def neurons() -> Dataset:
    """Units 7 and 2 of conv1, and unit 3 of layer 4."""
    rows = [
        make_record("conv1", 7, k=7, annotations=["a", "b", "c"]),
        make_record("conv1", 2, k=7),
        make_record("4", 3, k=7),
    ]
    for row in rows:
        for column in ("images", "masks"):
            row[column] = [{"bytes": data, "path": None} for data in row[column]]
    return Dataset.from_list(rows, features=FEATURES)


def test_pictures_equal_the_formula(neurons: Dataset) -> None:
    view = ExemplarDataset(neurons, annotation_count=None)
    sample = view[0]
    assert type(sample.as_top_images()) is TopImages
    assert sample.as_top_images()._fields == ("layer", "unit", "images", "masks")
    pictures = sample.as_pil_images()
    assert len(pictures) == view.k == 7
    for rank, picture in enumerate(pictures):
        pixels = np.asarray(neurons[0]["images"][rank])
        inside = np.asarray(neurons[0]["masks"][rank])[..., None]
        hidden = (pixels * 0.25).astype(np.uint8)
        assert np.array_equal(np.asarray(picture), np.where(inside, pixels, hidden))
    assert np.array_equal(
        np.asarray(sample.as_pil_images(opacity=0)[3]), np.asarray(neurons[0]["images"][3])
    )
    with pytest.raises(InputError, match="opacity is -1"):
        sample.as_pil_images(opacity=-1)


def test_every_value_of_a_pixel_survives_being_a_fraction() -> None:
    levels = torch.arange(256).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    sample = TopImages("conv1", 0, levels.float() / 255, torch.ones(1, 1, 16, 16))
    (picture,) = sample.as_pil_images()
    assert np.array_equal(np.asarray(picture)[..., 0], np.arange(256).reshape(16, 16))


def test_grids(neurons: Dataset) -> None:
    sample = ExemplarDataset(neurons, annotation_count=None)[1]
    grid = sample.as_pil_image_grid()
    assert grid.size == (5 * (SIZE + 2) + 2, 2 * (SIZE + 2) + 2)  # 7 images, 2 pixels around each
    first = np.asarray(grid)[2 : 2 + SIZE, 2 : 2 + SIZE]
    assert np.array_equal(first, np.asarray(sample.as_pil_images()[0]))
    row = sample.as_pil_image_grid(limit=3, nrow=3, padding=0)
    assert row.size == (3 * SIZE, SIZE)
    assert np.array_equal(np.asarray(row)[:, -SIZE:], np.asarray(sample.as_pil_images()[2]))
    with pytest.raises(InputError, match="limit is 0"):
        sample.as_pil_image_grid(limit=0)


def test_samples_names_and_units(neurons: Dataset) -> None:
    view = ExemplarDataset(neurons, annotation_count=None)
    assert view.name == "net/shapes"
    assert ExemplarDataset(neurons, name="mine").name == "mine"
    assert len(view.samples) == 3
    assert [(one.layer, one.unit) for one in view.samples] == [*view.units(range(3))]
    assert view.samples[-1].unit == 3
    assert [one.unit for one in view.samples[:2]] == [7, 2]
    assert {layer: units.tolist() for layer, units in view.units_by_layer.items()} == {
        "4": [3], "conv1": [7, 2],
    }  # fmt: skip
    annotated = ExemplarDataset(neurons)
    assert [one.unit for one in annotated.samples] == [7]
    with pytest.raises(IndexError):
        view.samples[3]


def test_lookup_goes_by_the_number_of_the_unit(neurons: Dataset) -> None:
    view = ExemplarDataset(neurons, annotation_count=None)
    assert torch.equal(view.lookup("conv1", 2).images, view[1].images)
    assert view.lookup(4, 3).layer == "4"
    for layer, unit in (("conv1", 0), ("conv9", 2)):
        with pytest.raises(KeyError):
            view.lookup(layer, unit)
    with pytest.raises(NoNeuronError, match=r"^no neuron conv9:2; did you mean 'conv1'") as error:
        view.lookup("conv9", 2)
    assert isinstance(error.value, InputError)


def test_images_in_memory_are_whole(neurons: Dataset) -> None:
    """A grid can be saved and read as any picture."""
    buffer = io.BytesIO()
    ExemplarDataset(neurons, annotation_count=None)[0].as_pil_image_grid().save(buffer, "PNG")
    assert buffer.getvalue().startswith(b"\x89PNG")

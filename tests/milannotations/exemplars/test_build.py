"""The builder on networks whose neurons are certain, and on input that cannot work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import load_dataset
from PIL import Image, ImageDraw
from torch import nn
from torch.nn import functional

from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.render import render_masks, upsample
from milannotations.exemplars.request import BuildRequest
from milannotations.fingerprints import fingerprint
from milannotations.hook_points.matching import match_layers
from milannotations.inputs.sources import ImageFolder
from milannotations.record import FEATURES, validate
from milannotations.worlds import SyntheticNetwork, World, synthetic_neurons
from tests.milannotations.exemplars.networks import IDENTITY, Colours, Edges, write


def _build(folder: Path, out: Path, layers: list[str], **options: object):
    defaults = {"k": 3, "size": 64, "image_format": "png", **options}
    return build(
        BuildRequest(
            module=Colours(),
            source=ImageFolder(folder, IDENTITY, size=64),
            layers=layers,
            out=out,
            model="colours",
            dataset="hand",
            options=BuildOptions(**defaults),
        )
    )


def test_hand_built_neurons_find_their_colour(squares: Path, tmp_path: Path) -> None:
    _build(squares, tmp_path / "out", ["conv", "relu"], quantile=0.999)
    data = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features == FEATURES
    for row in data:
        validate(row)
    conv_red, conv_green, relu_red, _ = data
    assert conv_red["image_ids"][:2] == [3, 7]
    assert conv_green["image_ids"][0] == 5
    truth = np.zeros((64, 64), bool)
    truth[8:24, 8:24] = True
    assert np.array_equal(np.asarray(relu_red["masks"][0]), truth)
    assert np.asarray(relu_red["images"][0])[10, 10].tolist() == [252, 0, 0]
    # An in-place ReLU follows the convolution; its own output must be seen as it was.
    assert conv_red["activations"][2] == pytest.approx(-10 / 255, abs=1e-6)
    assert relu_red["activations"][2] == 0
    # The third exemplar of the sparse unit has nothing above zero, so its mask is empty.
    assert not np.asarray(relu_red["masks"][2]).any()
    names = (tmp_path / "out" / "images.csv").read_text().splitlines()
    assert names[1 + 3] == "3,03.png"
    assert json.loads((tmp_path / "out" / "build.json").read_text())["images"] == 30


def _drawn(folder: Path) -> None:
    """Twenty grey images: 4 holds a bar upright, 9 one that lies, 14 and 17 the word ``cat``."""
    folder.mkdir()
    for index in range(20):
        picture = Image.new("RGB", (64, 64), (60 + index, 60 + index, 60 + index))
        pen = ImageDraw.Draw(picture)
        if index == 4:
            pen.rectangle((30, 8, 31, 55), fill=(255, 255, 255))
        if index == 9:
            pen.rectangle((8, 40, 55, 41), fill=(255, 255, 255))
        if index in (14, 17):
            write("cat", (6 + index, 20), picture)
        if index == 12:
            write("dog", (20, 20), picture)
        picture.save(folder / f"{index:02d}.png")


def test_edge_and_text_detectors_find_their_images_and_places(tmp_path: Path) -> None:
    _drawn(tmp_path / "drawn")
    source = ImageFolder(tmp_path / "drawn", IDENTITY, size=64)
    options = BuildOptions(k=2, size=64, image_format="png", quantile=0.999)
    build(
        BuildRequest(
            module=Edges(),
            source=source,
            layers=["units"],
            out=tmp_path / "out",
            model="edges",
            dataset="hand",
            options=options,
        )
    )
    upright, lying, word = load_dataset(
        str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert upright["image_ids"][0] == 4
    assert lying["image_ids"][0] == 9
    assert sorted(word["image_ids"]) == [14, 17]
    rows, columns = np.nonzero(np.asarray(upright["masks"][0]))
    # On both sides of the bar's borders, and along its length.
    assert set(columns) <= {29, 30, 31, 32}
    assert rows.min() <= 10
    assert rows.max() >= 53
    rows, columns = np.nonzero(np.asarray(lying["masks"][0]))
    assert set(rows) <= {39, 40, 41, 42}
    for index, mask in zip(word["image_ids"], word["masks"], strict=True):
        rows, columns = np.nonzero(np.asarray(mask))
        # The unit answers at the middle of the word's 25 × 15 pixels.
        assert abs(np.median(columns) - (6 + index - 2 + 12)) <= 3
        assert abs(np.median(rows) - (20 - 2 + 7)) <= 3


def test_batch_size_and_readers_change_nothing(image_folder: Path, tmp_path: Path) -> None:
    found = set()
    for number, options in enumerate(({"batch_size": 1}, {"batch_size": 7}, {"readers": 2})):
        out = tmp_path / f"out{number}"
        _build(image_folder, out, ["conv"], **options)
        data = load_dataset(str(out), split="train", cache_dir=str(tmp_path / f"cache{number}"))
        found.add(fingerprint(data))
    assert len(found) == 1


def test_synthetic_neuron_without_noise_finds_its_concept(tmp_path: Path) -> None:
    from dataclasses import replace

    red = next(n for n in synthetic_neurons() if n.concept.key == "red")
    neuron = replace(red, layer="fine", noise=0.0)
    world = World(9, 60)
    report = build(
        BuildRequest(
            module=SyntheticNetwork([neuron], world),
            source=world,
            layers=["fine"],
            out=tmp_path / "out",
            model="synthetic",
            dataset="worlds",
            options=BuildOptions(k=5),
        )
    )
    row = load_dataset(str(report.folder), split="train", cache_dir=str(tmp_path / "c"))[0]
    for index, mask in zip(row["image_ids"], row["masks"], strict=True):
        truth = neuron.concept.mask(world.scene(index))
        assert truth.any()
        # What is masked in is red; only cells on a border reach beyond it.
        assert (np.asarray(mask) & truth).sum() / np.asarray(mask).sum() > 0.8


def test_upsampling_equals_torch() -> None:
    maps = torch.randn(3, 2, 7, 9)
    expected = functional.interpolate(maps, size=50, mode="bilinear", align_corners=False)
    assert torch.allclose(upsample(maps, 50), expected, atol=1e-5)


def test_masks_of_dead_and_saturated_units() -> None:
    maps = torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), 6.0)])
    masks = render_masks(maps, torch.tensor([0.0, 6.0]), torch.tensor([0.0, 0.0]), 8)
    assert not masks[0].any()
    assert masks[1].all()


def test_layer_patterns_keep_the_models_order() -> None:
    assert match_layers(Colours(), ["re*", "conv"]) == ["conv", "relu"]


def _fails(match: str, folder: Path, out: Path, layers: list[str], **options: object) -> None:
    with pytest.raises(InputError, match=match):
        _build(folder, out, layers, **options)
    assert not out.exists()
    assert not [p for p in out.parent.iterdir() if "partial" in p.name]


@pytest.mark.parametrize(
    ("layers", "options", "match"),
    [
        (["conv9"], {}, "no layer matches 'conv9'; did you mean 'conv'"),
        (["zzz*"], {}, "this model has conv, relu"),
        ([], {}, "no layer is named"),
        (["unused"], {}, "not run by the model's forward pass"),
        (["conv"], {"k": 31}, "k is 31, but there are only 30 images"),
        (["conv"], {"k": 0}, "k is 0"),
        (["conv"], {"quantile": 1.0}, "quantile is 1.0"),
        (["conv"], {"batch_size": 0}, "batch size is 0"),
        (["conv"], {"image_format": "gif"}, "image format 'gif'"),
    ],
)
def test_bad_input(
    squares: Path, tmp_path: Path, layers: list[str], options: dict[str, object], match: str
) -> None:
    _fails(match, squares, tmp_path / "out", layers, **options)


def test_a_layer_that_is_run_twice_is_refused(squares: Path, tmp_path: Path) -> None:
    source = ImageFolder(squares, IDENTITY, size=64)
    relu = nn.ReLU()
    twice = nn.Sequential(nn.Conv2d(3, 2, 1), relu, nn.Conv2d(2, 2, 1), relu)
    with pytest.raises(InputError, match=r"run 2 times .*under the names 1, 3"):
        build(
            BuildRequest(
                module=twice,
                source=source,
                layers=["1"],
                out=tmp_path / "out",
                model="m",
                dataset="d",
                options=BuildOptions(k=1),
            )
        )


class NanForOne(nn.Module):
    """Gives NaN for images with any green in them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.masked_fill((x[:, 1:2] > 0.9).any(-1, keepdim=True), torch.nan)


def test_nan_names_layer_unit_and_image(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layer '0', unit 0 gives NaN.*05\.png"):
        build(
            BuildRequest(
                module=nn.Sequential(NanForOne()),
                source=ImageFolder(squares, IDENTITY),
                layers=["0"],
                out=tmp_path / "out",
                model="m",
                dataset="d",
                options=BuildOptions(k=1),
            )
        )


def test_unreadable_images_are_named_or_skipped(squares: Path, tmp_path: Path) -> None:
    (squares / "04.png").write_bytes((squares / "03.png").read_bytes()[:60])
    _fails(r"04\.png.*--skip-unreadable", squares, tmp_path / "out", ["conv"])
    report = _build(squares, tmp_path / "out", ["conv"], skip_unreadable=True)
    assert report.images == 29
    assert "04.png" in report.unreadable[0]


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        ImageFolder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no image"):
        ImageFolder(tmp_path)


def test_an_existing_folder_is_only_replaced_when_asked(squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="--overwrite"):
        _build(squares, out, ["conv"])
    assert (out / "mine.txt").read_text() == "keep"

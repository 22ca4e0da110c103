"""Features against a slow loop, masks of zeros, the cache and its interruption."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.nn import functional
from torchvision.transforms.v2.functional import pil_to_tensor

from baselines.features import cache
from baselines.features.cache import _done, cached_features, exemplar_features
from baselines.features.encoder import ENCODERS, EncoderSpec, PyramidEncoder, encoder_spec
from baselines.features.exemplars import DistinctExemplars
from milannotations.catalog.models import LoadedModel
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.notices import Notice
from milannotations.record import encode_mask, undecoded
from tests.baselines.milan.made_up import SPEC, neurons, tiny_encoder
from tests.baselines.tiny_transformers import tiny_clip


def slow(encoder: PyramidEncoder, records) -> torch.Tensor:
    """Features of one exemplar after the other, each through the network on its own."""
    found = []
    for record in records:
        rows = []
        for image, mask in zip(record["images"], record["masks"], strict=True):
            x = encoder.tensor(image)[None]
            parts = []
            for end in (1, 3):
                maps = encoder.network[:end](x)[0]
                weights = functional.interpolate(
                    pil_to_tensor(mask.convert("L"))[None] / 255, size=maps.shape[1:],
                    mode="bilinear", align_corners=False,
                )[0, 0]  # fmt: skip
                total = weights.sum()
                parts.append((maps * (weights / total if total > 0 else weights)).sum((1, 2)))
            rows.append(torch.cat(parts))
        found.append(torch.stack(rows))
    return torch.stack(found)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_features_equal_a_slow_loop(batch_size: int) -> None:
    encoder, records = tiny_encoder(), neurons(4)
    found = exemplar_features(encoder, records, batch_size=batch_size)
    assert found.shape == (4, 3, 6)
    assert torch.allclose(found, slow(encoder, records), atol=1e-5)


def test_forward_is_the_same_for_single_images() -> None:
    encoder, records = tiny_encoder(), neurons(2)
    record = records[1]
    inputs = torch.stack([encoder.tensor(image) for image in record["images"]])
    masks = torch.stack([pil_to_tensor(m.convert("L"))[0] / 255 for m in record["masks"]])
    assert torch.allclose(encoder(inputs, masks), exemplar_features(encoder, records)[1], atol=1e-5)
    ones = torch.ones_like(masks)
    assert torch.allclose(encoder(inputs), encoder(inputs, ones), atol=1e-4)


@pytest.mark.parametrize("masks", ["bilinear", "area"])
def test_masks_of_zeros_give_numbers(masks: str) -> None:
    records = neurons(2, empty=True)
    zeros = exemplar_features(tiny_encoder(SPEC.model_copy(update={"masks": masks})), records)
    assert (zeros == 0).all()
    whole = SPEC.model_copy(update={"masks": masks, "empty": "whole"})
    unmasked = SPEC.model_copy(update={"masks": "none"})
    found = exemplar_features(tiny_encoder(whole), records)
    assert torch.isfinite(found).all()
    assert torch.allclose(found, exemplar_features(tiny_encoder(unmasked), records), atol=1e-5)


def test_a_small_mask_is_lost_by_bilinear_resizing_and_kept_by_area() -> None:
    encoder = tiny_encoder()
    maps = [torch.rand(1, 2, 7, 7)]
    mask = torch.zeros(1, 224, 224)
    mask[0, 2, 2] = 1
    assert (encoder.pool(maps, 0, mask) == 0).all()
    area = tiny_encoder(SPEC.model_copy(update={"masks": "area"}))
    assert torch.allclose(area.pool(maps, 0, mask)[0], maps[0][0, :, 0, 0])


def test_distinct_images_go_through_the_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, records = tiny_encoder(), neurons(5)
    assert len(DistinctExemplars(records)) == 1 + 5 * 2  # all share their first
    seen: list[int] = []
    inner = PyramidEncoder.maps

    def counted(self, inputs):
        seen.append(len(inputs))
        return inner(self, inputs)

    monkeypatch.setattr(PyramidEncoder, "maps", counted)
    exemplar_features(encoder, records)
    assert sum(seen) == 11


def test_the_cache_is_used_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, records = tiny_encoder(), neurons(6)
    expected = exemplar_features(encoder, records)
    monkeypatch.setattr(cache, "_CHECKPOINT", 1)
    inner = PyramidEncoder.maps
    calls: list[None] = []

    def interrupted(self, inputs):
        calls.append(None)
        if len(calls) == 9:  # the first image of the third batch
            raise KeyboardInterrupt
        return inner(self, inputs)

    monkeypatch.setattr(PyramidEncoder, "maps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached_features(encoder, records, batch_size=4, work=tmp_path)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == []
    (done,) = tmp_path.rglob("done.json")
    assert json.loads(done.read_text()) == 8
    before = len(calls)
    found = cached_features(encoder, records, batch_size=4, work=tmp_path)
    assert len(calls) - before == 5  # of 13 distinct images
    assert torch.equal(found, expected)
    again = cached_features(encoder, records, batch_size=3, work=tmp_path)
    assert len(calls) - before == 5 and torch.equal(found, again)
    # Writing into what was given leaves the file as it was.
    again.zero_()
    assert torch.equal(found, cached_features(encoder, records, work=tmp_path))
    # Other weights, other masks, other neurons: other features.
    cached_features(tiny_encoder(seed=1), records, work=tmp_path)
    cached_features(encoder, neurons(6, empty=True), work=tmp_path)
    cached_features(encoder, records.select([1, 0]), work=tmp_path)
    assert len([p for p in tmp_path.iterdir() if not p.name.startswith(".")]) == 4


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    encoder, records = tiny_encoder(), neurons(2)
    found = cached_features(encoder, records, work=tmp_path).clone()
    (file,) = tmp_path.rglob("features.npy")
    file.write_bytes(file.read_bytes()[:-100])
    assert torch.equal(cached_features(encoder, records, work=tmp_path), found)


def encoded(column: str, change) -> Dataset:
    """Two neurons, of which the second has something else as its first image or mask."""
    rows = undecoded(neurons(2)).to_list()
    rows[1][column][0] = change(rows[1][column][0])
    return Dataset.from_list(rows, features=neurons(1).features)


def test_images_and_masks_that_cannot_be_read() -> None:
    damaged = {"bytes": b"no image", "path": None}
    for column, what in (("images", "exemplar 0"), ("masks", "mask 0")):
        records = encoded(column, lambda _: damaged)
        with pytest.raises(InputError, match=f"{what} of neuron m-d l:1 cannot be read"):
            exemplar_features(tiny_encoder(), records)
        named = encoded(column, lambda _: {"bytes": None, "path": "/nowhere.png"})
        with pytest.raises(InputError, match="m-d l:1 has images or masks that are only named"):
            exemplar_features(tiny_encoder(), named)
    other = {"bytes": encode_mask(np.ones((8, 8), dtype=bool)), "path": None}
    with pytest.raises(InputError, match="m-d l:1 is of another size"):
        exemplar_features(tiny_encoder(), encoded("masks", lambda _: other))


def test_no_room_for_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match="no room to write"):
        cached_features(tiny_encoder(), neurons(2), work=tmp_path)


def test_other_preprocessing_gives_other_features() -> None:
    encoder, other = tiny_encoder(), tiny_encoder()
    other.preprocessing = Preprocessing(size=32, resize=32, mean=(0.0, 0.0, 0.0))
    assert encoder.identity() != other.identity()


def test_no_gradient_reaches_the_encoder() -> None:
    encoder = tiny_encoder()
    assert not any(p.requires_grad for p in encoder.parameters())
    inputs = torch.rand(2, 3, 32, 32)
    assert not encoder(inputs).requires_grad
    encoder.train()
    assert not encoder.training and not encoder.network.training


def test_what_cannot_be_looked_at() -> None:
    bare = neurons(2).map(lambda row: {"images": []}, features=neurons(1).features)
    with pytest.raises(InputError, match="attach the source images"):
        exemplar_features(tiny_encoder(), bare)
    unmasked = neurons(2).map(lambda row: {"masks": []}, features=neurons(1).features)
    with pytest.raises(InputError, match="3 images and 0 masks"):
        exemplar_features(tiny_encoder(), unmasked)
    exemplar_features(tiny_encoder(SPEC.model_copy(update={"masks": "none"})), unmasked)
    with pytest.raises(InputError, match="no neurons"):
        exemplar_features(tiny_encoder(), neurons(2).select([]))
    pooled = LoadedModel(
        torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(1800, 4)),
        "m", "d", Preprocessing(size=32, resize=32),
    )  # fmt: skip
    with pytest.raises(InputError, match="one activation per image"):
        PyramidEncoder(EncoderSpec(model="m", layers=("2",)), pooled)
    with pytest.raises(InputError, match="name the layers"):
        encoder_spec("vgg11")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width"),
    [("alexnet", 1152), ("resnet18", 1024), ("resnet50", 3904), ("resnet101", 3904)],
)
def test_the_papers_encoders_have_the_papers_widths(name: str, width: int) -> None:
    spec = ENCODERS[name].model_copy(update={"weights": "random"})
    encoder = PyramidEncoder(spec)
    assert encoder.width == width
    features = encoder(torch.rand(2, 3, 224, 224), torch.ones(2, 224, 224))
    assert features.shape == (2, width) and torch.isfinite(features).all()


def test_a_backbone_of_transformers(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "clip")
    encoder = PyramidEncoder(encoder_spec(f"hf:{folder}", ("encoder.layers.0", "encoder.layers.1")))
    found = exemplar_features(encoder, neurons(2))
    assert found.shape == (2, 3, 32) and torch.isfinite(found).all()
    with pytest.raises(InputError, match="cannot be loaded"):
        PyramidEncoder(encoder_spec(f"hf:{tmp_path / 'none'}", ("x",)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("timm:vit_tiny_patch16_224", ("blocks.3", "blocks.11")),
        ("timm:convnext_atto", ("stages.1", "stages.3")),
    ],
)
def test_other_backbones(model: str, layers: tuple[str, ...]) -> None:
    encoder = PyramidEncoder(encoder_spec(model, layers, {"weights": "random"}))
    found = exemplar_features(encoder, neurons(1, side=224))
    assert found.shape == (1, 3, encoder.width) and np.isfinite(found.numpy()).all()


@pytest.mark.parametrize("written", ["", "[]", "-1", "99", "NaN", "9" * 5000, "true"])
def test_a_damaged_record_of_progress_begins_anew(tmp_path: Path, written: str) -> None:
    record = tmp_path / "done.json"
    record.write_text(written)
    with pytest.warns(Notice, match="computed anew"):
        assert _done(record, 10) == 0
    record.write_text("7")
    assert _done(record, 10) == 7

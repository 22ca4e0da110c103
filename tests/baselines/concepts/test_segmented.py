from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from baselines.concepts.images import ConceptImages, framed_labels
from baselines.concepts.names import open_concepts
from baselines.concepts.packing import packed
from baselines.concepts.segmented import PictureFolder, Segmented, halves
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing

NAMES = {0: "red thing", 1: "green thing", 2: "blue thing"}


class ByColour(nn.Module):
    """A segmentation model that is certain: the class is the brightest channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.config = SimpleNamespace(id2label=NAMES)
        self.batches: list[int] = []

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        self.batches.append(len(pixel_values))
        return SimpleNamespace(logits=pixel_values * self.scale)


class Plain:
    """An image processor that does nothing but resize to 56 × 56."""

    def __call__(self, images: list[Image.Image], return_tensors: str) -> Mapping[str, Tensor]:
        arrays = [np.asarray(i.resize((56, 56), Image.Resampling.NEAREST)) for i in images]
        return {"pixel_values": torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float()}


def pictures(folder: Path, count: int = 5) -> Path:
    folder.mkdir()
    for index in range(count):
        channel = classes(index)
        rgb = np.stack([np.where(channel == c, 250, 10) for c in range(3)], axis=2)
        Image.fromarray(rgb.astype(np.uint8)).save(folder / f"{index}.png")
    return folder


def classes(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 3, (7, 7)).repeat(8, 0).repeat(8, 1)


def test_labels_are_the_models_classes(tmp_path: Path) -> None:
    model = ByColour()
    folder = PictureFolder(pictures(tmp_path / "p"))
    source = Segmented(folder, (model, Plain()), device="cpu", batch_size=2)
    assert [(c.name, c.category, c.number) for c in source.concepts] == [
        (name, "object", number + 1) for number, name in NAMES.items()
    ]
    for index in range(5):
        np.testing.assert_array_equal(source.labels(index).pixels[0], classes(index) + 1)
    assert model.batches == [2, 2, 1]  # each image once
    found = packed(source, folder=tmp_path / "packed")
    assert found.shape == (56, 56)
    np.testing.assert_array_equal(found.mask(3, 2), classes(3) == 2)


def test_halves_are_cut_at_the_middle_of_the_bounding_box() -> None:
    region = np.zeros((6, 7), dtype=np.uint16)
    region[1:4, 2:6] = 1  # three rows, four columns
    vertical, horizontal = halves(region, 2)
    code = 2
    assert set(vertical[1:2, 2:6].ravel()) == {code + 2}  # top: (1 + 4) // 2 = 2
    assert set(vertical[2:4, 2:6].ravel()) == {code + 6}  # bottom
    assert set(horizontal[1:4, 4:6].ravel()) == {code + 4}  # right
    assert set(horizontal[1:4, 2:4].ravel()) == {code + 8}  # left


def test_what_is_too_small_has_no_halves() -> None:
    region = np.zeros((5, 5), dtype=np.uint16)
    region[2, 1:4] = 1  # one row
    vertical, horizontal = halves(region, 2)
    assert set(vertical[2, 1:4]) == {0}
    assert set(horizontal[2, 1:4]) == {2 + 4, 2 + 8}


def test_what_touches_by_a_corner_is_one_region() -> None:
    region = np.zeros((4, 4), dtype=np.uint16)
    region[:2, :2] = region[2:, 2:] = 1
    vertical, horizontal = halves(region, 2)
    np.testing.assert_array_equal(vertical[region == 1], [4] * 4 + [8] * 4)  # top, then bottom
    np.testing.assert_array_equal(horizontal[region == 1], [10] * 4 + [6] * 4)  # left, then right


def test_quads_are_parts(tmp_path: Path) -> None:
    folder = PictureFolder(pictures(tmp_path / "p", 1))
    source = Segmented(folder, (ByColour(), Plain()), device="cpu", quads=True)
    labels = source.labels(0).pixels
    assert labels.shape == (3, 56, 56)
    names = ["", *(c.name for c in source.concepts)]
    for position in range(3):
        plain, mine = names[position + 1], labels[0] == position + 1
        assert {names[code] for code in np.unique(labels[1][mine])} == {f"{plain}-t", f"{plain}-b"}
        assert {names[code] for code in np.unique(labels[2][mine])} == {f"{plain}-r", f"{plain}-l"}
    assert source.categories == ("object", "part")
    assert source.concepts[3].category == "part"


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    torch.manual_seed(0)
    config = SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[4, 1], hidden_sizes=[8, 16],
        patch_sizes=[7, 3], strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
        decoder_hidden_size=16, id2label={0: "wall", 1: "sky", 2: "tree", 3: "road"},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("segformer")
    SegformerForSemanticSegmentation(config).eval().save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def test_a_model_of_transformers(tmp_path: Path, segformer: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    where = pictures(tmp_path / "p", 3)
    source = open_concepts(f"segmenter:{where}?model={segformer}", "cpu")
    assert [c.name for c in source.concepts] == ["wall", "sky", "tree", "road"]
    processor = AutoImageProcessor.from_pretrained(segformer)
    module = AutoModelForSemanticSegmentation.from_pretrained(segformer)
    inputs = processor(images=[source.image(1)], return_tensors="pt")
    with torch.no_grad():
        output = module(**inputs)
    wanted = processor.post_process_semantic_segmentation(output, target_sizes=[(56, 56)])[0]
    np.testing.assert_array_equal(source.labels(1).pixels[0], wanted.numpy() + 1)
    again = open_concepts(f"segmenter:{where}?model={segformer}", "cpu")
    assert again.identity() == source.identity()
    with_quads = open_concepts(f"segmenter:{where}?model={segformer}&quads=1", "cpu")
    assert with_quads.identity() != source.identity()


class Cropping(Plain):
    """An image processor as of models that were tested on the middle of pictures."""

    do_center_crop = True

    def __call__(
        self, images: list[Image.Image], return_tensors: str, do_center_crop: bool = True
    ) -> Mapping[str, Tensor]:
        assert all(image.width == image.height for image in images)
        if do_center_crop:
            images = [image.crop((14, 14, 42, 42)) for image in images]
        return super().__call__(images, return_tensors)


@pytest.mark.parametrize("frame", ["squash", "crop"])
def test_the_whole_of_a_wide_picture_is_labelled(tmp_path: Path, frame: str) -> None:
    rgb = np.full((40, 80, 3), 10, dtype=np.uint8)
    rgb[:, :20, 0] = rgb[:, 20:60, 1] = rgb[:, 60:, 2] = 250  # a quarter, a half, a quarter
    (tmp_path / "p").mkdir()
    Image.fromarray(rgb).save(tmp_path / "p/wide.png")
    source = Segmented(PictureFolder(tmp_path / "p"), (ByColour(), Cropping()), device="cpu")
    labels = source.labels(0).pixels[0]
    assert np.bincount(labels.ravel()).tolist() == [0, 14 * 56, 28 * 56, 14 * 56]
    assert source.image(0).size == (80, 80)
    # The network has to see what is labelled, whichever way it looks.
    images = ConceptImages(source, frame, Preprocessing(size=56, mean=(0,) * 3, std=(1,) * 3))
    seen = images.inputs(0).argmax(0).numpy()
    mapped = framed_labels(source.labels(0), frame, (56, 56)).reshape(56, 56)
    assert (seen + 1 == mapped).mean() > 0.95  # all but the seams


class Padding(Plain):
    """An image processor that pads, whatever it is told."""

    def __call__(self, images: list[Image.Image], return_tensors: str) -> Mapping[str, Tensor]:
        inputs = super().__call__(images, return_tensors)
        return {**inputs, "pixel_mask": torch.arange(56) < 50}


def test_pictures_are_not_padded(tmp_path: Path) -> None:
    folder = PictureFolder(pictures(tmp_path / "p", 1))
    with pytest.raises(InputError, match="pads pictures"):
        Segmented(folder, (ByColour(), Padding()), device="cpu").labels(0)


def test_few_maps_are_kept_whatever_the_order(tmp_path: Path) -> None:
    model = ByColour()
    folder = PictureFolder(pictures(tmp_path / "p", 12))
    source = Segmented(folder, (model, Plain()), device="cpu", batch_size=1)
    for index in reversed(range(12)):
        source.labels(index)
    source.labels(3)  # of the last few: known
    assert len(model.batches) == 12
    source.labels(11)  # too far back: made again
    assert len(model.batches) == 13


def test_a_model_of_masks(tmp_path: Path) -> None:
    from transformers import (
        DetrConfig,
        MaskFormerConfig,
        MaskFormerForInstanceSegmentation,
        MaskFormerImageProcessor,
        SwinConfig,
    )

    torch.manual_seed(0)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    config = MaskFormerConfig(
        backbone_config=SwinConfig(
            embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_features=stages
        ),
        decoder_config=DetrConfig(
            encoder_layers=1, decoder_layers=1, d_model=32, num_queries=9,
            encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=16, decoder_ffn_dim=16,
        ),
        fpn_feature_size=32, mask_feature_size=32, init_xavier_std=9.0, id2label=NAMES,
    )  # fmt: skip
    MaskFormerForInstanceSegmentation(config).save_pretrained(tmp_path / "m")
    processor = MaskFormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    processor.save_pretrained(tmp_path / "m")
    source = Segmented(PictureFolder(pictures(tmp_path / "p", 2)), tmp_path / "m", device="cpu")
    assert [c.name for c in source.concepts] == list(NAMES.values())
    module = MaskFormerForInstanceSegmentation.from_pretrained(tmp_path / "m")
    with torch.no_grad():
        output = module(**processor(images=[source.image(1)], return_tensors="pt"))
    wanted = processor.post_process_semantic_segmentation(output, target_sizes=[(56, 56)])[0]
    np.testing.assert_array_equal(source.labels(1).pixels[0], wanted.numpy() + 1)


def test_a_model_that_was_not_trained_for_segmentation(tmp_path: Path, segformer: Path) -> None:
    from transformers import SegformerConfig, SegformerForImageClassification

    config = SegformerConfig.from_pretrained(segformer)
    shutil.copytree(segformer, tmp_path / "m")
    SegformerForImageClassification(config).save_pretrained(tmp_path / "m")
    with pytest.raises(
        InputError, match=r"weights lack .* decode_head.*trained as a segmentation model"
    ):
        Segmented(PictureFolder(pictures(tmp_path / "p", 1)), tmp_path / "m", device="cpu")


@pytest.mark.parametrize("what", ["code", "pickle", "damaged"])
def test_models_that_are_not_safe(tmp_path: Path, segformer: Path, what: str) -> None:
    folder, ran = tmp_path / "m", tmp_path / "ran"
    shutil.copytree(segformer, folder)
    weights = folder / "model.safetensors"
    if what == "code":
        plain = json.loads((folder / "config.json").read_text())
        plain |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
        (folder / "config.json").write_text(json.dumps(plain))
        (folder / "mine.py").write_text(f"open({str(ran)!r}, 'w')\n")
    elif what == "pickle":
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
    else:
        weights.write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be loaded"):
        Segmented(PictureFolder(pictures(tmp_path / "p", 1)), folder, device="cpu")
    assert not ran.exists()


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_models_that_cannot_be_loaded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be loaded"):
        open_concepts(f"segmenter:{pictures(tmp_path / 'p', 1)}?model={tmp_path / name}")


def test_logits_of_another_shape(tmp_path: Path) -> None:
    model: Any = ByColour()
    model.config.id2label = {0: "a", 1: "b"}
    folder = PictureFolder(pictures(tmp_path / "p", 1))
    with pytest.raises(InputError, match="2 classes"):
        Segmented(folder, (model, Plain()), device="cpu").labels(0)


def test_pictures_that_there_are_not(tmp_path: Path, segformer: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_concepts(f"segmenter:{tmp_path / 'none'}?model={segformer}")
    folder = pictures(tmp_path / "p", 2)
    (folder / "0.png").write_text("no picture")
    source = open_concepts(f"segmenter:{folder}?model={segformer}", "cpu")
    assert "0.png" in source.check()[0]
    with pytest.raises(InputError, match=r"0.png cannot be read"):
        source.labels(0)


def test_a_generators_own_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="segmenter:generated:COUNT"):
        open_concepts("segmenter:generated:5?model=x")
    with pytest.raises(InputError, match="it generates none"):
        open_concepts("segmenter:generated:5?model=x&generator=resnet18&weights=random")

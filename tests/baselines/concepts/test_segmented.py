from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from baselines.concepts.names import open_concepts
from baselines.concepts.packing import packed
from baselines.concepts.segmented import PictureFolder, Segmented, halves
from milannotations.errors import InputError

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

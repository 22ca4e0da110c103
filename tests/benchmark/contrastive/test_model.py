"""Contrastive models: embeddings as transformers' own, and attention restricted to a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn import functional
from transformers import BlipConfig, BlipModel, CLIPImageProcessor, CLIPModel

from baselines.milan.clip import ClipReranker
from benchmark.contrastive import ContrastiveModel, masked_attention
from milannotations.describer import Description
from milannotations.errors import InputError
from tests.baselines.milan.made_up import neurons
from tests.baselines.tiny_transformers import PATCH, SIDE, tiny_clip, tiny_siglip, word_tokenizer

TEXTS = ["red circles", "a dog", "blue striped squares and things"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_siglip(tmp_path_factory.mktemp("siglip"))


def pictures(count: int = 3, side: int = SIDE) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 255, (side, side, 3)).astype(np.uint8))
        for _ in range(count)
    ]


def test_embeddings_are_those_of_transformers(clip: Path) -> None:
    model, theirs = ContrastiveModel(str(clip), batch_size=2), CLIPModel.from_pretrained(clip)
    theirs.eval()
    with torch.no_grad():
        tokens = word_tokenizer()(TEXTS, padding="max_length", max_length=16, return_tensors="pt")
        outputs = theirs(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"],
            **CLIPImageProcessor.from_pretrained(clip)(images=pictures(), return_tensors="pt"),
        )  # fmt: skip
    assert torch.allclose(model.texts(TEXTS), outputs.text_embeds, atol=1e-5)
    assert torch.allclose(model.images(pictures()), outputs.image_embeds, atol=1e-5)


def masked_by_hand(folder: Path, picture: Image.Image, weights: torch.Tensor) -> torch.Tensor:
    """The image embedding when the class token's attention is multiplied, head by head."""
    model = CLIPModel.from_pretrained(folder).eval()
    pixels = CLIPImageProcessor.from_pretrained(folder)(images=[picture], return_tensors="pt")
    vision = model.vision_model
    with torch.no_grad():
        x = vision.pre_layrnorm(vision.embeddings(pixels["pixel_values"]))[0]
        for layer in vision.encoder.layers:
            normed = layer.layer_norm1(x)
            attend = layer.self_attn
            heads = []
            width = attend.head_dim
            for head in range(attend.num_heads):
                part = slice(head * width, (head + 1) * width)
                q, k, v = (
                    project(normed)[:, part]
                    for project in (attend.q_proj, attend.k_proj, attend.v_proj)
                )
                attention = (q @ k.T / width**0.5).softmax(-1)
                attention[0, 1:] = attention[0, 1:] * weights
                heads.append(attention @ v)
            x = x + attend.out_proj(torch.cat(heads, -1))
            x = x + layer.mlp(layer.layer_norm2(x))
        return functional.normalize(model.visual_projection(vision.post_layernorm(x[0])), dim=0)


def test_masked_attention_by_hand(clip: Path) -> None:
    model, picture = ContrastiveModel(str(clip)), pictures(1)[0]
    mask = torch.zeros(1, SIDE, SIDE)
    mask[0, : PATCH + PATCH // 2, : 2 * PATCH] = 1  # covers patches wholly and by half
    weights = functional.adaptive_avg_pool2d(mask, SIDE // PATCH)[0].flatten()
    assert set(weights.tolist()) == {0.0, 0.5, 1.0}
    found = model.images([picture], mask)[0]
    assert torch.allclose(found, masked_by_hand(clip, picture, weights), atol=1e-5)


def test_a_mask_of_ones_changes_nothing_and_the_model_is_left_as_it_was(clip: Path) -> None:
    model = ContrastiveModel(str(clip))
    whole = model.images(pictures())
    ones = torch.ones(3, SIDE, SIDE)
    assert torch.allclose(model.images(pictures(), ones), whole, atol=1e-5)
    masks = torch.zeros(3, SIDE, SIDE)
    masks[:, :4] = 1
    assert not torch.allclose(model.images(pictures(), masks), whole, atol=1e-3)
    assert torch.equal(model.images(pictures()), whole)
    # Each image has its own mask, whatever its neighbours'.
    alone = model.images(pictures()[1:2], masks[1:2])
    assert torch.allclose(alone, model.images(pictures(), masks)[1:2], atol=1e-5)


def test_siglip_has_no_class_token(siglip: Path) -> None:
    model = ContrastiveModel(str(siglip))
    assert model.texts(TEXTS).shape == model.images(pictures()).shape
    with pytest.raises(InputError, match="no class token"):
        model.images(pictures(), torch.ones(3, SIDE, SIDE))
    with pytest.raises(InputError, match="clip_weight=1"):
        ClipReranker(str(siglip))
    ClipReranker(str(siglip), weight=1)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_reranking_by_hand(clip: Path, weight: float) -> None:
    records = neurons(2)
    reranker = ClipReranker(str(clip), weight=weight)
    found = [Description(text=TEXTS[0], alternatives=tuple(TEXTS[1:]))] * 2
    ordered = reranker.reorder(records, found, alternatives=2)
    model = ContrastiveModel(str(clip))
    said = model.texts(TEXTS)
    for record, description in zip(records, ordered, strict=True):
        scores = torch.zeros(3)
        for image, mask in zip(record["images"], record["masks"], strict=True):
            pixels = torch.from_numpy(np.array(mask)).float()
            patches = functional.adaptive_avg_pool2d(pixels[None], SIDE // PATCH).flatten()
            inside = masked_by_hand(clip, image, patches)
            scores += (1 - weight) * (said @ inside) + weight * (said @ model.images([image])[0])
        order = (scores / 3).argsort(descending=True).tolist()
        assert [description.text, *description.alternatives] == [TEXTS[i] for i in order]
        assert description.score == pytest.approx(float(scores.max()) / 3, abs=1e-5)


def test_masks_that_would_be_ignored(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BLIP has a class token, and an attention of its own that nothing can restrict."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
             "num_attention_heads": 4}  # fmt: skip
    config = BlipConfig(
        text_config={"vocab_size": len(word_tokenizer()), "max_position_embeddings": 16, **sizes},
        vision_config={"image_size": SIDE, "patch_size": PATCH, **sizes},
    )
    BlipModel(config).save_pretrained(tmp_path)
    for file in clip.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="cannot be restricted to a mask"):
        ClipReranker(str(tmp_path))
    ClipReranker(str(tmp_path), weight=1)
    # The same where a version of transformers does not let CLIP's be replaced.
    monkeypatch.setattr(transformers.AttentionInterface, "register", lambda *arguments: None)
    monkeypatch.setattr(masked_attention, "_NAME", "eager")
    with pytest.raises(InputError, match="cannot be restricted to a mask"):
        ClipReranker(str(clip))


def test_half_precision_is_computed_in_full(tmp_path: Path, clip: Path) -> None:
    for file in clip.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    CLIPModel.from_pretrained(clip).half().save_pretrained(tmp_path)
    model = ContrastiveModel(str(tmp_path))
    assert model.module.dtype == torch.float32
    rounded = CLIPModel.from_pretrained(clip).half().float().eval()
    pixels = CLIPImageProcessor.from_pretrained(clip)(images=pictures(), return_tensors="pt")
    with torch.no_grad():
        expected = rounded.get_image_features(**pixels)
    expected = expected if isinstance(expected, torch.Tensor) else expected.pooler_output
    expected = functional.normalize(expected, dim=1)
    assert torch.allclose(model.images(pictures()), expected, atol=1e-5)


def test_what_is_no_contrastive_model(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        ContrastiveModel(str(tmp_path / "missing"))
    with pytest.raises(InputError, match="between 0 and 1"):
        ClipReranker(str(clip), weight=2)
    (clip / "config.json").read_text()
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in clip.iterdir():
        if file.name != "model.safetensors":
            (broken / file.name).write_bytes(file.read_bytes())
    torch.save({}, broken / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        ContrastiveModel(str(broken))

"""Models that are not in the catalog, with the preprocessing their own libraries use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from milannotations.catalog import timm_models
from milannotations.catalog.models import load_model
from milannotations.errors import InputError
from milannotations.exemplars.sources import Preprocessing


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 15, 3)).astype(np.uint8))
    return coarse.resize((500, 400), Image.Resampling.BICUBIC)


def _ours(preprocessing: Preprocessing, picture: Image.Image) -> torch.Tensor:
    return preprocessing.tensor(preprocessing.view(picture))


@pytest.mark.parametrize("name", ["resnet18", "swin_t", "convnext_tiny", "vit_b_16"])
def test_preprocessing_is_torchvisions(name: str, picture: Image.Image) -> None:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    loaded = load_model(f"torchvision:{name}", "random")
    assert torch.allclose(
        _ours(loaded.preprocessing, picture), weights.transforms()(picture), atol=1e-5
    )


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "vit_base_patch16_siglip_224"]
)
def test_preprocessing_is_timms(name: str, picture: Image.Image) -> None:
    module = timm.create_model(name, pretrained=False)
    transform = create_transform(**resolve_model_data_config(module), is_training=False)
    found = _ours(timm_models.preprocessing(module), picture)
    assert torch.allclose(found, transform(picture), atol=1e-5)


_SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
          "intermediate_size": 32, "image_size": 32, "patch_size": 8}  # fmt: skip


def _saved(folder: Path, kind: str) -> Path:
    t = transformers
    size = {"height": 32, "width": 32}
    edge = {"shortest_edge": 36}
    made = {
        "clip": lambda: (t.CLIPVisionModel(t.CLIPVisionConfig(**_SMALL)),
                         t.CLIPImageProcessor(size=edge, crop_size=size)),
        "siglip": lambda: (t.SiglipVisionModel(t.SiglipVisionConfig(**_SMALL)),
                           t.SiglipImageProcessor(size=size)),
        "dinov2": lambda: (t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**_SMALL)),
                           t.BitImageProcessor(size=edge, crop_size=size)),
        "vit": lambda: (t.ViTModel(t.ViTConfig(**_SMALL)), t.ViTImageProcessor(size=size)),
        "mae": lambda: (t.ViTMAEModel(t.ViTMAEConfig(**_SMALL)), t.ViTImageProcessor(size=size)),
        "convnext": lambda: (
            t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1])),
            t.ConvNextImageProcessor(size={"shortest_edge": 56}, crop_pct=0.875)),
    }  # fmt: skip
    model, processor = made[kind]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2", "vit", "mae", "convnext"])
def test_preprocessing_is_that_of_transformers(
    kind: str, picture: Image.Image, tmp_path: Path
) -> None:
    folder = _saved(tmp_path / "model", kind)
    loaded = load_model(f"hf:{folder}")
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    theirs = processor(picture, return_tensors="pt")["pixel_values"][0]
    ours = _ours(loaded.preprocessing, picture)
    assert ours.shape == theirs.shape
    # Their resizing rounds to whole numbers at another place.
    assert float((ours - theirs).abs().mean()) < 0.01
    with torch.no_grad():
        loaded.module.eval()(ours[None])


def test_tokens_of_masked_autoencoders_stay_in_order(tmp_path: Path) -> None:
    module = load_model(f"hf:{_saved(tmp_path / 'model', 'mae')}").module.eval()
    embeddings = module.get_submodule("model.embeddings")
    image = torch.randn(2, 3, 32, 32)
    seen = []
    embeddings.register_forward_hook(lambda _m, _i, output: seen.append(output[0]))
    with torch.no_grad():
        module(image)
        patches = embeddings.patch_embeddings(image) + embeddings.position_embeddings[:, 1:]
    assert seen[0].shape == (2, 17, 16)
    assert torch.allclose(seen[0][:, 1:], patches, atol=1e-6)


def test_random_weights_of_transformers_and_timm_are_the_same_each_time(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model", "vit")
    for spec in (f"hf:{folder}", "timm:vit_tiny_patch16_224"):
        one, two = (load_model(spec, "random").module.state_dict() for _ in range(2))
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("resnet19", r"no model is named 'resnet19'; did you mean 'resnet1"),
        ("timm:vit_tinny_patch16_224", r"timm has no model .*did you mean 'vit_tiny"),
        ("hf:/no/such/folder", r"hf:/no/such/folder cannot be loaded"),
        ("hub:nowhere", r"write it as hub:OWNER/REPO:ENTRY"),
        ("no.such.module:factory", r"No module named 'no'"),
        ("json:dumps2", r"has no attribute 'dumps2'"),
        ("builtins:dict", r"gives a dict, not a torch\.nn\.Module"),
    ],
)
def test_bad_names(spec: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        load_model(spec, "random")


def test_torch_hub_runs_the_entry_of_a_repository(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[object, ...]] = []

    def load(repository: str, entry: str, **options: object) -> torch.nn.Module:
        asked.append((repository, entry, options["pretrained"]))
        if entry == "broken":
            raise RuntimeError("its code fails")
        return torch.nn.Conv2d(3, 4, 1)

    monkeypatch.setattr(torch.hub, "load", load)
    loaded = load_model("hub:someone/nets:small")
    assert asked == [("someone/nets", "small", True)]
    assert loaded.name == "someone/nets:small"
    with pytest.raises(InputError, match="its code fails"):
        load_model("hub:someone/nets:broken")

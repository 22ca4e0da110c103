"""Models that are not in the catalog, with the preprocessing their own libraries use."""

from __future__ import annotations

import json
import os
import sys
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
from milannotations.catalog.models import ENTRIES, load_model
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing


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


_TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 32, "vocab_size": 50, "projection_dim": 8,
         "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_of_models_of_pictures_and_texts_the_vision_tower_is_taken(
    kind: str, tmp_path: Path
) -> None:
    config = getattr(transformers, f"{kind}Config")(text_config=_TEXT, vision_config=_SMALL)
    full = getattr(transformers, f"{kind}Model")(config).eval()
    folder = _saved(tmp_path / "model", kind.lower())
    full.save_pretrained(folder)
    module = load_model(f"hf:{folder}").module.eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = module(images).last_hidden_state
        assert torch.equal(found, full.vision_model(images).last_hidden_state)
    assert not any("text" in name for name, _ in module.named_modules())
    other = load_model(f"hf:{folder}", "random").module
    assert type(other) is type(module)


def _timms_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the weights of a vision tower of transformers the names of timm."""
    renamed = {}
    for key, value in state.items():
        key = key.removeprefix("vision_model.").replace("encoder.layers", "blocks")
        for theirs, ours in {
            "embeddings.class_embedding": "cls_token", "layer_norm": "norm",
            "embeddings.patch_embedding": "patch_embed.proj", "pre_layrnorm": "norm_pre",
            "embeddings.position_embedding.weight": "pos_embed", "post_layernorm": "norm",
            "self_attn.out_proj": "attn.proj", "self_attn": "attn",
        }.items():  # fmt: skip
            key = key.replace(theirs, ours)
        value = value.reshape(1, 1, -1) if key == "cls_token" else value
        renamed[key] = value[None] if key == "pos_embed" else value
    for key in [key for key in renamed if ".q_proj." in key]:
        parts = [renamed.pop(key.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        renamed[key.replace("q_proj", "qkv")] = torch.cat(parts)
    return {key: value for key, value in renamed.items() if not key.startswith("head.")}


@pytest.mark.parametrize("name", ["clip_vitb32", "clip_vitl14", "siglip_vitb16"])
def test_networks_of_timm_compute_what_those_of_transformers_do(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "Siglip" if name.startswith("siglip") else "CLIP"
    config = getattr(transformers, f"{kind}VisionConfig")(**{**_SMALL, "intermediate_size": 64})
    theirs = getattr(transformers, f"{kind}VisionModel")(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.manual_seed(0))
    made, small = timm_models.make, {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}

    def make(timms: str, **options: object) -> torch.nn.Module:
        return made(timms, **{**options, **small, "img_size": 32, "mlp_ratio": 4})

    monkeypatch.setattr(timm_models, "make", make)
    entry = next(entry for entry in ENTRIES.values() if entry.name == name)
    ours = entry.make(None).eval()
    lacking = ours.load_state_dict(_timms_names(theirs.state_dict()), strict=False)
    assert not lacking.unexpected_keys
    assert all(key.startswith("attn_pool.") for key in lacking.missing_keys)
    seen: dict[str, torch.Tensor] = {}
    for who, path, module in (
        ("ours", "blocks.1.mlp.act", ours),
        ("theirs", "encoder.layers.1.mlp.activation_fn", theirs),
    ):
        found = next(m for n, m in module.named_modules() if n.endswith(path))
        found.register_forward_hook(lambda _m, _i, output, who=who: seen.update({who: output}))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        ours(images)
        theirs(images)
    assert float(seen["ours"].std()) > 0.1
    assert torch.allclose(seen["ours"], seen["theirs"], atol=1e-5)


def test_transformers_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model", "vit")
    module = transformers.ViTModel(transformers.ViTConfig(**_SMALL))
    state = {key: value for key, value in module.state_dict().items() if "1." not in key}
    module.save_pretrained(folder, state_dict=state)
    with pytest.raises(InputError, match=r"the weights lack \d+ parameters, such as \S*layer"):
        load_model(f"hf:{folder}")
    with pytest.raises(InputError, match="the weights lack"):
        load_model(f"hf:{folder}", str(folder / "model.safetensors"))
    # A classifier has no pooler, which nothing needs.
    transformers.ViTForImageClassification(transformers.ViTConfig(**_SMALL)).save_pretrained(folder)
    assert isinstance(load_model(f"hf:{folder}").module, transformers.ViTModel)


def test_weights_of_transformers_are_read_without_running_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    folder = _saved(tmp_path / "model", "vit")
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.cls_token": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="more than tensors"):
        load_model(f"hf:{folder}")
    assert not (tmp_path / "ran").exists()


def test_code_that_comes_with_a_model_of_transformers_is_not_run(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model", "vit")
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own"
    config["auto_map"] = {"AutoConfig": "own.C", "AutoModel": "own.C"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(f"hf:{folder}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"do_resize": False}, "does something to images that is not known"),
        ({"do_center_crop": False, "size": {"shortest_edge": 36}}, "differ in size"),
        ({"image_mean": None}, "does something to images that is not known"),
        ({"size": {"max_height": 8, "max_width": 8}}, "no fixed size"),
    ],
)
def test_image_processors_that_do_something_else_are_refused(
    options: dict[str, object], match: str, tmp_path: Path
) -> None:
    folder = _saved(tmp_path / "model", "clip")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **options}))
    with pytest.raises(InputError, match=match):
        load_model(f"hf:{folder}")


@pytest.mark.parametrize(
    "options", [{"rescale_factor": 1 / 127.5}, {"do_normalize": False}, {"do_rescale": False}]
)
def test_scales_of_image_processors_are_kept(
    options: dict[str, object], picture: Image.Image, tmp_path: Path
) -> None:
    folder = _saved(tmp_path / "model", "vit")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **options}))
    found = _ours(load_model(f"hf:{folder}").preprocessing, picture)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    theirs = processor(picture, return_tensors="pt")["pixel_values"][0]
    assert float((found - theirs).abs().mean()) < 0.01 * float(theirs.std())


def test_tokens_of_masked_autoencoders_stay_in_order(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model", "mae")
    module = load_model(f"hf:{folder}").module.eval()
    embeddings = module.get_submodule("embeddings")
    image = torch.randn(2, 3, 32, 32)
    seen = []
    embeddings.register_forward_hook(lambda _m, _i, output: seen.append(output[0]))
    with torch.no_grad():
        module(image)
        patches = embeddings.patch_embeddings(image) + embeddings.position_embeddings[:, 1:]
    assert seen[0].shape == (2, 17, 16)
    assert torch.allclose(seen[0][:, 1:], patches, atol=1e-6)
    # A file of weights has the names that transformers gives them.
    again = load_model(f"hf:{folder}", str(folder / "model.safetensors")).module
    assert torch.equal(again.state_dict()["embeddings.cls_token"], module.embeddings.cls_token)


def test_random_weights_of_transformers_and_timm_are_the_same_each_time(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model", "vit")
    for spec in (f"hf:{folder}", "timm:vit_tiny_patch16_224"):
        one, two = (load_model(spec, "random").module.state_dict() for _ in range(2))
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("resnet19", r"no model is named 'resnet19'; did you mean 'resnet1"),
        ("timm:vit_tinny_patch16_224", r"timm \S+ has no model .*did you mean 'vit_tiny"),
        ("hf:/no/such/folder", r"hf:/no/such/folder cannot be loaded"),
        ("hub:nowhere", r"write it as hub:OWNER/REPO:ENTRY"),
        ("no.such.module:factory", r"No module named 'no'"),
        ("json:dumps2", r"has no attribute 'dumps2'"),
        ("builtins:dict", r"gives a dict, not a torch\.nn\.Module"),
        ("sys:path", r"is a list, not a function"),
        (":factory", r"write it as package\.module:factory"),
        ("hub:owner/repo", r"write it as hub:OWNER/REPO:ENTRY"),
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
    load_model("hub:someone/nets:v2:small", "random")
    assert asked[1:] == [("someone/nets:v2", "small", False)]
    with pytest.raises(InputError, match="its code fails"):
        load_model("hub:someone/nets:broken")


def test_a_factory_is_found_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\ndef small():\n    return nn.Conv2d(3, 4, 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    one, two = (load_model("own_networks:small").module.state_dict() for _ in range(2))
    assert torch.equal(one["weight"], two["weight"])
    monkeypatch.delitem(sys.modules, "own_networks")


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for spec in ("timm:resnet18", "dino_vits8", "clip_vitb32"):
        with pytest.raises(InputError, match=r"pip install 'milannotations\[zoo\]'"):
            load_model(spec, "random")

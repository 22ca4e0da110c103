"""Every entry of the catalog: made, dissected, and loaded from what its authors published."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from milannotations.catalog import biggan_network
from milannotations.catalog.models import ENTRIES, load_model
from milannotations.catalog.releases import RELEASES
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.hook_points.matching import match_layers
from milannotations.inputs.generators import Latents
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    for index in range(3):
        coarse = Image.fromarray(rng.integers(0, 255, (9, 9, 3)).astype(np.uint8))
        coarse.resize((240, 230), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("config", ENTRIES)
def test_every_entry_dissects_a_small_set_of_images(
    config: str, pictures: Path, tmp_path: Path
) -> None:
    loaded = load_model(config, "random")
    entry = ENTRIES[config]
    assert (loaded.name, loaded.dataset) == (entry.name, "random")
    layers = match_layers(loaded.module, loaded.layers)
    if config not in RELEASES or loaded.name == "dino_vits8":
        layers = [layers[0], layers[-1]] if len(layers) > 2 else layers
    if loaded.latents is not None:
        source: ImageFolder | Latents = Latents(loaded.module.eval(), loaded.latents, 2, size=28)
    else:
        source = ImageFolder(pictures, loaded.preprocessing, size=28)
    options = BuildOptions(k=1, size=28, batch_size=2)
    report = build(
        BuildRequest(
            module=loaded.module,
            source=source,
            layers=layers,
            out=tmp_path / "out",
            model=loaded.name,
            dataset=loaded.dataset,
            options=options,
            layouts=loaded.layouts,
        )
    )
    assert list(report.layers) == layers
    for file in sorted((tmp_path / "out" / "data").glob("*.parquet")):
        table = pq.read_table(file, columns=["unit", "activations", "threshold"])
        assert np.isfinite(table["threshold"].to_numpy()).all()
    # Maps are laid out: what is tokens or has channels last is no wider than its image.
    for units, height, width in report.layers.values():
        assert 1 <= height == width <= 256
        assert units >= 3
    if config in RELEASES:
        published = RELEASES[config].layers
        found = {layer: shape[0] for layer, shape in report.layers.items()}
        if config == "dino_vits8-imagenet":  # the first 100 units of each were annotated
            assert found == dict.fromkeys(layers, 1536)
            assert match_layers(loaded.module, loaded.layers) == list(published)
            assert {shape[1:] for shape in report.layers.values()} == {(28, 28)}
        else:
            assert found == published


def test_random_weights_are_the_same_each_time_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = (load_model("squeezenet1_0", "random").module for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


@pytest.mark.parametrize(
    "config", ["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
)
def test_layers_of_vgg_are_the_last_convolutions_of_its_blocks(config: str) -> None:
    entry = ENTRIES[f"{config}-imagenet"]
    with torch.device("meta"):
        features = entry.make(None).get_submodule("features")
    steps = list(features.named_children())
    between = 3 if config.endswith("_bn") else 2
    last = [
        f"features.{name}"
        for (name, step), (_, following) in zip(steps, steps[between:], strict=False)
        if isinstance(step, nn.Conv2d) and isinstance(following, nn.MaxPool2d)
    ]
    # On VGG-11 the original code begins with its first convolution, the only one of its block.
    assert entry.layers == tuple(last)


def test_models_dissected_for_the_published_data_see_images_as_they_did_then() -> None:
    for config, release in RELEASES.items():
        if release.model != "biggan":
            assert ENTRIES[config].preprocessing == Preprocessing()


@pytest.mark.parametrize("name", ["clip_vitb32", "clip_vitl14"])
def test_clip_has_the_activation_function_it_was_trained_with(name: str) -> None:
    entry = next(entry for entry in ENTRIES.values() if entry.name == name)
    with torch.device("meta"):
        act = entry.make(None).get_submodule("blocks.0.mlp.act")
    values = torch.linspace(-4, 4, 50)
    assert torch.allclose(act(values), values * torch.sigmoid(1.702 * values), atol=1e-6)


def test_documents_list_every_entry_with_its_layers() -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    rows = {
        cells[1].strip(" `"): cells
        for cells in (line.split("|") for line in page.splitlines())
        if len(cells) == 5
    }
    for config, entry in ENTRIES.items():
        assert f"`{entry.layers[0]}`" in rows[config][2], config
        assert f"`{entry.layers[-1]}`" in rows[config][2], config


@pytest.mark.parametrize("spec", ["resnet18/places365", "resnet18-places365"])
def test_spellings(spec: str) -> None:
    assert load_model(spec, "random", "places365").dataset == "places365"
    assert load_model(spec, "random").module.get_submodule("fc").out_features == 365
    assert load_model("resnet18", "random").module.get_submodule("fc").out_features == 1000


def _places_bottlenecks(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a ResNet-152 the names of the published checkpoint."""
    places = {"conv1": "0", "bn1": "1", "conv2": "3", "bn2": "4", "conv3": "6", "bn3": "7"}
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] in "4567" and len(parts) > 2:
            stage, block, *rest = parts
            inner = ["0", "1", *rest[1:]] if rest[0] == "downsample" else [
                "0", "0", places[rest[0]], *rest[1:]
            ]  # fmt: skip
            key = ".".join([stage, block, *inner])
        elif parts[0] == "10":
            key = f"10.1.{parts[1]}"
        renamed[key] = value
    return renamed


def _vgg_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a VGG-16 the names of Caffe's."""
    convolutions = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3",
                    "5_1", "5_2", "5_3"]  # fmt: skip
    numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    names = {
        f"features.{n}": f"features.conv{c}" for n, c in zip(numbers, convolutions, strict=True)
    }
    names |= {"classifier.0": "classifier.fc6", "classifier.3": "classifier.fc7",
              "classifier.6": "classifier.fc8a"}  # fmt: skip
    return {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
        for key, value in state.items()
    }


def _wrapped(state: dict[str, Tensor]) -> dict[str, object]:
    """Wrap weights as a training script saves them, with DataParallel's prefix."""
    return {"state_dict": {f"module.{key}": value for key, value in state.items()}, "model": None}


@pytest.mark.parametrize(
    ("config", "publish"),
    [
        pytest.param("resnet152-places365", _places_bottlenecks, marks=pytest.mark.slow),
        pytest.param("vgg16-places365", _vgg_names, marks=pytest.mark.slow),
        ("alexnet-places365", lambda state: {"state_dict": state}),
        (
            "resnet18-imagenet-blurred",
            lambda state: {k: v for k, v in _wrapped(state).items() if v},
        ),
        ("densenet121-imagenet-blurred", dict),
        # PyTorch's example wraps the features of AlexNet and of VGG alone.
        (
            "alexnet-imagenet-blurred",
            lambda state: {
                "state_dict": {
                    k.replace("features.", "features.module."): v for k, v in state.items()
                },
                "epoch": 90,
                "arch": "alexnet",
                "optimizer": {"state": {}},
            },
        ),
    ],
)
def test_checkpoints_in_their_published_form_load(config: str, publish, tmp_path: Path) -> None:
    module = load_model(config, "random").module
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.01
    torch.save(publish(module.state_dict()), tmp_path / "published.pth")
    loaded = load_model(config, str(tmp_path / "published.pth"))
    assert loaded.dataset == "published"
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, loaded.module.state_dict()[name]), name
    # The network's own names are taken as well.
    torch.save(module.state_dict(), tmp_path / "own.pth")
    again = load_model(config, str(tmp_path / "own.pth"), "mine")
    assert again.dataset == "mine"
    first = next(iter(module.state_dict()))
    assert torch.equal(again.module.state_dict()[first], module.state_dict()[first])


def test_alexnet_in_order_computes_what_torchvision_computes() -> None:
    original = torchvision.models.alexnet(weights=None).eval()
    entry = ENTRIES["alexnet-imagenet"]
    ours = entry.make(None).eval()
    ours.load_state_dict(dict(entry.convert(original.state_dict())))
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(ours(images), original(images))


@pytest.mark.parametrize(
    "config", ["resnet18", "alexnet", "vgg16/places365", "resnet152/places365", "biggan"]
)
def test_weights_that_do_not_fit_name_what_is_missing(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(biggan_network, "_IN", (4, 4, 2, 2, 1, 1))  # smaller, hence faster
    # Names and shapes that no renaming expects.
    state = {name: torch.zeros(shape) for name, shape in {
        "conv1.weight": 1, "features.denseblock1": 1, "4.0.0.0.9.weight": 1, "shared.weight": 1,
        "linear.weight": (), "linear.u0": 3, "features.99.weight": 1,
    }.items()}  # fmt: skip
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth do not fit the model: .*(?s:.*)Missing key"):
        load_model(config, str(tmp_path / "w.pth"))


def test_state_dictionaries_are_found_in_what_training_scripts_save(tmp_path: Path) -> None:
    module = load_model("squeezenet1_0", "random").module
    state = {f"module.{key}": value + 1 for key, value in module.state_dict().items()}
    for saved in (
        {"teacher": state},
        {"G_ema": state, "epoch": 3},
        {"model": {"state_dict": state}},
    ):
        torch.save(saved, tmp_path / "w.pth")
        loaded = load_model("squeezenet1_0", str(tmp_path / "w.pth")).module.state_dict()
        for key, value in module.state_dict().items():
            assert torch.equal(loaded[key], value + 1)
    other = {key: value + 1 for key, value in state.items()}
    torch.save({"left": state, "right": other}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"several state dictionaries \(left, right\)"):
        load_model("squeezenet1_0", str(tmp_path / "w.pth"))


def test_published_weights_are_read_without_running_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    # Files that are there already are not downloaded again.
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for config in ("alexnet/places365", "resnet18/imagenet", "dino_vits8"):
        entry = (
            ENTRIES[config.replace("/", "-")] if "/" in config else ENTRIES[f"{config}-imagenet"]
        )
        url = entry.source
        if url.startswith("torchvision"):
            url = torchvision.models.get_model_weights(entry.name)["IMAGENET1K_V1"].url
        torch.save({"fc.weight": Evil()}, tmp_path / "checkpoints" / Path(url).name)
        with pytest.raises(InputError, match="more than tensors"):
            load_model(config)
    assert not (tmp_path / "ran").exists()


def test_weights_to_be_downloaded_by_hand_say_where() -> None:
    with pytest.raises(InputError, match=r"by hand from https://drive\.google\.com"):
        load_model("vgg11/imagenet-blurred")


def test_downloads_that_fail_name_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    for config in ("biggan/imagenet", "resnet152/places365", "dino_vits8"):
        with pytest.raises(InputError, match=r"cannot be downloaded \(http.*no route.*--weights"):
            load_model(config)


def test_spectral_norms_are_divided_out() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3)
    left, values, _ = torch.linalg.svd(weight.flatten(1))
    state = {"blocks.0.0.conv1.weight": weight, "blocks.0.0.conv1.u0": left[:, :1].T,
             "blocks.0.0.conv1.sv0": torch.ones(1), "blocks.3.1.gamma": torch.ones(())}  # fmt: skip
    found = biggan_network.convert(state)
    assert torch.allclose(found["layer0.conv1.weight"], weight / values[0], atol=1e-5)
    assert set(found) == {"layer0.conv1.weight", "attn3.gamma", "norm.num_batches_tracked"}


@pytest.mark.parametrize("deeper", ["bn.running", "bn.stored"])
def test_statistics_of_the_release_are_found_where_options_of_training_put_them(
    deeper: str,
) -> None:
    ones = torch.ones(2)
    state = {f"blocks.1.0.bn2.{deeper}_var": ones, f"output_layer.0.{deeper}_mean": ones,
             "blocks.1.0.bn2.bn.num_batches_tracked": ones,
             "blocks.1.0.bn2.bn.accumulation_counter": ones}  # fmt: skip
    assert set(biggan_network.convert(state)) == {
        "layer1.bn2.stored_var", "norm.running_mean", "norm.num_batches_tracked",
    }  # fmt: skip


@pytest.mark.parametrize("attention", [None, 3, 4])
def test_biggans_sizes_are_read_from_its_weights(attention: int | None) -> None:
    small = biggan_network.BigGAN(8, classes=5, chunk=3, shared=4, attention=attention).eval()
    again = biggan_network.for_state(small.state_dict())
    again.load_state_dict(small.state_dict())
    latents, labels = torch.randn(2, small.latent), torch.tensor([1, 4])
    with torch.no_grad():
        images = again.eval()(latents, labels)
        assert torch.equal(images, small(latents, labels))
    assert images.shape == (2, 3, 256, 256)
    assert float(images.abs().max()) <= 1
    assert small.latent == 21

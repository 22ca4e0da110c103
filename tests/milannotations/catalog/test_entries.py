"""Every entry of the catalog: made, dissected, and loaded from what its authors published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from milannotations.catalog import biggan_network
from milannotations.catalog.models import ENTRIES, load_model
from milannotations.catalog.releases import RELEASES
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.generators import Latents
from milannotations.exemplars.instrument import match_layers
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.sources import ImageFolder


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
        loaded.module, source, layers, tmp_path / "out", model=loaded.name,
        dataset=loaded.dataset, options=options, layouts=loaded.layouts,
    )  # fmt: skip
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
        ("resnet152-places365", _places_bottlenecks),
        ("vgg16-places365", _vgg_names),
        ("alexnet-places365", lambda state: {"state_dict": state}),
        (
            "resnet18-imagenet-blurred",
            lambda state: {k: v for k, v in _wrapped(state).items() if v},
        ),
        ("densenet121-imagenet-blurred", dict),
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
    import torchvision

    original = torchvision.models.alexnet(weights=None).eval()
    entry = ENTRIES["alexnet-imagenet"]
    ours = entry.make(None).eval()
    ours.load_state_dict(dict(entry.convert(original.state_dict())))
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(ours(images), original(images))


def test_weights_that_do_not_fit_name_what_is_missing(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth do not fit the model: .*(?s:.*)Missing key"):
        load_model("resnet18", str(tmp_path / "w.pth"))


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

"""The small network, and classifiers whose number of classes comes from their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from milannotations.catalog.models import load_model
from milannotations.catalog.small import LAYERS, SIZE, WIDTHS, SmallNet
from milannotations.errors import InputError


@pytest.mark.parametrize(("classes", "widths"), [(4, WIDTHS), (13, (4, 5, 6, 7, 8))])
def test_sizes_come_from_the_weights(classes: int, widths: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = SmallNet(classes, widths).eval()
    save_file(module.state_dict(), tmp_path / "mine.safetensors")
    loaded = load_model("smallnet", str(tmp_path / "mine.safetensors"))
    assert (loaded.name, loaded.dataset, loaded.layers) == ("smallnet", "mine", LAYERS)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(loaded.module.eval()(images), module(images))
        assert module(images).shape == (2, classes)


def test_layers_are_rectified_and_the_last_still_says_where() -> None:
    module = SmallNet().eval()
    maps = torch.randn(2, 3, SIZE, SIZE)
    for name, width in zip(LAYERS, WIDTHS, strict=True):
        maps = module.get_submodule(name)(maps)
        assert maps.shape[1] == width
        assert maps.min() == 0
    assert maps.shape[2:] == (12, 12)
    assert 200 <= sum(WIDTHS) <= 400


def test_there_are_no_published_weights_and_wrong_ones_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train one"):
        load_model("smallnet")
    save_file({"fc.weight": torch.zeros(3, 2)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="do not fit the model"):
        load_model("smallnet", str(tmp_path / "w.safetensors"))
    with pytest.raises(InputError, match="5 widths"):
        SmallNet(3, (1, 2))


@pytest.mark.parametrize(
    "spec",
    ["resnet18", "resnet18/imagenet-blurred", "squeezenet1_0", "torchvision:mobilenet_v3_small"],
)
def test_classifiers_of_torchvision_take_their_classes_from_weights(
    spec: str, tmp_path: Path
) -> None:
    name = spec.removeprefix("torchvision:").partition("/")[0]
    module = torchvision.models.get_model(name, weights=None, num_classes=7).eval()
    save_file(module.state_dict(), tmp_path / "seven.safetensors")
    loaded = load_model(spec, str(tmp_path / "seven.safetensors")).module.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(images), module(images))

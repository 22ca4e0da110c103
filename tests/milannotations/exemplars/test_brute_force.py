"""The one-pass builder against one that holds all activations and takes the exact quantile."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder

K, SIZE = 4, 56
INPUT = Preprocessing(size=64, resize=64)


class Tokens(nn.Module):
    """Patches of 8 × 8 as tokens behind a class token and two registers, once mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.first = nn.Parameter(torch.randn(1, 3, 16))
        self.mlp = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.mlp(torch.cat([self.first.expand(len(x), -1, -1), tokens], 1))


class ChannelsLast(nn.Module):
    """A linear layer over channels that come last, as in Swin and ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 4, stride=4)
        self.mix = nn.Linear(12, 20)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.stem(x).permute(0, 2, 3, 1))


def _as_is(output: Tensor) -> Tensor:
    return output


def _from_tokens(output: Tensor) -> Tensor:
    # Row by row, after the class token and both registers.
    return output[:, 3:].reshape(len(output), 8, 8, -1).permute(0, 3, 1, 2)


def _from_last(output: Tensor) -> Tensor:
    return output.permute(0, 3, 1, 2)


def _pooled(output: Tensor) -> Tensor:
    return output.flatten(1)[:, :, None, None]


CASES: dict[str, tuple[Callable[[], nn.Module], str, Callable[[Tensor], Tensor]]] = {
    "relu": (resnet18, "layer1.0.bn2", _as_is),
    "convolution": (resnet18, "layer3", _as_is),
    "tokens": (Tokens, "mlp.1", _from_tokens),
    "channels last": (ChannelsLast, "mix", _from_last),
    "pooled": (resnet18, "fc", _pooled),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(2)
    for index in range(40):
        coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3)).astype(np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{index:02d}.png")
    return folder


def _brute_force(
    module: nn.Module, layer: str, to_maps: Callable[[Tensor], Tensor], source: ImageFolder
) -> dict[str, Tensor]:
    kept: list[Tensor] = []
    module.get_submodule(layer).register_forward_hook(lambda _m, _i, o: kept.append(o.clone()))
    module.eval()
    with torch.inference_mode():
        for index in range(len(source)):
            module(source.inputs(index)[None])
    maps = torch.cat([to_maps(output) for output in kept]).transpose(0, 1)
    # The least activation that at least 99 % do not exceed, as for the builder.
    ordered = maps.flatten(1).sort(dim=1).values
    threshold = ordered[:, math.ceil(0.99 * ordered.shape[1]) - 1]
    peaks = maps.flatten(2).amax(2)
    ids = peaks.argsort(dim=1, descending=True, stable=True)[:, :K]
    best = torch.stack([maps[unit, ids[unit]] for unit in range(len(maps))])
    large = functional.interpolate(best, size=SIZE, mode="bilinear", align_corners=False)
    # Where the threshold is the least activation, what is above it counts.
    dead = (threshold == maps.flatten(1).amin(1))[:, None, None, None]
    masks = torch.where(dead, large > 1e-12, large >= threshold[:, None, None, None] - 1e-6)
    if best.shape[-1] == 1:
        masks = torch.ones_like(masks)
    return {"ids": ids, "values": peaks.gather(1, ids), "threshold": threshold, "masks": masks}


def _mask(encoded: dict[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(encoded["bytes"])) as mask:
        return np.asarray(mask.convert("1"))


@pytest.mark.parametrize("name", CASES)
def test_builder_equals_brute_force(name: str, pictures: Path, tmp_path: Path) -> None:
    make, layer, to_maps = CASES[name]
    torch.manual_seed(1)
    module = make()
    source = ImageFolder(pictures, INPUT, size=SIZE)
    options = BuildOptions(k=K, size=SIZE, batch_size=7, image_format="png")
    build(
        BuildRequest(
            module=module,
            source=source,
            layers=[layer],
            out=tmp_path / "out",
            model="m",
            dataset="d",
            options=options,
        )
    )
    exact = _brute_force(module, layer, to_maps, source)
    (file,) = (tmp_path / "out" / "data").glob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert len(rows) == len(exact["ids"])
    found = np.array([[_mask(mask) for mask in row["masks"]] for row in rows])
    values = torch.tensor([row["activations"] for row in rows])
    assert torch.allclose(values, exact["values"], atol=1e-5, rtol=1e-5)
    # Where activations tie to within rounding, either order is right.
    same = torch.tensor([row["image_ids"] for row in rows]) == exact["ids"]
    assert bool((same | (values.diff(prepend=values[:, :1] + 1, dim=1).abs() < 1e-5)).all())
    thresholds = torch.tensor([row["threshold"] for row in rows])
    assert torch.allclose(thresholds, exact["threshold"], rtol=1e-5, atol=1e-6)
    truth = exact["masks"].numpy()
    if name == "pooled":
        assert found.all()
        return
    assert (found & truth).sum() / (found | truth).sum() >= 0.999

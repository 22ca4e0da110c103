"""Patterns of layers leave out what cannot be used, and say so in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from baselines.features.encoder import EncoderSpec, PyramidEncoder
from milannotations.catalog.models import LoadedModel
from milannotations.errors import InputError
from milannotations.exemplars.responses import responses
from milannotations.hook_points.matching import find_hook_points, match_layers
from milannotations.hook_points.probe import probe
from milannotations.inputs.preprocessing import Preprocessing
from tests.milannotations.exemplars.networks import SIDE

IMAGE = torch.randn(1, 3, 64, 64)


class Mixed(nn.Module):
    """Of its modules one is never run, two are run twice, one gives two tensors, one numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict(
            {name: nn.Conv2d(3, 3, 1) for name in ("good", "also", "never", "twice", "again")}
        )
        self.fork = Fork()
        self.pool = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        body = self.body
        x = body["twice"](body["twice"](body["also"](body["good"](x))))
        first, second = self.fork(body["again"](body["again"](x)))
        return self.pool((first + second).mean((2, 3)))


class Fork(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, -x


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return torchvision.models.resnet18().eval()


def _said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]


def test_a_pattern_leaves_out_what_is_run_twice(
    resnet: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    points = find_hook_points(resnet, ["layer1", "layer4*"], (IMAGE,))
    everything = match_layers(resnet, ["layer1", "layer4*"])
    twice = {"layer4.0.relu", "layer4.1.relu"}
    assert [*points] == [layer for layer in everything if layer not in twice]
    assert len(points) == 15
    assert points == probe(resnet, [*points], (IMAGE,))
    assert _said(capsys) == [
        "note: 'layer4*': 14 of 16 layers can be used, left out are 2 run more than once "
        "(layer4.0.relu, layer4.1.relu)"
    ]


def test_a_layer_that_is_named_exactly_must_be_usable(resnet: nn.Module) -> None:
    for patterns in (["layer4.0.relu"], ["layer4*", "layer4.0.relu"]):
        with pytest.raises(InputError, match=r"'layer4.0.relu' is run 2 times") as caught:
            find_hook_points(resnet, patterns, (IMAGE,))
        assert "layer4.1.relu" not in str(caught.value)


def test_reasons_are_grouped_and_nothing_usable_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = Mixed().eval()
    points = find_hook_points(model, ["*"], (IMAGE,))
    assert [*points] == ["body.good", "body.also", "pool"]
    (line,) = _said(capsys)
    assert line.startswith("note: '*': 3 of 8 layers can be used, left out are ")
    for reason in (
        "2 not run (body, body.never)", "2 run more than once (body.twice, body.again)",
        "1 several tensors (fork)",
    ):  # fmt: skip
        assert reason in line
    with pytest.raises(
        InputError,
        match=r"'body\.\[nt\]\*' matches 2 modules, none of which can be used: 1 not run "
        r"\(body.never\), 1 run more than once \(body.twice\)",
    ):
        find_hook_points(model, ["body.good", "body.[nt]*"], (IMAGE,))


def test_patterns_are_alike_for_all_that_read_layers(
    resnet: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = ["layer4.1.*"]
    names = ["layer4.1.conv1", "layer4.1.bn1", "layer4.1.conv2", "layer4.1.bn2"]
    assert [*find_hook_points(resnet, pattern, (IMAGE,))] == names
    assert [*responses(resnet, pattern, Noise())] == names
    loaded = LoadedModel(resnet, "own", "none", Preprocessing(size=SIDE, resize=SIDE))
    encoder = PyramidEncoder(EncoderSpec(model="own", layers=("[lf]*[2c]",)), loaded)
    assert encoder.layers[:2] == ["layer1.0.conv2", "layer1.0.bn2"]
    assert "fc" not in encoder.layers
    assert "1 without a map (fc)" in capsys.readouterr().err
    with pytest.raises(InputError, match="'fc' has one activation per image"):
        PyramidEncoder(EncoderSpec(model="own", layers=("fc",)), loaded)


class Noise:
    """Two images of noise as a source."""

    def __len__(self) -> int:
        return 2

    def inputs(self, index: int) -> Tensor:
        return torch.full((3, SIDE, SIDE), float(index))


def test_an_unknown_layer_lists_those_that_there_are(resnet: nn.Module) -> None:
    with pytest.raises(InputError) as caught:
        match_layers(resnet, ["layer9"])
    message = str(caught.value)
    assert "did you mean 'layer4' or 'layer3' or 'layer2'?" in message
    for name in ("conv1", "layer1", "layer4.1", "avgpool", "fc", "67 layers", "layers MODEL"):
        assert name in message
    with pytest.raises(InputError, match=r"this model has 0, 1$"):
        match_layers(nn.Sequential(nn.ReLU(), nn.ReLU()), ["conv"])


def test_timms_blocks_need_no_other_names(capsys: pytest.CaptureFixture[str]) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2).eval()
    points = find_hook_points(model, ["blocks.*"], (IMAGE,))
    assert len(points) == 38
    assert {"blocks.0", "blocks.1.mlp.act", "blocks.1.attn.proj"} <= set(points)
    assert len(_said(capsys)) == 1


def test_an_estimate_is_told_where_it_is_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from milannotations.exemplars.estimate import Estimate, tell_if_large
    from milannotations.exemplars.options import BuildOptions
    from milannotations.exemplars.plan import PassPlan

    def plan(units: int, images: int) -> PassPlan:
        layers = {"conv": (units, 14, 14), "fc": (10, 1, 1)}
        return PassPlan("m", "d", "w", layers, {"images": images}, 15, 0.99, "float32", {})

    small, large = plan(64, 300), plan(400_000, 1_000_000)
    held = [tensor for kept in small.empty().values() for tensor in kept.state().values()]
    memory = Estimate.of(small, BuildOptions()).memory
    # Statistics hold little besides what is saved of them.
    assert sum(t.nbytes for t in held) <= memory < 1.5 * sum(t.nbytes for t in held)
    tell_if_large(small, BuildOptions(), tmp_path / "a" / "b", torch.device("cpu"))
    assert not _said(capsys)
    tell_if_large(large, BuildOptions(), tmp_path / "a" / "b", torch.device("cpu"))
    (line,) = _said(capsys)
    needs = Estimate.of(large, BuildOptions())
    assert "400,010 units of 2 layers" in line
    assert f"{needs.memory / 1e9:,.1f} GB in memory" in line
    assert f"about {needs.disk / 1e9:,.1f} GB" in line

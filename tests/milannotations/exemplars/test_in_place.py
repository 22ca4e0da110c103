"""Outputs that are changed in place, read before or after that, against a plain forward hook."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner

from milannotations.catalog.models import ENTRIES, load_model
from milannotations.catalog.original import ORIGINAL_MODELS
from milannotations.errors import InputError
from milannotations.exemplars.build import build, merge, shards_in
from milannotations.exemplars.collect import prepare
from milannotations.exemplars.commands import app as build_app
from milannotations.exemplars.merge_commands import app as merge_app
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest, DatasetRequest, PassRequest
from milannotations.exemplars.responses import responses
from milannotations.hook_points.matching import match_layers
from milannotations.hook_points.probe import probe
from milannotations.hook_points.reading import activations
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder
from milannotations.rules import InPlace

K = 4
IMAGES = 24


class Block(nn.Module):
    """As a residual block: one ReLU run twice, an addition in place."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(two(relu(one(x))) + x)."""
        out: Tensor = self.two(self.relu(self.one(x)))
        out += x
        return self.relu(out)


class Functional(nn.Module):
    """Changes its submodule's output in place by a function, of which no module tells."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a rectified convolution."""
        return functional.relu(self.conv(x), inplace=True)


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        Functional(), Block(), Block(), nn.Dropout(), nn.Conv2d(4, 2, 1), nn.Tanh()
    ).eval()


def _plain_hooks(model: nn.Module, layers: list[str], inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    """Keep what layers return, without copying it, and look at it when the pass is over."""
    kept: dict[str, Any] = {}
    handles = [
        model.get_submodule(layer).register_forward_hook(
            lambda _m, _i, output, layer=layer: kept.update({layer: output})
        )
        for layer in layers
    ]
    with torch.no_grad():
        model(*inputs)
    for handle in handles:
        handle.remove()
    return kept


def _read(
    model: nn.Module, layers: list[str], inputs: tuple[Tensor, ...], in_place: InPlace,
    layouts: Any = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:  # fmt: skip
    names = match_layers(model, layers)
    points = probe(model, names, inputs, layouts, in_place=in_place)
    found: dict[str, Tensor] = {}
    with (
        torch.no_grad(),
        activations(
            model, [*points.values()], lambda n, m: found.update({n: m.clone()}), stop_early=True
        ) as run,
    ):
        for _ in range(2):  # a pass that was left early must not spoil the next
            run(*inputs)
    return found, {name: point.changed_by for name, point in points.items()}


def test_after_is_what_a_plain_hook_keeps_and_before_what_the_layer_computed() -> None:
    model, inputs = _net(), (torch.randn(2, 3, 8, 8),)
    layers = ["0.conv", "0", "1.one", "1.two", "1", "2.one", "2.two", "2", "4"]
    after, changed_by = _read(model, layers, inputs, "after")
    for layer, output in _plain_hooks(model, layers, inputs).items():
        assert torch.equal(after[layer], output), layer
    assert changed_by == {
        "0.conv": ("0", 0), "0": None, "1.one": ("1.relu", 0), "1.two": ("1.relu", 0), "1": None,
        "2.one": ("2.relu", 0), "2.two": ("2.relu", 0), "2": None, "4": None,
    }  # fmt: skip
    before, _ = _read(model, layers, inputs, "before")
    with torch.no_grad():
        assert torch.equal(before["0.conv"], model[0].conv(inputs[0]))
        assert torch.equal(before["2.one"], model[2].one(after["1"]))
    assert float(before["1.one"].min()) < 0 <= float(after["1.one"].min())


def test_the_second_call_of_a_shared_module_is_told_from_the_first() -> None:
    class Late(Block):
        def forward(self, x: Tensor) -> Tensor:
            first = self.one(x)
            second = self.relu(self.two(x))
            return self.relu(first) + second

    torch.manual_seed(0)
    model, inputs = nn.Sequential(Late()).eval(), (torch.randn(2, 4, 8, 8),)
    after, changed_by = _read(model, ["0.one", "0.two"], inputs, "after")
    assert changed_by == {"0.one": ("0.relu", 1), "0.two": ("0.relu", 0)}
    for layer, output in _plain_hooks(model, ["0.one", "0.two"], inputs).items():
        assert torch.equal(after[layer], output)


def test_inputs_are_read_as_they_are_given() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)).eval()
    inputs = (torch.randn(2, 3, 8, 8),)
    after, _ = _read(model, ["0", "1@in"], inputs, "after")
    with torch.no_grad():
        assert torch.equal(after["1@in"], model[0](inputs[0]))
        assert torch.equal(after["0"], model[0](inputs[0]).relu())


def test_a_change_that_does_not_happen_again_is_an_error() -> None:
    class Fickle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            maps: Tensor = self.conv(x)
            return self.relu(maps) if len(x) < 5 else maps

    model = Fickle().eval()
    points = probe(model, ["conv"], (torch.randn(2, 3, 8, 8),), in_place="after")
    with (
        torch.no_grad(),
        activations(model, [*points.values()], lambda _n, _m: None) as run,
        pytest.raises(InputError, match="'conv' was changed in place by module 'relu' in the pr"),
    ):
        run(torch.randn(6, 3, 8, 8))


def test_the_original_list_is_in_the_catalog_and_has_the_original_defaults() -> None:
    assert len(ORIGINAL_MODELS) == 37
    assert set(ENTRIES) >= ORIGINAL_MODELS
    alexnet = load_model("alexnet", "random")
    assert (alexnet.in_place, alexnet.masks) == ("after", "original")
    for other in ("smallnet", "torchvision:resnet18"):
        loaded = load_model(other, "random")
        assert (loaded.in_place, loaded.masks) == ("before", "bilinear")


# One of each architecture of the list but those whose blocks are of the same kind, and BigGAN,
# whose layers give what nothing changes.
@pytest.mark.parametrize(
    ("name", "side", "changed"),
    [
        ("alexnet-imagenet", 64, {f"conv{n}": f"relu{n}" for n in range(1, 6)}),
        ("alexnet-places365", 80, {f"conv{n}": f"relu{n}" for n in range(1, 6)}),
        (
            "alexnet-imagenet-blurred",
            64,
            {f"features.{n}": f"features.{n + 1}" for n in (0, 3, 6, 8, 10)},
        ),
        ("squeezenet1_0-imagenet", 64, {"features.0": "features.1"}),
        ("resnet18-imagenet", 64, {}),
        ("shufflenet_v2_x1_0-imagenet", 64, {}),
        ("mobilenet_v2-imagenet", 64, {}),
        pytest.param("densenet121-imagenet", 64, {}, marks=pytest.mark.slow),
        pytest.param("dino_vits8-imagenet", 224, {}, marks=pytest.mark.slow),
        pytest.param("resnet50-imagenet", 64, {}, marks=pytest.mark.slow),
        pytest.param(
            "vgg11-imagenet",
            32,
            {f"features.{n}": f"features.{n + 1}" for n in (0, 3, 8, 13, 18)},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_default_layers_of_the_original_list(name: str, side: int, changed: dict[str, str]) -> None:
    loaded = load_model(name, "random")
    model = loaded.module.eval()
    inputs = (torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)),)
    layers = match_layers(model, loaded.layers)
    found, changed_by = _read(model, layers, inputs, loaded.in_place, loaded.layouts)
    assert {n: c[0] for n, c in changed_by.items() if c} == changed
    for layer, output in _plain_hooks(model, layers, inputs).items():
        if output.ndim == 3:  # tokens, with one class token
            grid = math.isqrt(output.shape[1] - 1)
            output = output[:, 1:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        assert torch.equal(found[layer], output), layer


def _pictures(folder: Path, count: int, side: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(2)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (7, 7, 3)).astype(np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{index:02d}.png")
    return folder


def _sparse_alexnet(path: Path) -> Path:
    """Write AlexNet's weights, with units that are silent on most positions, as trained ones."""
    module = load_model("alexnet", "random").module
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for child in module.children():
            if isinstance(child, nn.Conv2d):
                assert child.bias is not None
                spread = child.weight.flatten(1).std(1)
                child.bias.copy_(-torch.rand(len(spread), generator=generator) * 2 * spread)
    torch.save(module.state_dict(), path)
    return path


def _run(app: Any, *arguments: str) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return " ".join(result.output.split())


def _rows(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "data").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def _masks(row: dict[str, Any]) -> np.ndarray:
    return np.stack(
        [np.asarray(Image.open(io.BytesIO(m["bytes"])).convert("1")) for m in row["masks"]]
    )


def test_alexnets_default_units_equal_the_originals(tmp_path: Path) -> None:
    """Ids, peaks, thresholds and masks of all five layers, with nothing but defaults.

    The other side is made of a plain hook, sorting, and ``grid_sample`` map by map.
    """
    images = _pictures(tmp_path / "images", IMAGES, 256)
    weights = _sparse_alexnet(tmp_path / "weights.pth")
    said = _run(
        build_app, "--model", "alexnet", "--weights", str(weights), "--images", str(images),
        "--out", str(tmp_path / "out"), "--k", str(K), "--device", "cpu",
    )  # fmt: skip
    assert "1152 units of 5 layers" in said
    assert "threshold below zero" not in said
    facts = json.loads((tmp_path / "out" / "build.json").read_text())
    assert facts["options"]["in_place"] == "after"
    assert facts["options"]["masks"] == "original"
    assert facts["changed_in_place"] == {f"conv{n}": f"relu{n}" for n in range(1, 6)}

    loaded = load_model("alexnet", str(weights))
    source = ImageFolder(images, loaded.preprocessing)
    model = loaded.module.eval()
    passes = [
        {name: maps.clone() for name, maps in
         _plain_hooks(model, [*loaded.layers], (source.inputs(i)[None],)).items()}
        for i in range(IMAGES)
    ]  # fmt: skip
    rows = {(row["layer"], row["unit"]): row for row in _rows(tmp_path / "out")}
    assert len(rows) == 1152
    for layer in loaded.layers:
        maps = torch.cat([one[layer] for one in passes])
        peaks = maps.amax((2, 3))
        for unit in range(0, maps.shape[1], 9):
            row = rows[layer, unit]
            values = maps[:, unit].flatten().sort().values
            level = values[math.ceil(0.99 * len(values)) - 1]
            assert row["threshold"] == pytest.approx(float(level), rel=1e-5, abs=1e-6)
            best, ids = peaks[:, unit].sort(descending=True, stable=True)
            assert row["activations"] == pytest.approx(best[:K].tolist(), rel=1e-4, abs=1e-5)
            if float(best[: K + 1].diff().abs().min()) > 1e-4:  # else their order is rounding
                assert row["image_ids"] == ids[:K].tolist()
            for mask, image in zip(_masks(row), row["image_ids"], strict=True):
                wrong = mask != _original_mask(maps[image, unit], row["threshold"])
                assert wrong.sum() <= 5, (layer, unit)  # maps differ by rounding: other batches


def _original_mask(single: Tensor, level: float, size: int = 224) -> np.ndarray:
    """Make one mask as the code of the MILAN paper does, spelled out."""
    height, width = single.shape
    grid = torch.zeros(1, size, size, 2)
    for axis, length in ((1, height), (0, width)):
        scale = size / length
        # The centre of pixel i, in activations counted from the first one's centre.
        at = (torch.arange(size) + 0.5) / scale - 0.5
        normalized = 2 * at / max(1, length - 1) - 1
        grid[..., axis] = normalized[:, None] if axis == 1 else normalized[None, :]
    large = functional.grid_sample(
        single[None, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True
    )
    mask: np.ndarray = (large[0, 0] > level).numpy()
    return mask


@pytest.mark.parametrize("engine", ["serial", "ray"])
def test_own_choices_hold_with_every_engine(engine: str, tmp_path: Path) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    images = _pictures(tmp_path / "images", 8, 48)
    common = [
        "--model", f"{__name__}:sign_net", "--images", str(images), "--k", "2",
        "--layers", "0", "--image-format", "png", "--device", "cpu", "--engine", engine,
    ]  # fmt: skip
    for in_place in ("before", "after"):
        for masks in ("bilinear", "original"):
            if engine == "ray" and (in_place, masks) != ("after", "original"):
                continue  # starting workers takes long
            out = tmp_path / f"{in_place}-{masks}"
            said = _run(
                build_app, *common, "--out", str(out), "--in-place", in_place, "--masks", masks
            )
            options = json.loads((out / "build.json").read_text())["options"]
            assert (options["in_place"], options["masks"]) == (in_place, masks)
            (_, second) = _rows(out)
            # Unit 1 is minus the brightness: rectified it is zero everywhere.
            assert (second["threshold"] < 0) == (in_place == "before")
            warned = "1 of 2 units have a threshold below zero" in said
            assert warned == (in_place == "before"), said
            if masks == "original":
                # Activations fade towards the zeros around the map, which are above a negative
                # threshold.
                assert _masks(second)[:, 0, 0].all() == (in_place == "before")
    with pytest.raises(InputError, match="in-place rule 'later'; choose before or after"):
        _run(build_app, *common, "--out", str(tmp_path / "x"), "--in-place", "later")
    with pytest.raises(InputError, match="mask rule 'ours'; choose one of bilinear, original"):
        _run(build_app, *common, "--out", str(tmp_path / "x"), "--masks", "ours")


def sign_net() -> nn.Module:
    """Return a network with two units before a ReLU in place: the brightness, and minus it."""
    conv = nn.Conv2d(3, 2, 8, 8)
    with torch.no_grad():
        nn.init.constant_(conv.weight[0], 1 / 192)
        nn.init.constant_(conv.weight[1], -1 / 192)
        assert conv.bias is not None
        conv.bias[0], conv.bias[1] = 3.0, -3.0
    return nn.Sequential(conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))


def test_shards_keep_the_rules_and_merge_goes_by_them(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "images", 8, 48)
    common = [
        "--model", f"{__name__}:sign_net", "--images", str(images), "--k", "2", "--size", "24",
        "--layers", "0", "--image-format", "png", "--device", "cpu", "--in-place", "after",
    ]  # fmt: skip
    whole = tmp_path / "whole"
    _run(build_app, *common, "--masks", "original", "--out", str(whole))
    folder = tmp_path / "shards"
    for shard in ("1/2", "2/2"):
        _run(build_app, *common, "--masks", "original", "--out", str(folder), "--shard", shard)
    merging = [str(folder), "--images", str(images), "--size", "24", "--image-format", "png"]
    _run(merge_app, *merging, "--out", str(tmp_path / "merged"))
    assert [*map(_untold, _rows(tmp_path / "merged"))] == [*map(_untold, _rows(whole))]
    options = json.loads((tmp_path / "merged" / "build.json").read_text())["options"]
    assert (options["in_place"], options["masks"]) == ("after", "original")
    # From Python, without options, too.
    source = ImageFolder(images, Preprocessing(), 224)
    merge(DatasetRequest(source=source, out=tmp_path / "plain"), shards_in(folder))
    options = json.loads((tmp_path / "plain" / "build.json").read_text())["options"]
    assert (options["in_place"], options["masks"]) == ("after", "original")
    # A shard that was built for other masks: the statistics are the same, so it is a choice.
    _run(
        build_app, *common, "--masks", "bilinear", "--out", str(folder), "--shard", "2/2",
        "--no-resume",
    )  # fmt: skip
    with pytest.raises(InputError, match="built for masks bilinear and original; pass --masks"):
        _run(merge_app, *merging, "--out", str(tmp_path / "twice"))
    _run(merge_app, *merging, "--out", str(tmp_path / "twice"), "--masks", "original")
    assert [*map(_untold, _rows(tmp_path / "twice"))] == [*map(_untold, _rows(whole))]


def _untold(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "images"}


def test_work_from_before_there_was_a_choice(tmp_path: Path) -> None:
    """It is gone on with where nothing is changed in place, and refused with advice where it is."""
    images = _pictures(tmp_path / "images", 8, 48)
    source = ImageFolder(images, Preprocessing(), 24)
    for layer, resumable in (("1", True), ("0", False)):
        plans = []
        for in_place in ("before", "after"):
            options = BuildOptions(k=2, size=24, in_place=in_place, masks="original")  # type: ignore[arg-type]
            plans.append(
                prepare(
                    PassRequest(
                        module=sign_net(),
                        source=source,
                        layers=[layer],
                        model="m",
                        dataset="d",
                        options=options,
                    )
                ).plan
            )
        old = plans[0].as_json()
        for name in ("in_place", "changed_in_place", "masks"):
            del old[name]
        read = type(plans[0]).from_json(old)
        assert (read.in_place, read.masks) == ("before", "bilinear")
        said = plans[1].difference(read)
        assert (said is None) == resumable
        assert resumable or "--in-place" in str(said)


def test_responses_and_builds_read_the_same(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "images", 8, 48)
    source = ImageFolder(images, Preprocessing(), 24)
    for in_place in ("before", "after"):
        rule: Any = in_place
        out = tmp_path / in_place
        build(
            BuildRequest(
                module=sign_net(),
                source=source,
                layers=["0"],
                out=out,
                model="m",
                dataset="d",
                options=BuildOptions(k=8, size=24, in_place=rule),
            )
        )
        found = responses(sign_net(), ["0"], source, in_place=rule)["0"]
        for row in _rows(out):
            peaks = found[:, row["unit"]].sort(descending=True).values
            assert row["activations"] == pytest.approx(peaks.tolist(), abs=1e-6)


def test_statistics_file_keeps_thresholds_of_both_rules(tmp_path: Path) -> None:
    images = _pictures(tmp_path / "images", 8, 48)
    source = ImageFolder(images, Preprocessing(), 24)
    for in_place, least in (("before", -10.0), ("after", 0.0)):
        rule: Any = in_place
        out = tmp_path / in_place
        build(
            BuildRequest(
                module=sign_net(),
                source=source,
                layers=["0"],
                out=out,
                model="m",
                dataset="d",
                options=BuildOptions(k=2, size=24, in_place=rule),
            )
        )
        table = pq.read_table(out / "statistics.parquet").to_pylist()
        assert all(row["minimum"] >= least for row in table)
        assert (min(row["minimum"] for row in table) < 0) == (in_place == "before")

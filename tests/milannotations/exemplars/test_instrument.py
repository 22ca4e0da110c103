"""Layers of real architectures as maps: the right grid, the right numbers, the right refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
import transformers
from torch import Tensor, nn
from torch.nn import functional

from milannotations.autoencoders.loading import SparseAutoencoder
from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.layout import Layout
from milannotations.hook_points.matching import match_layers
from milannotations.hook_points.probe import probe
from milannotations.hook_points.reading import activations

WIDE = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
SQUARE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
SMALL_TRANSFORMER = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8,
    "image_size": 64,
}  # fmt: skip


def _timm(name: str, **options: Any) -> Any:
    return pytest.importorskip("timm").create_model(name, **options)


def _swin() -> nn.Module:
    return _timm(
        "swin_tiny_patch4_window7_224", img_size=(64, 96), embed_dim=24, depths=(2, 2, 2),
        num_heads=(1, 2, 4),
    )  # fmt: skip


def _torchvision_swin() -> nn.Module:
    return torchvision.models.SwinTransformer([4, 4], 24, [2, 2], [1, 2], [7, 7])


def _convnext() -> nn.Module:
    setting = torchvision.models.convnext.CNBlockConfig
    return torchvision.models.ConvNeXt([setting(24, 48, 1), setting(48, None, 1)])


def _vit(name: str = "vit_tiny_patch16_224", **options: Any) -> nn.Module:
    return _timm(name, depth=2, **{"img_size": (64, 96), **options})


def _clip() -> nn.Module:
    return transformers.CLIPVisionModel(
        transformers.CLIPVisionConfig(**SMALL_TRANSFORMER, intermediate_size=64)
    )


def _hf_registers() -> nn.Module:
    return transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(**SMALL_TRANSFORMER)
    )


def _hf_swin() -> nn.Module:
    return transformers.SwinModel(
        transformers.SwinConfig(
            image_size=64, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4],
            window_size=4,
        )
    )  # fmt: skip


S, L, V = Layout("spatial"), Layout("channels_last"), Layout("vector")


def _tokens(height: int, width: int, prefix: int = 0) -> Layout:
    return Layout("tokens", (height, width), prefix)


CASES: list[tuple[Callable[[], nn.Module], Tensor, dict[str, tuple[int, int, int, Layout]]]] = [
    (
        torchvision.models.resnet18,
        WIDE,
        {
            "conv1": (64, 32, 48, S),
            "layer1.0.conv1@in": (64, 16, 24, S),
            "layer4": (512, 2, 3, S),
            "avgpool": (512, 1, 1, S),
            "fc": (1000, 1, 1, V),
        },
    ),
    (
        # 64 × 64 × 64: units first, as nothing in this network has them last.
        torchvision.models.resnet18,
        torch.zeros(1, 3, 256, 256),
        {"maxpool": (64, 64, 64, S), "layer1": (64, 64, 64, S)},
    ),
    (
        _swin,
        WIDE,
        {
            "patch_embed": (24, 16, 24, L),
            "layers.0.blocks.0": (24, 16, 24, L),
            "layers.0.blocks.1.mlp.act": (96, 16, 24, _tokens(16, 24)),
            "layers.1": (48, 8, 12, L),
            "layers.2.blocks.1": (96, 4, 6, L),
            "head.global_pool": (96, 1, 1, V),
        },
    ),
    (
        _torchvision_swin,
        SQUARE,
        {
            "features.0.0": (24, 16, 16, S),
            "features.1.0": (24, 16, 16, L),
            "features.1.0.mlp.1": (96, 16, 16, L),
            "features.2": (48, 8, 8, L),
        },
    ),
    (
        _convnext,
        WIDE,
        {
            "features.0": (24, 16, 24, S),
            "features.0.1": (24, 16, 24, S),
            "features.1.0.block.2": (24, 16, 24, L),
            "features.1.0.block.4": (96, 16, 24, L),
            "features.1": (24, 16, 24, S),
        },
    ),
    (
        _vit,
        WIDE,
        {
            "patch_embed": (192, 4, 6, _tokens(4, 6)),
            "blocks.0.attn.proj@in": (192, 4, 6, _tokens(4, 6, 1)),
            "blocks.0.attn.proj@in@heads=3": (3, 4, 6, _tokens(4, 6, 1)),
            "blocks.1.mlp.act": (768, 4, 6, _tokens(4, 6, 1)),
            "head": (1000, 1, 1, V),
        },
    ),
    (
        lambda: _vit("vit_small_patch14_reg4_dinov2", img_size=(56, 84)),
        torch.randn(1, 3, 56, 84),
        {"patch_embed": (384, 4, 6, _tokens(4, 6)), "blocks.1": (384, 4, 6, _tokens(4, 6, 5))},
    ),
    (
        lambda: _vit("deit_tiny_distilled_patch16_224"),
        WIDE,
        {"blocks.1": (192, 4, 6, _tokens(4, 6, 2))},
    ),
    (
        lambda: torchvision.models.VisionTransformer(64, 16, 2, 4, 32, 64),
        SQUARE,
        {
            # A tuple with one tensor in it.
            "encoder.layers.encoder_layer_0.self_attention": (32, 4, 4, _tokens(4, 4, 1)),
            "encoder": (32, 4, 4, _tokens(4, 4, 1)),
        },
    ),
    (
        _clip,
        SQUARE,
        {
            "encoder.layers.0.self_attn@in": (32, 8, 8, _tokens(8, 8, 1)),  # given by keyword
            "encoder.layers.1.mlp.activation_fn": (64, 8, 8, _tokens(8, 8, 1)),
            "encoder.layers.1": (32, 8, 8, _tokens(8, 8, 1)),
            "post_layernorm": (32, 1, 1, V),
        },
    ),
    (
        _hf_registers,
        WIDE,
        {"encoder.layer.1": (32, 8, 12, _tokens(8, 12, 5))},
    ),
    (
        _hf_swin,
        SQUARE,
        {
            "encoder.layers.0.blocks.1": (16, 16, 16, _tokens(16, 16)),
            "encoder.layers.1.blocks.1": (32, 8, 8, _tokens(8, 8)),
            "encoder.layers.0@1": (32, 8, 8, S),
        },
    ),
    (
        # Convolutions of stride 2 and no patch embedding; tokens are merged later.
        lambda: _timm("levit_128s"),
        torch.randn(1, 3, 224, 224),
        {
            "stages.0.blocks.0": (128, 14, 14, _tokens(14, 14)),
            "stages.2.blocks.0": (384, 4, 4, _tokens(4, 4)),
        },
    ),
]


@pytest.mark.parametrize(("make", "image", "expected"), CASES)
def test_architectures(
    make: Callable[[], nn.Module], image: Tensor, expected: dict[str, Any]
) -> None:
    model = make().eval()
    points = probe(model, match_layers(model, list(expected)), (image,))
    assert {n: (t.units, t.height, t.width, t.layout) for n, t in points.items()} == expected


class Patches(nn.Module):
    """Tokens whose only unit is the redness of their patch, behind class and register tokens."""

    def __init__(self, prefix: int, side: int = 8) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 1, side, stride=side, bias=False)
        self.prefix = prefix
        self.tokens = nn.Identity()
        with torch.no_grad():
            self.patches.weight[:] = torch.tensor([1.0, -1, -1])[:, None, None] / side**2

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        first = torch.full((len(x), self.prefix, 1), 9.0)
        return self.tokens(torch.cat([first, tokens], 1))


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_a_red_patch_lights_its_own_position(prefix: int) -> None:
    rows, columns = 4, 7
    images = torch.zeros(rows * columns, 3, 8 * rows, 8 * columns)
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        images[index, 0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1
    model = Patches(prefix).eval()
    points = probe(model, ["tokens"], (images[:1],))
    computed: list[Tensor] = []
    with activations(model, [*points.values()], lambda _, maps: computed.append(maps)) as run:
        run(images)
    expected = torch.eye(rows * columns).view(rows * columns, 1, rows, columns)
    assert torch.allclose(computed[0], expected, atol=1e-6)


def _maps(model: nn.Module, layer: str, image: Tensor, **options: Any) -> Tensor:
    points = probe(model, [layer], (image,), **options)
    options.pop("layouts", None)
    kept: dict[str, Tensor] = {}
    with (
        torch.no_grad(),
        activations(
            model,
            [*points.values()],
            lambda name, maps: kept.update({name: maps.clone()}),
            **options,
        ) as run,
    ):
        run(image)
    assert kept[layer].shape[1:] == (points[layer].units, points[layer].height, points[layer].width)
    return kept[layer]


def test_heads_inputs_and_latents_equal_direct_computation() -> None:
    model = _vit().eval()
    images = torch.randn(3, 3, 64, 96)
    inputs: list[Tensor] = []
    handle = model.blocks[1].attn.proj.register_forward_pre_hook(
        lambda _module, args: inputs.append(args[0])
    )
    with torch.no_grad():
        model(images)
    handle.remove()
    tokens = inputs[0][:, 1:]  # images × patches × units
    expected = torch.stack([tokens[:, 6 * r + c] for r in range(4) for c in range(6)], -1)
    layer = "blocks.1.attn.proj@in"
    assert torch.allclose(_maps(model, layer, images).flatten(2), expected, atol=1e-5)
    norms = torch.stack(
        [expected[:, 64 * h : 64 * h + 64].square().sum(1).sqrt() for h in range(3)], 1
    )
    assert torch.allclose(_maps(model, f"{layer}@heads=3", images).flatten(2), norms, atol=1e-5)
    weight, bias, shift = torch.randn(192, 40), torch.randn(40), torch.randn(192)
    encoder = SparseAutoencoder(weight, bias, shift=shift)
    latents = ((expected.transpose(1, 2) - shift) @ weight + bias).clamp(min=0).transpose(1, 2)
    for key in (layer, "blocks.1.attn.proj"):
        maps = _maps(model, f"{layer}@sae", images, autoencoders={key: encoder})
        assert torch.allclose(maps.flatten(2), latents, atol=1e-3)


def test_latents_of_other_layouts() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    weight, bias = torch.randn(4, 7), torch.randn(7)
    attached = {name: SparseAutoencoder(weight, bias) for name in ("0", "2")}
    image = torch.randn(2, 3, 9, 12)
    with torch.no_grad():
        maps = model[0](image)
    expected = (torch.einsum("nchw,cl->nlhw", maps, weight) + bias[:, None, None]).clamp(min=0)
    assert torch.allclose(_maps(model, "0@sae", image, autoencoders=attached), expected, atol=1e-4)
    pooled = (maps.mean((2, 3)) @ weight + bias).clamp(min=0)
    computed = _maps(model, "2@sae", image, autoencoders=attached)
    assert torch.allclose(computed, pooled[:, :, None, None], atol=1e-4)


def test_outputs_are_seen_before_they_are_changed_in_place() -> None:
    conv = nn.Conv2d(3, 4, 3)
    model = nn.Sequential(conv, nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)).eval()
    with torch.no_grad():
        assert torch.equal(_maps(model, "0", SQUARE), conv(SQUARE))
        assert torch.equal(_maps(model, "1@in", SQUARE), conv(SQUARE))


def test_layer_names_in_the_models_order_without_duplicates() -> None:
    model = _vit()
    maps = match_layers(
        model, ["head", "blocks.*.attn.proj@in@heads=03", "blocks.0.attn.proj", "head", "he*d"]
    )
    assert maps == [
        "blocks.0.attn.proj@in@heads=3", "blocks.0.attn.proj", "blocks.1.attn.proj@in@heads=3",
        "head",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("head@", "not well spelled; write MODULE"),
        ("@in", "not well spelled"),
        ("head@out", "not well spelled"),
        ("head@heads=0", "not well spelled"),
        ("head@sae@in", "not well spelled"),
        ("head@heads=2@sae", "not the norms of heads"),
        ("hed@in", "no layer matches 'hed'; did you mean 'head'"),
    ],
)
def test_bad_names(pattern: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        match_layers(_vit(), [pattern])


class Tied(nn.Module):
    """One module under two names, run once, and one run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.once = nn.Conv2d(3, 3, 1)
        self.alias = self.once
        self.act1 = nn.ReLU()
        self.act2 = self.act1

    def forward(self, x: Tensor) -> Tensor:
        return self.act2(self.act1(self.once(x)))


def test_tied_modules() -> None:
    model = Tied().eval()
    for pattern in ("alias", "ali*"):
        with pytest.raises(InputError, match="'alias' is the same module as 'once'"):
            match_layers(model, [pattern])
    assert match_layers(model, ["*"]) == ["once", "act1"]
    with pytest.raises(InputError, match=r"'act1' is run 2 times .*tied.*names act1, act2"):
        probe(model, ["act1"], (SQUARE,))


class Gives(nn.Module):
    """Whatever a function makes of the input, as the output of ``layer``."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 8, stride=8)
        self.layer = nn.Module()
        self.layer.forward = lambda x: function(x)  # type: ignore[method-assign]

    def forward(self, x: Tensor) -> Any:
        self.layer(self.stem(x))
        return x


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: 3, "gives a int, not a tensor"),
        (lambda x: (x, x[:, :1]), r"0: 1 × 4 × 8 × 8, 1: 1 × 1 × 8 × 8\): name one .* layer@0"),
        (lambda x: {"a": None, "b": x, "c": x}, r"0: a NoneType, 1: b 1 × 4.*layer@1"),
        (lambda x: x.flatten(2).permute(2, 0, 1), "64 × 1 × 4 for one image: images do not come f"),
        (lambda x: torch.zeros(1, 64, 4), "it is not of the images"),
        (lambda x: x.sum(), "gives a single number"),
        (lambda x: x.argmax(1), "gives torch.int64"),
        (lambda x: x.long(), "gives torch.int64"),
        (lambda x: x / 0, "gives NaN or infinity already for the first image"),
        (lambda x: x.half() * 1e5, "float16 may overflow here: try float32"),
        (lambda x: x[..., None], "neither maps"),
        (lambda x: x.flatten(2).mT.unflatten(-1, (2, 2)).transpose(1, 2), "cannot be told whether"),
        (lambda x: (x.flatten(2).mT @ x.flatten(2))[:, None].softmax(-1), "attention weights"),
        (lambda x: x.flatten(2).mT[:, :37], "on which grid its 37 tokens are .*8 × 8.*--layout"),
        (lambda x: x.flatten(2).mT.repeat(1, 2, 1)[:, :90], "its 90 tokens"),
        (functional.dropout, "different activations for the same input: is dropout left on"),
        (lambda x: x - x.mean((0, 2, 3), keepdim=True), "normalized over the batch"),
    ],
)
def test_outputs_that_are_refused(function: Callable[[Tensor], Any], match: str) -> None:
    model = Gives(function).eval()
    with pytest.raises(InputError, match=match):
        probe(model, ["layer"], (SQUARE,))


def test_all_problems_are_told_at_once() -> None:
    model = _swin().eval()
    layers = ["layers.0.blocks.0.attn.qkv", "layers.2.blocks.0.attn.softmax", "layers.1"]
    with pytest.raises(InputError) as caught:
        probe(model, layers, (WIDE,))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "attention in windows" in lines[1]
    assert "attention weights" in lines[2]


def test_items_of_outputs() -> None:
    image = torch.randn(2, 3, 64, 64)
    model = Gives(lambda x: (x, x[:, :1].relu(), None)).eval()
    with torch.no_grad():
        expected = model.stem(image)[:, :1].relu()
    assert torch.equal(_maps(model, "layer@1", image), expected)
    for item, what in ((2, "item 2 is no tensor"), (3, "there is no item 3")):
        with pytest.raises(InputError, match=what):
            probe(model, [f"layer@{item}"], (image,))
    with pytest.raises(InputError, match=r"0: last_hidden_state 1 × 65 × 32, 1: pooler_output"):
        probe(nn.Sequential(_clip()).eval(), ["0"], (SQUARE,))


def test_models_that_cannot_run_or_are_in_training() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with pytest.raises(InputError, match=r"in training mode: 1; call the model's eval"):
        probe(model, ["0"], (SQUARE,))
    with pytest.raises(
        InputError, match=r"inputs of shape 1 × 1 × 8 × 8: .*expected input.*3 chan"
    ):
        probe(model.eval(), ["0"], (torch.zeros(1, 1, 8, 8),))
    model[1].train()
    with pytest.raises(InputError, match="in training mode: 1"):
        probe(model, ["0"], (SQUARE,))
    assert not any(module._forward_hooks for module in model.modules())


def test_unused_projection_of_attention_is_explained() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    layers = ["self_attn.out_proj"]
    with pytest.raises(InputError, match="only uses its weights; name 'self_attn'"):
        probe(model, layers, (torch.randn(1, 9, 8),))
    # Its fast path would run none of its modules, but not while they are hooked.
    points = probe(model, ["linear1"], (torch.randn(1, 9, 8),))
    assert points["linear1"].layout == _tokens(3, 3)


def test_heads_and_autoencoders_that_do_not_fit() -> None:
    model = _vit().eval()
    with pytest.raises(InputError, match="192 channels, which 5 heads do not divide"):
        probe(model, ["blocks.0@heads=5"], (WIDE,))
    other = {"blocks.1": SparseAutoencoder(torch.zeros(7, 9), torch.zeros(9))}
    with pytest.raises(InputError, match=r"--sae blocks.0=PATH; there are some for blocks.1"):
        probe(model, ["blocks.0@sae"], (WIDE,), autoencoders=other)
    with pytest.raises(InputError, match=r"has 192 units, .* it takes 7 units, not 192"):
        probe(model, ["blocks.1@sae"], (WIDE,), autoencoders=other)
    with pytest.raises(InputError, match="has 192 units, which its autoencoder cannot take: mat"):
        probe(model, ["blocks.1@sae"], (WIDE,), autoencoders={"blocks.1": nn.Linear(7, 9)})


def test_given_layouts_count_and_the_last_that_matches_wins() -> None:
    model = Gives(lambda x: x.flatten(2).mT[:, :40]).eval()
    layouts = {"*": Layout("tokens", (5, 8)), "lay*": Layout("tokens", (4, 9), 4)}
    assert probe(model, ["layer"], (SQUARE,), layouts)["layer"].layout == layouts["lay*"]
    layouts["layer"] = Layout("tokens", (8, 5))
    assert probe(model, ["layer"], (SQUARE,), {**layouts, "l*": S})["layer"].height == 8
    # A grid left open comes from the model, or is a square.
    open_grid = probe(_vit().eval(), ["blocks.0"], (WIDE,), {"blocks.*": Layout("tokens", None, 1)})
    assert open_grid["blocks.0"].layout == _tokens(4, 6, 1)
    square = probe(model, ["layer"], (SQUARE,), {"layer": Layout("tokens", None, 4)})
    assert (square["layer"].height, square["layer"].width) == (6, 6)
    for layout, match in ((Layout("tokens", (5, 7)), "grid of 5 × 7"), (S, "layout spatial is")):
        with pytest.raises(InputError, match=match):
            probe(model, ["layer"], (SQUARE,), {"layer": layout})
    with pytest.raises(InputError, match=r"given for 'block\*', but no module"):
        probe(model, ["layer"], (SQUARE,), {"block*": S})


def test_a_generator_takes_latents_and_labels() -> None:
    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(5, 8 * 4 * 4)
            self.act = nn.ReLU()
            self.up = nn.ConvTranspose2d(8, 3, 2, stride=2)

        def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
            maps = self.act(self.first(latents).view(-1, 8, 4, 4) + labels.view(-1, 1, 1, 1))
            return self.up(maps)

    points = probe(Generator().eval(), ["act", "up"], (torch.randn(1, 5), torch.tensor([3])))
    assert [(t.units, t.height, t.layout.kind) for t in points.values()] == [
        (8, 4, "spatial"), (3, 8, "spatial"),
    ]  # fmt: skip


def test_stopping_early_skips_what_follows_and_nothing_else() -> None:
    model = torchvision.models.resnet18().eval()
    points = probe(model, ["conv1", "layer1.0"], (SQUARE,))
    passed: list[str] = []
    model.layer2.register_forward_hook(lambda *_: passed.append("layer2"))
    seen: list[str] = []

    def keep(layer: str, maps: Tensor) -> None:
        seen.append(layer)

    with torch.no_grad():
        with activations(model, [*points.values()], keep, stop_early=True) as run:
            assert [run(SQUARE), run(SQUARE)] == [None, None]
        assert (seen, passed) == (["conv1", "layer1.0"] * 2, [])
        with activations(model, [*points.values()], keep) as run:
            assert torch.equal(run(SQUARE), model(SQUARE))
    assert passed == ["layer2"] * 2
    # One set of points within another: only the one that is called ends the pass.
    with (
        torch.no_grad(),
        activations(model, [points["conv1"]], keep, stop_early=True) as outer,
        activations(model, [points["layer1.0"]], keep) as inner,
    ):
        assert inner(SQUARE) is not None
        assert outer(SQUARE) is None


def test_hooks_are_gone_after_any_error() -> None:
    model = torchvision.models.resnet18().eval()
    points = probe(model, ["conv1"], (SQUARE,))

    def fail(layer: str, maps: Tensor) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), activations(model, [*points.values()], fail) as run:
        run(SQUARE)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with (
        pytest.raises(AttributeError),
        activations(model, [points["conv1"], HookPoint("nowhere", 1, 1, 1, S)], fail),
    ):
        pass
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_inputs_of_another_size_are_refused() -> None:
    model = torchvision.models.resnet18().eval()
    points = probe(model, ["conv1"], (SQUARE,))
    match = "'conv1' gives maps of 64 × 32 × 48, and of 64 × 32 × 32"
    with (
        pytest.raises(InputError, match=match),
        activations(model, [*points.values()], lambda *_: None) as run,
    ):
        run(WIDE)

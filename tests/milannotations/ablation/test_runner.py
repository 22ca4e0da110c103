"""Every fast way of ablating against the slow one: a hook and a whole pass for each ablation."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from milannotations.ablation import AblationRunner, ablated, grouped
from milannotations.ablation.replay import find_cuts
from milannotations.errors import InputError
from milannotations.hook_points.layout import Layout
from milannotations.hook_points.matching import find_hook_points


def reference(model, layer_index, units, inputs, value=0.0):
    """Recompute a sequential network by hand, with channels of one layer overwritten."""
    x = inputs
    for number, module in enumerate(model):
        x = module(x)
        if number == layer_index:
            x = x.clone()
            x[:, units] = value
    return x


def plain():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    ).eval()  # fmt: skip


@torch.no_grad()
def slow(model, points, inputs, ablations, means=None):
    outputs = []
    for ablation in ablations:
        with ablated(model, points, ablation, means):
            output = model(inputs)
            outputs.append(getattr(output, "logits", output))
    return torch.stack(outputs)


def fast(model, points, inputs, ablations, **how):
    runner = AblationRunner(model, points, (inputs,), **how)
    outputs = dict(runner.outputs((inputs,), ablations))
    return torch.stack([outputs[i] for i in range(len(ablations))])


@pytest.mark.parametrize("rows", [1, 12, 100])
def test_equals_overwriting_channels_by_hand(rows):
    model, x = plain(), torch.randn(4, 3, 12, 12)
    points = find_hook_points(model, ["0", "1", "2", "3", "7"], (x,))
    with torch.no_grad():
        expected = [
            reference(model, 3, [1, 5], x), reference(model, 1, [0], x), model(x),
            reference(model, 2, [0, 1, 2, 3, 4, 5], x), reference(model, 3, [2], x),
            reference(model, 7, [3], x), reference(model, 0, [4], x),
        ]  # fmt: skip
    ablations = [
        {"3": [1, 5]}, {"1": [0]}, {}, {"2": range(6)}, {"3": [2], "0": []}, {"7": [3]}, {"0": [4]}
    ]  # fmt: skip
    outputs = fast(model, points, x, ablations, rows=rows)
    assert torch.allclose(outputs, torch.stack(expected), atol=1e-6)


def test_what_is_set_to_a_mean():
    model, x = plain(), torch.randn(3, 3, 12, 12)
    points = find_hook_points(model, ["3"], (x,))
    means = {"3": torch.arange(8).float()}
    outputs = fast(model, points, x, [{"3": [2, 7]}], means=means)
    with torch.no_grad():
        assert torch.allclose(
            outputs[0], reference(model, 3, [2, 7], x, torch.tensor([[[2.0]], [[7.0]]]))
        )


class Shared(nn.Module):
    """Modules used twice, additions in place, and code between modules."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.one = Block(self.act)
        self.two = Block(self.act)
        self.head = nn.Linear(4, 3)
        self.stem = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        x = self.stem(x / 2)
        x += 1  # the stem's output is changed by code that is run again
        x = self.two(self.one(x))
        x.mul_(0.5)
        return self.head(self.act(x.mean((2, 3))))


class Block(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 4, 1)
        self.act = act

    def forward(self, x):
        y = self.act(self.norm(self.conv(x)))
        y = self.last(y)
        y += x
        y = functional.gelu(y)
        return self.act(y)


def test_shared_modules_and_changes_in_place():
    torch.manual_seed(1)
    model, x = Shared().eval(), torch.randn(5, 3, 8, 8)
    layers = ["stem", "one.conv", "one.norm", "one.last", "one", "two.conv", "two.last", "two",
              "two@in", "one.last@in", "head@in"]  # fmt: skip
    points = find_hook_points(model, layers, (x,))
    ablations = [{layer: [unit]} for layer in layers for unit in (0, 3)]
    ablations += [{"one": [1], "two.last": [2]}, {"stem": [0, 1], "head@in": [2]}, {}]
    expected = slow(model, points, x, ablations)
    for rows in (1, 17, 1000):
        assert torch.allclose(fast(model, points, x, ablations, rows=rows), expected, atol=1e-6)
    # Nothing is left behind.
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.allclose(slow(model, points, x, ablations), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers", "size"),
    [
        ("resnet18", ["bn1", "layer1", "layer2.0.conv1", "layer3.1.bn2", "layer4.0.downsample.0",
                      "layer4"], 64),
        ("densenet121", ["features.denseblock1", "features.denseblock4.denselayer3.conv1"], 64),
        ("alexnet", ["features.0", "features.10", "classifier.1"], 96),
        ("vit_b_16", ["encoder.layers.encoder_layer_3.mlp.0", "encoder.layers.encoder_layer_11"],
         224),
        ("swin_t", ["features.1.0.mlp.0", "features.5"], 224),
        ("convnext_tiny", ["features.3.0.block.3", "features.7"], 64),
        ("mobilenet_v3_small", ["features.1", "features.8"], 96),
        ("squeezenet1_1", ["features.3", "features.12.expand3x3"], 96),
    ],
)  # fmt: skip
def test_equals_whole_passes_of_torchvision(name, layers, size):
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).eval()
    for parameter in model.parameters():  # a head that begins as 0 would hide all
        if not parameter.any():
            nn.init.normal_(parameter.data, std=0.1)
    x = torch.randn(2, 3, size, size)
    points = find_hook_points(model, layers, (x,))
    ablations = [{layer: [unit, unit + 1]} for layer in layers for unit in (0, 5)]
    ablations += [{layer: range(8) for layer in layers}, {}]
    expected = slow(model, points, x, ablations)
    outputs = fast(model, points, x, ablations, rows=6)
    assert torch.allclose(outputs, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert len({tuple(row.flatten()[:50].tolist()) for row in expected}) > len(layers)


def test_equals_whole_passes_of_transformers():
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
                       intermediate_size=64, image_size=32, patch_size=8, num_labels=5)  # fmt: skip
    model, x = ViTForImageClassification(config).eval(), torch.randn(3, 3, 32, 32)
    names = [n for n, _ in model.named_modules()]
    inner = [n for n in names if n.endswith(("intermediate", "mlp.fc1"))]
    heads = [n for n in names if n.endswith(("output.dense", "attention.o_proj"))][:2]
    layers = [*inner[:2], *[f"{n}@in@heads=4" for n in heads if "attention" in n][:1]]
    points = find_hook_points(model, layers, (x,))
    ablations = [{layer: [unit]} for layer in layers for unit in range(3)]
    expected = slow(model, points, x, ablations)
    assert torch.allclose(fast(model, points, x, ablations, rows=9), expected, atol=1e-5)


def test_a_head_is_its_channels():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 6)
            self.proj = nn.Linear(6, 6)

        def forward(self, x):
            return self.proj(self.inner(x)).mean(1)

    torch.manual_seed(0)
    model, x = Heads().eval(), torch.randn(2, 4, 6)

    points = find_hook_points(model, ["proj@in@heads=3"], (x,), {"proj": Layout("tokens", (2, 2))})
    assert points["proj@in@heads=3"].channels == 6
    with torch.no_grad(), ablated(model, points, {"proj@in@heads=3": [1]}):
        outputs = model(x)
    with torch.no_grad():
        inner = model.inner(x)
        inner[..., 2:4] = 0
        assert torch.allclose(outputs, model.proj(inner).mean(1), atol=1e-6)


def test_mistakes_are_named():
    model, x = plain(), torch.randn(2, 3, 12, 12)
    with pytest.raises(InputError, match=r"layer4"):
        find_hook_points(model, ["layer4"], (x,))
    points = find_hook_points(model, ["0"], (x,))
    with pytest.raises(InputError, match="units 0 to 5, no 6"):
        fast(model, points, x, [{"0": [6]}])
    with pytest.raises(InputError, match="'3' is not looked at"):
        fast(model, points, x, [{"3": [0]}])
    with pytest.raises(ValueError, match="two images"):
        find_cuts(model, [*points.values()], (x[:1],))


def test_an_error_within_the_network_leaves_it_as_it_was():
    model, x = plain(), torch.randn(2, 3, 12, 12)
    points = find_hook_points(model, ["3"], (x,))
    runner = AblationRunner(model, points, (x,))
    with pytest.raises(RuntimeError):
        list(runner.outputs((x[:, :2],), [{"3": [0]}]))
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert not any(m._forward_hooks for m in model.modules())


def test_grouped():
    assert grouped([("b", 1), ("a", 2), ("b", 0)]) == {"b": [1, 0], "a": [2]}


def test_outputs_that_are_dictionaries_or_dataclasses():
    @dataclasses.dataclass
    class Maps:
        first: torch.Tensor
        note: str

    class Inner(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.kind = kind

        def forward(self, x):
            maps = self.conv(x)
            return {"maps": maps} if self.kind == "dict" else Maps(maps, "a note")

    class Outer(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.inner = Inner(kind)
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            out = self.inner(x)
            maps = out["maps"] if isinstance(out, dict) else out.first
            return self.fc(maps.relu().mean((2, 3)))

    for kind in ("dict", "dataclass"):
        torch.manual_seed(0)
        model, x = Outer(kind).eval(), torch.randn(4, 3, 8, 8)
        points = find_hook_points(model, ["inner"], (x,))
        ablations = [{"inner": [unit]} for unit in range(4)] * 2 + [{}]
        expected = slow(model, points, x, ablations)
        assert torch.allclose(fast(model, points, x, ablations, rows=4), expected, atol=1e-6)


def test_the_fast_path_of_transformer_layers():
    torch.manual_seed(0)
    inner = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(inner, 2), Pooled()).eval()
    x = torch.randn(4, 9, 8)
    layers = ["0.layers.0.linear1", "0.layers.1.norm1", "0.layers.1"]
    points = find_hook_points(model, layers, (x,), {"*": Layout("tokens", (3, 3))})
    ablations = [{layer: [unit]} for layer in layers for unit in (0, 5)] + [{}]
    expected = slow(model, points, x, ablations)
    assert torch.allclose(fast(model, points, x, ablations), expected, atol=1e-5)


class Pooled(nn.Module):
    def forward(self, x):
        return x.mean(1)


def test_code_that_changes_tensors_behind_its_modules_backs():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.relu = nn.ReLU(inplace=True)
            self.bn = nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.conv(x)
            self.relu(y)  # in place; what it gives is not used
            z = self.bn(y)
            y += z
            return y.mean((2, 3))

    torch.manual_seed(0)
    model, x = Odd().eval(), torch.randn(4, 3, 8, 8)
    points = find_hook_points(model, ["bn"], (x,))
    ablations = [{"bn": [0]}, {"bn": [1, 2]}, {}]
    assert torch.allclose(fast(model, points, x, ablations), slow(model, points, x, ablations))


def test_what_is_unused_is_not_kept():
    model, x = plain(), torch.randn(4, 3, 12, 12)
    cut = find_cuts(model, [*find_hook_points(model, ["3"], (x,)).values()], (x,))["3"]
    kept = {type(module).__name__ for module, _ in cut.calls.keys() - cut.unused}
    assert len(cut.calls) == 4 and kept == {"Conv2d"} and len(cut.unused) == 3

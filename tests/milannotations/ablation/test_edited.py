"""An edited network, written and loaded by nothing but torch."""

import json
import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn

from milannotations.ablation import ablated
from milannotations.ablation.edited import folded, write_edited
from milannotations.ablation.means import mean_activations
from milannotations.errors import InputError
from milannotations.hook_points.matching import find_hook_points


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 5, 3, bias=False),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4),
    )  # fmt: skip
    model.train()(torch.randn(8, 3, 9, 9))  # so that normalization has statistics
    return model.eval()


@pytest.mark.parametrize(
    ("ablation", "means", "weights_do"),
    [
        ({"0": [1], "1": [2, 3], "3": [0], "6": [3]}, None, True),
        ({"1": [0, 5]}, {"1": torch.arange(6.0)}, True),
        ({"3": [0]}, {"3": torch.ones(5)}, False),  # there is no bias to hold the value
        ({"2": [0]}, None, False),
        ({"3@in": [1]}, None, False),
        ({"2": []}, None, True),
    ],
)
def test_loads_in_plain_torch(tmp_path, ablation, means, weights_do):
    model, x = network(), torch.randn(3, 3, 9, 9)
    points = find_hook_points(model, ["*", "3@in"], (x,))
    assert (folded(model, points, ablation, means) is not None) == weights_do
    with torch.no_grad(), ablated(model, points, ablation, means):
        expected = model(x)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    written = write_edited(model, points, ablation, tmp_path / "edited", (x,), means=means)
    assert written.folded == weights_do
    assert written.program, written.problem
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    masks = json.loads((tmp_path / "edited" / "masks.json").read_text())
    assert masks["units"] == {k: sorted(v) for k, v in ablation.items()}
    # No image of the user's goes with it.
    program = torch.export.load(tmp_path / "edited" / "model.pt2")
    assert not program.example_inputs[0][0].any()
    computed = torch.export.load(tmp_path / "edited" / "model.pt2").module()(x[:2])
    assert torch.allclose(computed, expected[:2], atol=1e-5)
    fresh = network()
    sys.path.insert(0, str(tmp_path / "edited"))
    try:
        sys.modules.pop("load_edited", None)
        from load_edited import load

        load(fresh, tmp_path / "edited")
    finally:
        sys.path.pop(0)
    with torch.no_grad():
        assert torch.allclose(fresh(x), expected, atol=1e-5)


@pytest.mark.slow
def test_a_process_without_this_package(tmp_path):
    torch.manual_seed(0)
    model, x = (
        torchvision.models.resnet18(weights=None, num_classes=3).eval(),
        torch.randn(2, 3, 64, 64),
    )
    points = find_hook_points(model, ["layer3", "layer4.1.bn2"], (x,))
    ablation = {"layer3": [3, 200], "layer4.1.bn2": [1]}
    write_edited(model, points, ablation, tmp_path / "edited", (x,))
    with torch.no_grad(), ablated(model, points, ablation):
        torch.save({"x": x, "y": model(x)}, tmp_path / "expected.pt")
    code = """
import sys, torch, torchvision
sys.path.insert(0, sys.argv[1] + "/edited")
from load_edited import load
expected = torch.load(sys.argv[1] + "/expected.pt", weights_only=True)
model = torchvision.models.resnet18(num_classes=3).eval()
load(model, sys.argv[1] + "/edited")
program = torch.export.load(sys.argv[1] + "/edited/model.pt2").module()
with torch.no_grad():
    for found in (model(expected["x"]), program(expected["x"])):
        assert torch.allclose(found, expected["y"], atol=1e-4)
assert "milannotations" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=tmp_path)


def test_tied_weights_are_not_folded():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
    model[2].weight = model[0].weight
    x = torch.randn(2, 4)
    points = find_hook_points(model, ["0"], (x,))
    assert folded(model, points, {"0": [1]}) is None


def test_what_cannot_be_exported_is_said(tmp_path):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(3, 2, 1)

        def forward(self, x):
            y = self.one(x)
            return y.mean((2, 3)) if float(y.sum()) > 0 else y.amax((2, 3))

    model, x = Odd().eval(), torch.randn(2, 3, 4, 4)
    points = find_hook_points(model, ["one"], (x,))
    written = write_edited(model, points, {"one": [0]}, tmp_path / "e", (x,), facts={"of": "odd"})
    assert not written.program and written.problem
    assert not (tmp_path / "e" / "model.pt2").exists()
    assert json.loads((tmp_path / "e" / "masks.json").read_text())["of"] == "odd"
    with pytest.raises(InputError, match="exists"):
        write_edited(model, points, {"one": [0]}, tmp_path / "e", (x,))


def test_mean_activations():
    class Images:
        def __len__(self):
            return 5

        def inputs(self, index):
            return torch.full((3, 4, 4), float(index))

    model = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.Flatten()).eval()
    model[0].weight.data.fill_(1.0)
    model[0].weight.data[1] *= 2
    points = find_hook_points(model, ["0"], (torch.randn(2, 3, 4, 4),))
    means = mean_activations(model, points, Images(), batch_size=2)
    assert torch.allclose(means["0"], torch.tensor([6.0, 12.0]))

"""Networks with random weights: like another network in all but what it has learned."""

import pytest
import torch
from torch import nn

from applications.audit.untrained import initialized_again, untrained
from milannotations.catalog import small
from milannotations.catalog.entry import weights_seed
from milannotations.catalog.models import LoadedModel, load_model
from milannotations.errors import InputError
from milannotations.hook_points.matching import find_hook_points
from milannotations.inputs.preprocessing import Preprocessing

INPUTS = torch.rand(2, 3, small.SIZE, small.SIZE, generator=torch.Generator().manual_seed(0))


def same(one, two):
    states = one.state_dict(), two.state_dict()
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def network(module):
    loaded = LoadedModel(module.eval(), "net", "images", small.PREPROCESSING, small.LAYERS)
    return loaded, find_hook_points(module, list(small.LAYERS), (INPUTS,))


def test_the_architectures_own_weights_by_seed():
    loaded, points = network(small.SmallNet(4))
    one, found = untrained(loaded, points, INPUTS, 1, "smallnet")
    again, _ = untrained(loaded, points, INPUTS, 1, "smallnet")
    other, _ = untrained(loaded, points, INPUTS, 2, "smallnet")
    assert same(one.module, again.module) and not same(one.module, other.module)
    assert list(found) == list(small.LAYERS) and not one.module.training
    assert (one.name, one.dataset) == ("net", "random-1")
    with weights_seed(1):
        assert same(one.module, load_model("smallnet", "random").module)
    # Seed 0 is that of `--weights random`, and the context has left it as it was.
    usual = load_model("smallnet", "random").module
    assert not same(one.module, usual)
    with weights_seed(0):
        assert same(usual, load_model("smallnet", "random").module)


def test_a_network_of_other_widths_is_initialized_again():
    loaded, points = network(small.SmallNet(4, (3, 4, 5, 6, 7)))
    found, places = untrained(loaded, points, INPUTS, 1, "smallnet")
    assert [places[layer].units for layer in small.LAYERS] == [3, 4, 5, 6, 7]
    assert not same(found.module, loaded.module)


def test_nothing_learned_is_left():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    net(torch.rand(2, 3, 6, 6))
    for parameter in net.parameters():
        parameter.data.fill_(7.0)
    net[1].running_mean.fill_(7.0)
    before = torch.random.get_rng_state()
    found = initialized_again(net, 3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(not (value == 7.0).any() for value in found.state_dict().values())
    assert all((parameter == 7.0).all() for parameter in net.parameters())
    assert same(found, initialized_again(net, 3)) and not same(found, initialized_again(net, 4))


class Token(nn.Module):
    """A parameter that no module knows how to initialize."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(3))
        self.seen = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.seen(x + self.token[:, None, None])


def test_what_cannot_be_made_random_is_named():
    module = Token().eval()
    loaded = LoadedModel(module, "token", "images", Preprocessing(8, 8), ("seen",))
    inputs = torch.rand(2, 3, 8, 8)
    points = find_hook_points(module, ["seen"], (inputs,))
    with pytest.raises(InputError, match=r"\(Token\) has parameters and no reset_parameters"):
        untrained(loaded, points, inputs, 1, "package.module:factory")

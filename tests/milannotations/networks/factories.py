"""A network that a data set's record names as code: ``tests.milannotations.networks.factories``."""

from __future__ import annotations

import torch
from torch import nn

from milannotations.catalog.models import LoadedModel
from milannotations.hook_points.layout import Layout
from milannotations.inputs.preprocessing import Preprocessing

SIDE = 64


def toy(seed: int) -> nn.Module:
    """Return a small convolutional network whose weights depend on a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), nn.Conv2d(6, 4, 3))


def make() -> LoadedModel:
    """Return a network with a preprocessing and a layout of its own."""
    return LoadedModel(
        toy(7), "toy", "shapes", Preprocessing(SIDE, SIDE, mean=(0.2,) * 3, std=(0.3,) * 3),
        layers=("1",), layouts={"1": Layout("spatial")},
    )  # fmt: skip

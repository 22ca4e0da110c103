"""The generator of BigGAN at 256 × 256 pixels (Brock et al., ICLR 2019, appendix B).

Weights of the public PyTorch release load after ``convert``, which also divides each weight by
its spectral norm, once: after training the norm no longer changes.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

# For the spectral norm. The releases differ (1e-4, 1e-6), which matters only for norms near 0.
_SPECTRAL_EPSILON = 1e-4
_BOTTOM = 4  # side of the first map
# Widths of the blocks' inputs and outputs, as multiples of the last one's.
_IN, _OUT = (16, 16, 8, 8, 4, 2), (16, 8, 8, 4, 2, 1)


class ConditionalNorm(nn.Module):
    """Batch normalization whose gain and bias depend on the class and on the latent."""

    def __init__(self, channels: int, condition: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))
        self.stored_mean: Tensor
        self.stored_var: Tensor

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalize maps (N, channels, height, width) given conditions (N, condition)."""
        scaled = functional.batch_norm(x, self.stored_mean, self.stored_var, eps=self.epsilon)
        gain, bias = (1 + self.gain(condition)), self.bias(condition)
        return scaled * gain[:, :, None, None] + bias[:, :, None, None]


class Block(nn.Module):
    """A residual block that doubles height and width."""

    def __init__(self, channels: int, out: int, condition: int, epsilon: float) -> None:
        super().__init__()
        self.bn1 = ConditionalNorm(channels, condition, epsilon)
        self.bn2 = ConditionalNorm(out, condition, epsilon)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_sc = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return maps of twice the height and width."""
        hidden = functional.interpolate(self.bn1(x, condition).relu(), scale_factor=2)
        hidden = self.conv2(self.bn2(self.conv1(hidden), condition).relu())
        return hidden + self.conv_sc(functional.interpolate(x, scale_factor=2))


class Attention(nn.Module):
    """Self-attention between positions, with keys and values of half the resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.o = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape."""
        query = self.theta(x).flatten(2).transpose(1, 2)
        key = functional.max_pool2d(self.phi(x), 2).flatten(2).transpose(1, 2)
        value = functional.max_pool2d(self.g(x), 2).flatten(2).transpose(1, 2)
        # Not scaled by the square root of the width, as in the release.
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        return self.gamma * self.o(mixed.transpose(1, 2).unflatten(2, x.shape[2:])) + x


class BigGAN(nn.Module):
    """BigGAN's generator; its six blocks are ``layer0`` to ``layer5``.

    Args:
        width: Channels of the last block (96 on ImageNet, 128 on Places365).
        classes: Number of classes.
        chunk: Length of each of the seven chunks of the latent vector: one for the first map, and
            one for the condition of each block.
        shared: Length of a class's embedding.
        attention: Number of the block followed by attention; None for no attention.
        epsilon: Epsilon of conditional normalization: 1e-4 in DeepMind's networks, 1e-5 in those
            trained with the public PyTorch code.
    """

    def __init__(
        self,
        width: int = 96,
        classes: int = 1000,
        chunk: int = 20,
        shared: int = 128,
        attention: int | None = 4,
        epsilon: float = 1e-4,
    ) -> None:
        super().__init__()
        self.chunk = chunk
        self.classes = classes
        self.attention = attention
        self.shared = nn.Embedding(classes, shared)
        self.linear = nn.Linear(chunk, _IN[0] * width * _BOTTOM**2)
        self.blocks = len(_IN)
        for index, (channels, out) in enumerate(zip(_IN, _OUT, strict=True)):
            block = Block(channels * width, out * width, shared + chunk, epsilon)
            self.add_module(f"layer{index}", block)
            if index == attention:
                self.add_module(f"attn{index}", Attention(out * width))
        self.norm = nn.BatchNorm2d(width)
        self.output = nn.Conv2d(width, 3, 3, padding=1)

    @property
    def latent(self) -> int:
        """Length of a latent vector."""
        return self.chunk * (1 + self.blocks)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images in [-1, 1], float (N, 3, 256, 256).

        Args:
            latents: Shape (N, ``latent``).
            labels: Classes, int64 of shape (N,).
        """
        start, *chunks = latents.split(self.chunk, dim=1)
        label = self.shared(labels)
        maps = self.linear(start).unflatten(1, (-1, _BOTTOM, _BOTTOM))
        for index, chunk in enumerate(chunks):
            maps = self.get_submodule(f"layer{index}")(maps, torch.cat([label, chunk], dim=1))
            if index == self.attention:
                maps = self.get_submodule(f"attn{index}")(maps)
        return torch.tanh(self.output(self.norm(maps).relu()))


def for_state(state: Mapping[str, Tensor], epsilon: float = 1e-4) -> BigGAN:
    """Return the network that fits converted weights, by their shapes; see ``BigGAN``.

    Raises:
        KeyError, IndexError, ValueError: If they belong to another network.
    """
    classes, shared = state["shared.weight"].shape
    attention = [int(key[4]) for key in state if re.fullmatch(r"attn\d\.gamma", key)]
    return BigGAN(
        width=state["output.weight"].shape[1],
        classes=classes,
        chunk=state["linear.weight"].shape[1],
        shared=shared,
        attention=attention[0] if attention else None,
        epsilon=epsilon,
    )


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights of the public release to those of ``BigGAN``."""
    converted: OrderedDict[str, Tensor] = OrderedDict()
    for key, tensor in state.items():
        name, _, what = key.rpartition(".")
        if re.fullmatch(r"u\d+|sv\d+|num_batches_tracked|accumulation_counter", what):
            continue
        vector = state.get(f"{name}.u0") if what == "weight" else None
        value = tensor if vector is None else _normalized(tensor, vector)
        # With two of the training options, the statistics are one module deeper.
        key = re.sub(r"\.bn\.(?:running|stored)_(mean|var)$", r".stored_\1", key)
        key = re.sub(r"^blocks\.(\d)\.0\.", r"layer\1.", key)
        key = re.sub(r"^blocks\.(\d)\.1\.", r"attn\1.", key)
        converted[_OUTPUT.get(key, key)] = value
    converted["norm.num_batches_tracked"] = torch.tensor(0)
    return dict(converted)


_OUTPUT = {
    "output_layer.0.gain": "norm.weight",
    "output_layer.0.bias": "norm.bias",
    "output_layer.0.stored_mean": "norm.running_mean",
    "output_layer.0.stored_var": "norm.running_var",
    "output_layer.2.weight": "output.weight",
    "output_layer.2.bias": "output.bias",
}


def _normalized(weight: Tensor, vector: Tensor) -> Tensor:
    """Divide a weight by its spectral norm, estimated from the stored left singular vector.

    One power iteration, as the release does at every call (Miyato et al., ICLR 2018).
    """
    matrix = weight.flatten(1)
    right = functional.normalize(vector @ matrix, eps=_SPECTRAL_EPSILON)
    left = functional.normalize(right @ matrix.T, eps=_SPECTRAL_EPSILON)
    return weight / (right @ matrix.T @ left.T).squeeze()

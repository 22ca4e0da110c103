"""What a forward pass shows of a model: grids, numbers of tokens, and modules that ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Grid = tuple[int, int]

# Modules whose behaviour differs between training and evaluation.
_DIFFER_IN_TRAINING = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, nn.RReLU)


class Survey:
    """What one forward pass shows of all modules, from which the layout of outputs is detected.

    Attributes:
        batch: Number of images in the pass.
        image: Height and width of the input; None if the input is no image, as of a generator.
        grids: Output sizes of all two-dimensional convolutions, in the order they were run.
        patches: The one of the first convolution whose kernel equals its stride: a patch embedding.
        stem: The last one before the first tokens.
        token_counts: The numbers of tokens in outputs N × tokens × units.
        channels_last: Whether any module works on N × height × width × units.
        in_training: Names of modules that were run in training mode, where that makes a
            difference.
    """

    def __init__(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.model = model
        self.batch = len(inputs[0])
        images = [tensor for tensor in inputs if tensor.ndim == 4 and max(tensor.shape[2:]) > 1]
        self.image: Grid | None = _plane(images[0]) if images else None
        self.grids: list[Grid] = []
        self.patches: Grid | None = None
        self.stem: Grid | None = None
        self.token_counts: set[int] = set()
        self.channels_last = False
        self.in_training: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record what is run during the ``with`` block."""
        handles = [
            module.register_forward_hook(self._hook(name))
            for name, module in self.model.named_modules()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def proportions(self) -> Grid | None:
        """Return height and width of the input, or of the finest convolution if it is no image."""
        return self.image or max(self.grids, key=lambda grid: grid[0] * grid[1], default=None)

    def _hook(self, name: str) -> Any:
        def hook(module: nn.Module, _args: Any, output: Any) -> None:
            if module.training and isinstance(module, _DIFFER_IN_TRAINING):
                self.in_training.append(name or type(module).__name__)
            if isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == self.batch:
                self._look(module, output)

        return hook

    def _look(self, module: nn.Module, output: Tensor) -> None:
        if output.ndim == 3:
            if output.shape[1] > 1 and not self.token_counts and self.grids:
                self.stem = self.grids[-1]
            self.token_counts.add(output.shape[1])
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            self.grids.append(_plane(output))
            tiles = module.kernel_size == module.stride and max(module.kernel_size) > 1
            if tiles and self.patches is None and isinstance(module, nn.Conv2d):
                self.patches = _plane(output)
        elif works_channels_last(module):
            self.channels_last = True


def works_channels_last(module: nn.Module) -> bool:
    """Return whether the units are the last axis of a module's inputs and outputs.

    Subclasses of LayerNorm are not trusted: in LayerNorm2d of torchvision and timm units come
    first.
    """
    if type(module) is nn.LayerNorm:
        return len(module.normalized_shape) == 1
    return isinstance(module, nn.Linear)


def works_channels_first(module: nn.Module) -> bool:
    """Return whether a module's inputs and outputs are N × units × height × width."""
    return isinstance(module, _CHANNELS_FIRST)


_CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.Upsample,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Dropout2d,
)


def declared_prefixes(model: nn.Module) -> set[int]:
    """Return the numbers of prefix tokens that a model of timm or transformers declares."""
    prefixes = set()
    for module in model.modules():
        count = getattr(module, "num_prefix_tokens", None)  # timm
        registers = getattr(getattr(module, "config", None), "num_register_tokens", None)
        if isinstance(count, int):
            prefixes.add(count)
        if isinstance(registers, int):  # transformers: registers follow one class token
            prefixes.add(1 + registers)
    return prefixes


def declared_grid(model: nn.Module) -> Grid | None:
    """Return the patch grid that a patch embedding of timm declares, for its usual input."""
    for module in model.modules():
        grid = getattr(module, "grid_size", None) if hasattr(module, "patch_size") else None
        if isinstance(grid, tuple) and len(grid) == 2 and all(isinstance(n, int) for n in grid):
            return grid
    return None


def _plane(tensor: Tensor) -> Grid:
    return tensor.shape[2], tensor.shape[3]

"""The synthetic network: a module whose layers' outputs are the neurons' activation maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.seeds import stable_generator
from milannotations.worlds.concepts import And, AndNot, Concept, OfObjects
from milannotations.worlds.neurons import LAYERS, SyntheticNeuron
from milannotations.worlds.scenes import SIZE
from milannotations.worlds.source import World
from milannotations.worlds.spatial import Relation


class _Layer(nn.Module):
    """One layer: the maps of its neurons, shape (images, neurons, side, side)."""

    def __init__(self, world: World, neurons: Sequence[SyntheticNeuron], side: int) -> None:
        super().__init__()
        self.world = world
        self.neurons = list(neurons)
        self.side = side

    def forward(self, indices: Tensor) -> Tensor:
        maps = [
            [activation_map(neuron, self.world, int(index), self.side) for neuron in self.neurons]
            for index in indices
        ]
        # The explicit shape is needed for an empty batch.
        shape = (len(indices), len(self.neurons), self.side, self.side)
        return torch.from_numpy(np.array(maps, dtype=np.float32).reshape(shape)).to(indices.device)


class SyntheticNetwork(nn.Module):
    """Synthetic neurons as a network: its submodules are the layers that have neurons.

    A layer's channels follow the order of its neurons in the given list.

    Args:
        neurons: Synthetic neurons, at least one.
        world: The scenes whose indices ``forward`` takes.

    Raises:
        InputError: If the list of neurons is empty.
    """

    def __init__(self, neurons: Sequence[SyntheticNeuron], world: World) -> None:
        super().__init__()
        if not neurons:
            raise InputError("a synthetic network of no neurons; it must have at least 1")
        self.names = []
        for name, side in LAYERS.items():
            members = [neuron for neuron in neurons if neuron.layer == name]
            if members:
                self.add_module(name, _Layer(world, members, side))
                self.names.append(name)

    def forward(self, indices: Tensor) -> Tensor:
        """Return the last layer's maps, float32 (images, neurons, side, side).

        Args:
            indices: Indices of scenes, integers of shape (images,).

        Raises:
            InputError: If the indices are not one-dimensional integers, or a scene does not exist.
        """
        if indices.ndim != 1 or indices.is_floating_point():
            raise InputError(
                f"indices of shape {tuple(indices.shape)} and type {indices.dtype}; "
                "a synthetic network takes integers of shape (images,)"
            )
        for name in self.names:
            output = self.get_submodule(name)(indices)
        return torch.as_tensor(output)


def activation_map(
    neuron: SyntheticNeuron, world: World, index: int, side: int
) -> NDArray[np.float32]:
    """Return a neuron's activation map in one scene, float32 (side, side), never negative.

    The concept's mask is averaged over the cells of the map and smoothed. In proportion to the
    neuron's noise, objects differ in strength or are missed, the first half of a compound alone
    gives a weak response, and a smooth random field is added. The noise depends only on the neuron
    and the scene.
    """
    scene = world.scene(index)
    if neuron.kind == "dead":
        return np.zeros((side, side), dtype=np.float32)
    rng = stable_generator(world.seed, neuron.layer, neuron.unit, index)
    strength = 1 - neuron.noise * rng.uniform(0, 0.5, len(scene.objects) + 1)
    strength[:-1][rng.random(len(scene.objects)) < 0.1 * neuron.noise] = 0.0
    response = neuron.concept.mask(scene) * strength[scene.owner]
    near = _half_of(neuron.concept)
    if near is not None:
        weak = 0.3 * neuron.noise * near.mask(scene)
        response = np.maximum(response, weak)
    cell = SIZE // side
    coarse = response.reshape(side, cell, side, cell).mean((1, 3))
    smooth = ndimage.gaussian_filter(coarse, 0.4, mode="nearest")
    field = ndimage.gaussian_filter(rng.standard_normal((side, side)), 1.0, mode="wrap")
    return np.maximum(smooth + 0.15 * neuron.noise * field, 0).astype(np.float32)


def _half_of(concept: Concept) -> OfObjects | None:
    """Return a compound concept's first half; None for concepts that a half cannot resemble."""
    return concept.first if isinstance(concept, And | AndNot | Relation) else None

"""Runs networks on images, for metrics that need no annotations."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contrastive import ContrastiveModel
from benchmark.functional.config import ProbeConfig
from benchmark.functional.metrics import Probe
from benchmark.functional.scorers import ContrastiveScorer, WorldScorer
from milannotations.annotations import to_dataset
from milannotations.errors import InputError
from milannotations.exemplars.responses import responses
from milannotations.inputs.sources import ImageFolder
from milannotations.networks.lookup import NetworkChoice, network_of
from milannotations.numerals import count_of
from milannotations.record import NeuronKey
from milannotations.weights_hash import hash_of_weights
from milannotations.worlds import SyntheticNetwork, World, synthetic_neurons

WORLDS = "worlds:"
SYNTHETIC = "synthetic"


def probe_neurons(
    keys: Sequence[NeuronKey],
    config: ProbeConfig,
    neurons: Dataset | None = None,
    device: torch.device | str = "cpu",
) -> Probe:
    """Run neurons' networks on images.

    Args:
        keys: The neurons.
        config: The images and networks. Rendered scenes, for which the truth is known, are for
            synthetic neurons only.
        neurons: The dataset that is described; it records the networks. Default: the published
            networks that the keys name.
        device: Device on which networks run.

    Raises:
        InputError: If there are no such images, networks, layers or units, or no ``clip``.
    """
    images = config.images
    if images.startswith(WORLDS):
        world = _world(images)
        return Probe(_synthetic(keys, world, device, config.batch_size), WorldScorer(world))
    if config.clip is None:
        raise InputError("a folder's images need a text-image model to look at them: name --clip")
    if not 0 < config.share < 1:
        raise InputError(f"share is {config.share}; it must lie between 0 and 1")
    if not keys:
        raise InputError("there are no neurons to probe")
    networks: dict[tuple[str, str], dict[str, list[NeuronKey]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for key in keys:
        networks[key.model, key.dataset][key.layer].append(key)
    if config.model is not None and len(networks) > 1:
        raise InputError("one network is named, and these neurons are of several")
    if neurons is None:
        neurons = to_dataset({key: [] for key in keys})
    choice = NetworkChoice(config.model, config.weights, flag="--")
    model = ContrastiveModel(config.clip, device, config.batch_size)
    by_neuron: dict[NeuronKey, NDArray[np.float32]] = {}
    hashes: list[str] = []
    for (name, dataset), layers in networks.items():
        loaded = network_of(neurons, name, dataset, choice)
        if loaded.latents is not None:
            raise InputError(f"{loaded.name} is a generator; images cannot be shown to it")
        hashes.append(hash_of_weights(loaded.module))
        source = ImageFolder(Path(images), loaded.preprocessing)
        by_layer = responses(
            loaded.module,
            list(layers),
            source,
            layouts=loaded.layouts,
            autoencoders=loaded.autoencoders,
            device=device,
            batch_size=config.batch_size,
            in_place=loaded.in_place,
        )
        by_neuron |= _by_neuron(by_layer, layers)
    return Probe(by_neuron, ContrastiveScorer(model, source, config.share), _hash_of(hashes))


def _by_neuron(
    by_layer: Mapping[str, Tensor], layers: Mapping[str, Sequence[NeuronKey]]
) -> dict[NeuronKey, NDArray[np.float32]]:
    """Return the responses of single neurons from those of layers, shape (images, units)."""
    by_neuron = {}
    for layer, members in layers.items():
        units = by_layer[layer].shape[1]
        for key in members:
            if key.unit >= units:
                raise InputError(f"{key}: layer {layer!r} has {units} units")
            by_neuron[key] = by_layer[layer][:, key.unit].numpy()
    return by_neuron


def _hash_of(hashes: Sequence[str]) -> str:
    """Return one hash of several."""
    return hashlib.sha256("+".join(sorted(hashes)).encode()).hexdigest()[:12]


def _world(images: str) -> World:
    sizes = images.removeprefix(WORLDS).split(":")
    numbers = [number for size in sizes if (number := count_of(size)) is not None]
    if len(sizes) != 2 or len(numbers) != 2:
        raise InputError(f"images {images!r}: write worlds:SEED:SCENES")
    return World(*numbers)


def _synthetic(
    keys: Sequence[NeuronKey], world: World, device: torch.device | str, batch_size: int
) -> dict[NeuronKey, NDArray[np.float32]]:
    synthetic = {(n.layer, n.unit): n for n in synthetic_neurons()}
    units = list(dict.fromkeys((key.layer, key.unit) for key in keys))
    missing = [f"{layer}:{unit}" for layer, unit in units if (layer, unit) not in synthetic]
    if missing or any(key.model != SYNTHETIC for key in keys):
        raise InputError(
            "rendered scenes are for the demo's synthetic neurons; there is none "
            f"{missing[0] if missing else 'of model ' + repr(keys[0].model)}"
        )
    network = SyntheticNetwork([synthetic[unit] for unit in units], world)
    by_layer = responses(network, network.names, world, device=device, batch_size=batch_size)
    by_neuron = {}
    for key in keys:
        # The channels of a layer are in the order in which its neurons were passed.
        channel = [unit for layer, unit in units if layer == key.layer].index(key.unit)
        by_neuron[key] = by_layer[key.layer][:, channel].numpy()
    return by_neuron

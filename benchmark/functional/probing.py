"""Running networks on images, for metrics that need no annotations."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

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
        config: The images and networks. Rendered scenes, whose truth is known, are for synthetic
            neurons.
        neurons: The dataset that is described, whose record says which network it is.
        device: Where networks run.

    Raises:
        InputError: If there are no such images, networks, layers or units, or no ``clip``.
    """
    images, batch_size = config.images, config.batch_size
    if images.startswith(WORLDS):
        world = _world(images)
        return Probe(_synthetic(keys, world, device, batch_size), WorldScorer(world))
    if config.clip is None:
        raise InputError("a folder's images need a text-image model to look at them: name --clip")
    if not 0 < config.share < 1:
        raise InputError(f"share is {config.share}; it must lie between 0 and 1")
    networks: dict[tuple[str, str], dict[str, list[NeuronKey]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for key in keys:
        networks[key.model, key.dataset][key.layer].append(key)
    if config.model is not None and len(networks) > 1:
        raise InputError("one network is named, and these neurons are of several")
    if neurons is None:  # nothing but the names is known
        neurons = to_dataset({key: [] for key in keys})
    choice = NetworkChoice(config.model, config.weights, flag="--")
    looking = ContrastiveModel(config.clip, device, batch_size)
    found: dict[NeuronKey, NDArray[np.float32]] = {}
    weights_found: list[str] = []
    source = None
    for (name, dataset), layers in networks.items():
        loaded = network_of(neurons, name, dataset, choice)
        if loaded.latents is not None:
            raise InputError(f"{loaded.name} is a generator; images cannot be shown to it")
        weights_found.append(hash_of_weights(loaded.module))
        source = ImageFolder(Path(images), loaded.preprocessing)
        of_layers = responses(
            loaded.module, list(layers), source,
            layouts=loaded.layouts, autoencoders=loaded.autoencoders, device=device,
            batch_size=batch_size, in_place=loaded.in_place,
        )  # fmt: skip
        for layer, members in layers.items():
            units = of_layers[layer].shape[1]
            for key in members:
                if key.unit >= units:
                    raise InputError(f"{key}: layer {layer!r} has {units} units")
                found[key] = of_layers[layer][:, key.unit].numpy()
    if source is None:
        raise InputError("there are no neurons to probe")
    return Probe(found, ContrastiveScorer(looking, source, config.share), _united(weights_found))


def _united(hashes: Sequence[str]) -> str:
    """Return one hash of several networks'."""
    return hashlib.sha256("+".join(sorted(hashes)).encode()).hexdigest()[:12]


def _world(images: str) -> World:
    parts = images.removeprefix(WORLDS).split(":")
    numbers = [number for part in parts if (number := count_of(part)) is not None]
    if len(parts) != 2 or len(numbers) != 2:
        raise InputError(f"images {images!r}: write worlds:SEED:SCENES")
    return World(*numbers)


def _synthetic(
    keys: Sequence[NeuronKey], world: World, device: torch.device | str, batch_size: int
) -> dict[NeuronKey, NDArray[np.float32]]:
    known = {(n.layer, n.unit): n for n in synthetic_neurons()}
    wanted = dict.fromkeys((key.layer, key.unit) for key in keys)
    missing = [f"{layer}:{unit}" for layer, unit in wanted if (layer, unit) not in known]
    if missing or any(key.model != SYNTHETIC for key in keys):
        raise InputError(
            "rendered scenes are for the demo's synthetic neurons; there is none "
            f"{missing[0] if missing else 'of model ' + repr(keys[0].model)}"
        )
    network = SyntheticNetwork([known[place] for place in wanted], world)
    of_layers = responses(network, network.names, world, device=device, batch_size=batch_size)
    found = {}
    for key in keys:
        # Channels follow the order of a layer's neurons as they were given.
        channel = [unit for layer, unit in wanted if layer == key.layer].index(key.unit)
        found[key] = of_layers[key.layer][:, channel].numpy()
    return found

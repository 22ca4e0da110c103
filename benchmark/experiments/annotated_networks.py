"""The networks that experiments run on: the annotated networks, or small synthetic ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from datasets import Dataset, load_dataset

from benchmark.splits.definitions import Network, Task
from benchmark.splits.released import released
from milannotations.data_home import home
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.loading import load_split
from milannotations.numerals import count_of
from milannotations.record import FEATURES
from milannotations.storage import locked
from milannotations.worlds import SyntheticNetwork, SyntheticNeuron, World, synthetic_neurons
from milannotations.worlds.neurons import LAYERS


class AnnotatedNetworks(ABC):
    """Annotated networks and their neurons.

    Attributes:
        name: Their name in tables.
        note: A remark for readers of the tables.
        networks: The annotated networks.
    """

    name: str
    note: str
    networks: Sequence[Network]

    @abstractmethod
    def load(self, config: str) -> Dataset:
        """Return all neurons of a config.

        Raises:
            InputError: If they are not available.
        """


class ReleasedNetworks(AnnotatedNetworks):
    """MILANNOTATIONS: the seven annotated networks."""

    name = "release"
    note = "MILANNOTATIONS (Hernandez et al., 2022); references are human."

    def __init__(self) -> None:
        self.networks = released()

    def load(self, config: str) -> Dataset:
        """Return a config with its images; it is downloaded and imported if necessary."""
        neurons = load_split(config)
        if any(not count for count in _image_counts(neurons)):
            raise InputError(
                f"{config} has no images; attach the source images first "
                f"(milannotations attach-images {config})"
            )
        return neurons


class SyntheticNetworks(AnnotatedNetworks):
    """Seven small synthetic networks with the same relations as the annotated networks.

    Two architectures and a substitute for a generator, each with two datasets, and one further
    architecture for testing only. Architectures differ in their layers and in the noise of their
    neurons. Datasets differ in the concepts of the neurons: attributes of objects and combinations
    of them, or parts, relations and exclusions. References are ground truth from a grammar.

    Args:
        units: Neurons per network.
        scenes: Number of scenes from which exemplars are chosen.

    >>> [network.name for network in SyntheticNetworks(10, 40).networks][:2]
    ['shallownet-objects', 'shallownet-places']
    """

    name = "worlds"
    note = "Synthetic networks; references are ground truth from a grammar, not human."
    _KINDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "objects": ("single", "and", "or"),
        "places": ("and-not", "part", "relation", "polysemantic"),
    }
    # By model: layers from input to output, noise relative to the default, task, base.
    _MODELS: ClassVar[dict[str, tuple[tuple[str, ...], float, Task, bool]]] = {
        "shallownet": (("fine", "middle"), 0.6, "classifier", True),
        "deepnet": (("fine", "middle", "coarse"), 1.0, "classifier", True),
        "gan": (("coarse", "middle", "fine"), 0.3, "generator", True),
        "vit": (("middle", "coarse"), 1.0, "classifier", False),
    }

    def __init__(self, units: int = 48, scenes: int = 160) -> None:
        if units < 10 or scenes < 40:
            raise InputError("worlds need at least 10 units per network and 40 scenes")
        self._scenes = scenes
        self._neurons: dict[str, list[SyntheticNeuron]] = {}
        self._seeds: dict[str, int] = {}
        self.networks = []
        for number, (model, (layers, noise, task, base)) in enumerate(self._MODELS.items()):
            for position, dataset in enumerate(self._KINDS if base else ("objects",)):
                name = f"{model}-{dataset}"
                self._seeds[name] = 100 + 10 * number + position
                chosen = self._choose(name, dataset, layers, noise, units)
                self._neurons[name] = chosen
                of_layers = {
                    layer: [n.unit for n in chosen if n.layer == layer] for layer in layers
                }
                self.networks.append(Network(name, model, dataset, of_layers, task, base))

    def _choose(
        self, name: str, dataset: str, layers: Sequence[str], noise: float, units: int
    ) -> list[SyntheticNeuron]:
        candidates = [
            neuron
            for neuron in synthetic_neurons(self._seeds[name])
            if neuron.kind in self._KINDS[dataset]
        ]
        # Spread evenly over the kinds, which follow one another.
        step = max(1.0, len(candidates) / units)
        chosen = [candidates[int(i * step)] for i in range(min(units, len(candidates)))]
        return [
            replace(
                neuron,
                layer=layers[i % len(layers)],
                unit=i // len(layers),
                noise=min(1.0, neuron.noise * noise),
            )
            for i, neuron in enumerate(chosen)
        ]

    def load(self, config: str) -> Dataset:
        """Return a network's neurons, with exemplars that are built when they are first needed."""
        neurons = self._neurons[config]
        model, dataset = config.rsplit("-", 1)
        folder = home() / "experiments" / f"{config}-{len(neurons)}-{self._scenes}"
        with locked(folder, wait=True):
            if not (folder / "data").is_dir() and not any(folder.glob("*.parquet")):
                world = World(self._seeds[config], self._scenes)
                network = SyntheticNetwork(neurons, world)
                build(
                    BuildRequest(
                        module=network,
                        source=world,
                        layers=network.names,
                        out=folder,
                        model=model,
                        dataset=dataset,
                        options=BuildOptions(image_format="webp"),
                    )
                )
        built = load_dataset(
            str(folder), split="train", cache_dir=str(home() / "experiments-cache")
        )
        members = {name: [n for n in neurons if n.layer == name] for name in LAYERS}
        texts, units = [], []
        for layer, channel in zip(built["layer"], built["unit"], strict=True):
            neuron = members[layer][channel]
            texts.append(list(neuron.references))
            units.append(neuron.unit)
        neurons_only = built.remove_columns(["annotations", "unit"])
        annotated = neurons_only.add_column("annotations", texts, feature=FEATURES["annotations"])
        return annotated.add_column("unit", units, feature=FEATURES["unit"]).select_columns(
            list(FEATURES)
        )


def find_networks(name: str) -> AnnotatedNetworks:
    """Return annotated networks by name: ``release``, ``worlds`` or ``worlds:UNITS:SCENES``.

    >>> find_networks("worlds:10:40").name
    'worlds'

    Raises:
        InputError: If no networks have that name.
    """
    if name == "release":
        return ReleasedNetworks()
    kind, *sizes = name.split(":")
    numbers = [number for size in sizes if (number := count_of(size)) is not None]
    if kind == "worlds" and len(sizes) in (0, 2) and len(numbers) == len(sizes):
        return SyntheticNetworks(*numbers)
    raise InputError(f"data {name!r}: choose release, worlds or worlds:UNITS:SCENES")


def work_folder(out: Path) -> Path:
    """Return the folder of an experiment's cells."""
    return out / "cells"


def _image_counts(neurons: Dataset) -> list[int]:
    lengths = neurons.with_format("arrow")
    return [len(images) for images in lengths[: min(8, len(neurons))]["images"]]

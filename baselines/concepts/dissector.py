"""What the dissection baselines share: from neurons to tallies of their layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from datasets import Dataset

from baselines.concepts.activations import ActivationMaps, RecordedMaps
from baselines.concepts.config import DissectorConfig
from baselines.concepts.counting import Upsampler
from baselines.concepts.dissection_report import ReportProvenance
from baselines.concepts.exemplar_strips import strips
from baselines.concepts.images import ConceptImages
from baselines.concepts.names import open_concepts
from baselines.concepts.network import SYNTHETIC, network_maps
from baselines.concepts.packing import PackedConcepts, packed
from baselines.concepts.probing import tallies
from baselines.concepts.tally import Tally
from milannotations.catalog.models import LoadedModel, load_model
from milannotations.data_home import home
from milannotations.describer import Description
from milannotations.describer_config import ConfiguredDescriber
from milannotations.device import resolve_device
from milannotations.errors import InputError, did_you_mean
from milannotations.inputs.options import InputOptions
from milannotations.networks.lookup import NetworkChoice, network_of
from milannotations.progress import Bar, progress_bar
from milannotations.record import NeuronKey, keys_of

NOTHING = "nothing"
_Config = TypeVar("_Config", bound=DissectorConfig)
_MOST_PICTURES = 1024  # units of a layer whose exemplars stand on the page: about 10 MB


class Dissector(ConfiguredDescriber[_Config], ABC):
    """Describes units by the labels that their masks overlap."""

    sees_references: ClassVar[bool] = False

    def __init__(self, config: _Config | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        config = self.config
        self._device = resolve_device(config.device)
        self._source = open_concepts(config.concepts, config.device)
        self._choice = NetworkChoice(config.model, config.weights, config.sae, config.check)
        self._activations = config.activations
        self.work = config.work or home() / "dissection"
        self._packed: PackedConcepts | None = None
        self._probed: tuple[str, dict[str, Any]] = ("", {})
        self._input_size = (0, 0)

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing: labels are all that it knows."""
        del neurons

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is the IoU, the alternatives are the next best.

        Raises:
            InputError: If the network or the labelled images cannot be had, or there is no such
                layer or unit.
        """
        found: dict[NeuronKey, Description] = {}
        keys = keys_of(neurons)
        for name in dict.fromkeys((key.model, key.dataset) for key in keys):
            mine = [key for key in keys if (key.model, key.dataset) == name]
            layers = list(dict.fromkeys(key.layer for key in mine))
            for layer, tally in self._tallies_of(neurons, name, layers).items():
                units = sorted({key.unit for key in mine if key.layer == layer})
                if units[-1] >= tally.units:
                    raise InputError(
                        f"layer {layer!r} of {'/'.join(name)} has {tally.units} units, "
                        f"so there is no unit {units[-1]}"
                    )
                said = self.describe_units(tally, units)
                found |= {
                    NeuronKey(*name, layer, unit): text
                    for unit, text in zip(units, said, strict=True)
                }
        return [found[key] for key in keys]

    def given(self) -> dict[str, str]:
        """Return what descriptions are made from, in words: images, labels and vocabulary.

        Folders are named by their last part, so that no path of this machine gets published.
        """
        kind, _, rest = self.config.concepts.partition(":")
        path, question, query = rest.partition("?")
        name = f"{kind}:{Path(path).name}{question}{query}"
        categories = ", ".join(self._source.categories)
        return {
            "images": f"{len(self._source):,} labelled images, {name}, on which the network is run",
            "labels": f"of every pixel of those images: {categories}"[:500],
            "vocabulary": f"the names of the {len(self._source.concepts):,} labels",
        }

    @abstractmethod
    def describe_units(self, tally: Tally, units: Sequence[int]) -> list[Description]:
        """Describe some units of a layer."""

    @abstractmethod
    def report(self, tallies: Mapping[str, Tally], folder: Path) -> list[str]:
        """Write tables, figures and a page of some layers; return what to tell people."""

    def facts(self, method: str, settings: Mapping[str, Any]) -> ReportProvenance:
        """Return how the tallies that were asked for last were made, for a report."""
        model, identity = self._probed
        return ReportProvenance(
            method=method,
            model=model,
            concepts=self.config.concepts,
            labels=self.concepts.content,
            images=len(self.concepts),
            shape=self.concepts.shape,
            frame=self.config.frame,
            maps=identity,
            settings=dict(settings),
        )

    def pictures(self, tally: Tally, units: Sequence[int]) -> dict[int, str]:
        """Return the exemplars of units of a layer of the tallies that were asked for last.

        Args:
            tally: The layer.
            units: Which, the most important first; only so many are drawn as a page can bear.
        """
        if tally.top is None:
            return {}
        size = (tally.top.maps.shape[2], tally.top.maps.shape[3])
        upsampler = Upsampler(
            self.config.masking, size, self.concepts.shape, self._input_size, torch.device("cpu")
        )
        images = ConceptImages(self._source, self.config.frame)
        some = units[:_MOST_PICTURES]
        with progress_bar() as progress:
            bar = Bar(progress, f"Exemplars of {tally.layer}", len(some))
            return strips(tally, some, images.image, upsampler, bar.advance)

    @property
    def concepts(self) -> PackedConcepts:
        """The labelled images; they are packed when they are first asked for."""
        if self._packed is None:
            with progress_bar() as progress:
                bar = Bar(progress, "Labels", len(self._source))
                self._packed = packed(
                    self._source, frame=self.config.frame, shape=self.config.label_shape,
                    advance=bar.advance, say=bar.say,
                )  # fmt: skip
        return self._packed

    def tallies(
        self, model: str, layers: Sequence[str], inputs: InputOptions | None = None
    ) -> dict[str, Tally]:
        """Return the tally of each layer; what was counted before is only read.

        Args:
            model: The network; not used with recorded activations.
            layers: Patterns of layers; none for the network's own choice.
            inputs: What is said of the network's input.
        """
        loaded = None
        if self._activations is None and model != SYNTHETIC:
            loaded = load_model(model, self._choice.weights or "published", inputs=inputs)
        return self._counted(model, layers, loaded)

    def tallies_of_neurons(self, neurons: Dataset, layers: Sequence[str] = ()) -> dict[str, Tally]:
        """Return the tally of each layer of the network that neurons belong to.

        Args:
            neurons: A data set of one network.
            layers: Names of its layers; none for all that the neurons are of.

        Raises:
            InputError: If the neurons are of several networks.
        """
        keys = keys_of(neurons)
        names = list(dict.fromkeys((key.model, key.dataset) for key in keys))
        if len(names) != 1:
            listed = ", ".join("/".join(name) for name in names)
            raise InputError(f"the neurons are of {len(names)} networks ({listed}); take one")
        layers_of_neurons = dict.fromkeys(key.layer for key in keys)
        return self._tallies_of(neurons, names[0], list(layers or layers_of_neurons))

    def _tallies_of(
        self, neurons: Dataset, name: tuple[str, str], layers: Sequence[str]
    ) -> dict[str, Tally]:
        """Return the tallies of layers of the network that neurons belong to."""
        model = self._choice.model or name[0]
        if self._activations is not None or model == SYNTHETIC:
            return self._counted(model, layers, None)
        loaded = network_of(neurons, *name, self._choice)
        return self._counted(loaded.spec or name[0], layers, loaded)

    def _counted(
        self, model: str, layers: Sequence[str], loaded: LoadedModel | None
    ) -> dict[str, Tally]:
        maps = self._maps(model, layers, loaded)
        name = self._activations.name if self._activations else model
        self._probed = (name, maps.identity())
        self._input_size = maps.input_size
        return tallies(maps, self.concepts, self.config.masking, self.work, self._device)

    def _maps(
        self, model: str, layers: Sequence[str], loaded: LoadedModel | None
    ) -> ActivationMaps:
        if self._activations is None:
            return network_maps(
                loaded or model, layers, self._source, frame=self.config.frame, device=self._device,
                batch_size=self.config.batch_size, readers=self.config.readers,
            )  # fmt: skip
        recorded = RecordedMaps(self._activations, self._device)
        for layer in layers:
            if layer not in recorded.layers:
                hint = did_you_mean(layer, recorded.layers)
                raise InputError(f"{self._activations} has no layer {layer!r}{hint}")
        if layers:
            recorded.layers = {layer: recorded.layers[layer] for layer in layers}
        return recorded

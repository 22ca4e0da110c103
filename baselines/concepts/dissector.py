"""What Network Dissection and Compositional Explanations share: from neurons to tallies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

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
from milannotations.progress import progress_task
from milannotations.record import NeuronKey, keys_of

_MAX_PICTURES = 1024  # units of a layer whose exemplars are shown on the page: about 10 MB


class _Result(Protocol):
    """Scores of one unit."""

    @property
    def unit(self) -> int: ...

    @property
    def iou(self) -> float: ...


_Config = TypeVar("_Config", bound=DissectorConfig)
_ResultT = TypeVar("_ResultT", bound=_Result)


class Dissector(ConfiguredDescriber[_Config], ABC, Generic[_Config, _ResultT]):
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
        # Of the tallies that were computed last.
        self._network_name, self._maps_identity = "", dict[str, Any]()
        self._input_size = (0, 0)

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing: the labels are all that is used."""
        del neurons

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is the IoU, the alternatives are the next best candidates.

        Raises:
            InputError: If the network or the labelled images cannot be loaded, or there is no such
                layer or unit.
        """
        descriptions: dict[NeuronKey, Description] = {}
        keys = keys_of(neurons)
        for name in dict.fromkeys((key.model, key.dataset) for key in keys):
            of_network = [key for key in keys if (key.model, key.dataset) == name]
            layers = list(dict.fromkeys(key.layer for key in of_network))
            for layer, tally in self._tallies_of(neurons, name, layers).items():
                units = sorted({key.unit for key in of_network if key.layer == layer})
                if units[-1] >= tally.units:
                    raise InputError(
                        f"layer {layer!r} of {'/'.join(name)} has {tally.units} units, "
                        f"so there is no unit {units[-1]}"
                    )
                descriptions |= {
                    NeuronKey(*name, layer, result.unit): self.description(result)
                    for result in self.results(tally, units)
                }
        return [descriptions[key] for key in keys]

    def given(self) -> dict[str, str]:
        """Return what descriptions are made from, in words: images, labels and vocabulary.

        Of folders only the last part is named, so that no path of this machine is published.
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
    def results(self, tally: Tally, units: Sequence[int]) -> list[_ResultT]:
        """Return the scores of some units of a layer, in their order."""

    @abstractmethod
    def description(self, result: _ResultT) -> Description:
        """Describe a unit by its scores."""

    @abstractmethod
    def write_report(
        self,
        folder: Path,
        results: Mapping[str, Sequence[_ResultT]],
        pictures: Mapping[str, Mapping[int, str]],
    ) -> list[str]:
        """Write the results of layers to a folder.

        Args:
            folder: An existing folder.
            results: Of all units of each layer.
            pictures: By layer and unit, the address of a picture of the unit's exemplars.

        Returns:
            Lines that summarize the report, for people.
        """

    def report(self, tallies: Mapping[str, Tally], folder: Path) -> list[str]:
        """Write tables, figures and a page of some layers; return lines that summarize them."""
        results = {
            layer: self.results(tally, range(tally.units)) for layer, tally in tallies.items()
        }
        pictures = {}
        for layer, tally in tallies.items():
            strongest_first = sorted(results[layer], key=lambda result: -result.iou)
            pictures[layer] = self.pictures(tally, [result.unit for result in strongest_first])
        return self.write_report(folder, results, pictures)

    def facts(self, method: str, settings: Mapping[str, Any]) -> ReportProvenance:
        """Return how the tallies that were computed last were made, for a report."""
        return ReportProvenance(
            method=method,
            model=self._network_name,
            concepts=self.config.concepts,
            labels=self.concepts.content,
            images=len(self.concepts),
            shape=self.concepts.shape,
            frame=self.config.frame,
            maps=self._maps_identity,
            settings=dict(settings),
        )

    def pictures(self, tally: Tally, units: Sequence[int]) -> dict[int, str]:
        """Return pictures of the exemplars of units, for a tally that was computed last.

        Args:
            tally: The layer.
            units: Which units, the most important first; a page has room for the first 1,024.

        Returns:
            By unit, the address of a picture (a data URI).
        """
        if tally.top is None:
            return {}
        size = (tally.top.maps.shape[2], tally.top.maps.shape[3])
        upsampler = Upsampler(
            self.config.masking, size, self.concepts.shape, self._input_size, torch.device("cpu")
        )
        images = ConceptImages(self._source, self.config.frame)
        shown = units[:_MAX_PICTURES]
        with progress_task(f"Exemplars of {tally.layer}", len(shown)) as bar:
            return strips(tally, shown, images.image, upsampler, bar.advance)

    @property
    def concepts(self) -> PackedConcepts:
        """The labelled images; they are packed when they are first needed."""
        if self._packed is None:
            with progress_task("Labels", len(self._source)) as bar:
                self._packed = packed(
                    self._source,
                    frame=self.config.frame,
                    shape=self.config.label_shape,
                    advance=bar.advance,
                    say=bar.say,
                )
        return self._packed

    def tallies(
        self, model: str, layers: Sequence[str], inputs: InputOptions | None = None
    ) -> dict[str, Tally]:
        """Return the tally of each layer; tallies of earlier runs are read from disk.

        Args:
            model: The network; ignored with recorded activations.
            layers: Patterns of layers; none for the network's defaults.
            inputs: How the network takes its input, where that is not known.
        """
        loaded = None
        if self._activations is None and model != SYNTHETIC:
            loaded = load_model(model, self._choice.weights or "published", inputs=inputs)
        return self._counted(model, layers, loaded)

    def tallies_of_neurons(self, neurons: Dataset, layers: Sequence[str] = ()) -> dict[str, Tally]:
        """Return the tally of each layer of the network that neurons belong to.

        Args:
            neurons: A data set of one network.
            layers: Names of its layers; none for all layers of the neurons.

        Raises:
            InputError: If the neurons belong to several networks.
        """
        keys = keys_of(neurons)
        names = list(dict.fromkeys((key.model, key.dataset) for key in keys))
        if len(names) != 1:
            listed = ", ".join("/".join(name) for name in names)
            raise InputError(f"the neurons belong to {len(names)} networks ({listed}); choose one")
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
        self._network_name = self._activations.name if self._activations else model
        self._maps_identity, self._input_size = maps.identity(), maps.input_size
        return tallies(maps, self.concepts, self.config.masking, self.work, self._device)

    def _maps(
        self, model: str, layers: Sequence[str], loaded: LoadedModel | None
    ) -> ActivationMaps:
        if self._activations is None:
            return network_maps(
                loaded or model,
                layers,
                self._source,
                frame=self.config.frame,
                device=self._device,
                batch_size=self.config.batch_size,
                readers=self.config.readers,
            )
        recorded = RecordedMaps(self._activations, self._device)
        for layer in layers:
            if layer not in recorded.layers:
                hint = did_you_mean(layer, recorded.layers)
                raise InputError(f"{self._activations} has no layer {layer!r}{hint}")
        if layers:
            recorded.layers = {layer: recorded.layers[layer] for layer in layers}
        return recorded

"""A network with descriptions of its units, which are built and written once, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from torch import Tensor

from applications.labelled import fingerprint as weights_of
from milannotations.ablation import LayerUnit
from milannotations.ablation.runner import logits_of
from milannotations.annotations import read_scored_descriptions
from milannotations.catalog.models import LoadedModel, load_model
from milannotations.contents import contents_named_in
from milannotations.describer import Describer, accepts, create
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.fingerprints import fingerprint
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.matching import find_hook_points
from milannotations.inputs.sources import ImageFolder
from milannotations.loading import load_split
from milannotations.networks.consent import give_consent
from milannotations.networks.lookup import check_same_network, network_at_hand
from milannotations.notices import notify
from milannotations.numerals import NumeralError, decimal, integer
from milannotations.provenance import warn_of_other_kind
from milannotations.reading import is_there
from milannotations.record import keys_of
from milannotations.rows import read_rows
from milannotations.storage import atomic_path
from milannotations.storage.tidying import tidy_up
from milannotations.worlds.lessons import lessons

LESSONS = "lessons"


@dataclass(frozen=True)
class LazyDescriber:
    """A describer that is trained when it is first needed.

    >>> LazyDescriber("retrieval", {"k": 3}).title
    'retrieval k=3, learned from demo'

    Attributes:
        method: Name of a describer.
        options: Its options.
        train: What it is trained on: ``demo``, a config or a folder; ``lessons``, ground truth on
            rendered scenes with text and faces; None for nothing.
        train_split: Split of that dataset.
        k: Exemplars per neuron of the ``lessons``.
        trained: A trained describer, and a text that identifies it; all other attributes are
            ignored then.
    """

    method: str = "retrieval"
    options: Mapping[str, Any] = field(default_factory=dict)
    train: str | None = "demo"
    train_split: str | None = "train"
    k: int = 15
    trained: tuple[Describer, str] | None = None
    # By device: trained once, so that one describer describes all networks.
    _trained: dict[str, Describer] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> str:
        """A text that identifies the settings, and the contents of files that they name."""
        if self.trained:
            return self.trained[1]
        contents = contents_named_in([*self.options.values(), self.train])
        return json.dumps(
            [self.method, dict(self.options), self.train, self.train_split, self.k, contents],
            sort_keys=True,
        )

    @property
    def title(self) -> str:
        """What a report calls it."""
        options = "".join(f" {name}={value}" for name, value in self.options.items())
        return f"{self.method}{options}" + (f", learned from {self.train}" if self.train else "")

    def get(self, device: str) -> Describer:
        """Return the trained describer.

        Raises:
            InputError: If the describer is made of references, or as ``create`` and it raise.
        """
        if self.trained:
            return self.trained[0]
        if device in self._trained:
            return self._trained[device]
        options = dict(self.options)
        if accepts(self.method, "device"):
            options.setdefault("device", device)
        describer = create(self.method, **options)
        if describer.sees_references:
            raise InputError(f"{self.method!r} is made of references: it describes no network")
        if self.train == LESSONS:
            describer.fit(lessons(k=self.k))
        elif self.train is not None:
            describer.fit(load_split(self.train, self.train_split))
        self._trained[device] = describer
        return describer


@dataclass
class DescribedNetwork:
    """A network whose units are described.

    Attributes:
        loaded: The network, in evaluation mode on its device.
        device: Where it is.
        points: Its layers, from the input on.
        units: The described units.
        texts: Description of each unit.
        scores: The describer's confidence in each; None if it gives none.
        exemplars: Records with images, in the order of ``units``; None if there are none.
        images: What exemplars were chosen from; None if they were not built here.
    """

    loaded: LoadedModel
    device: torch.device
    points: dict[str, HookPoint]
    units: list[LayerUnit]
    texts: list[str]
    scores: list[float | None]
    exemplars: Dataset | None = None
    images: ImageFolder | None = None

    @property
    def layers(self) -> list[str]:
        """The layers that have described units, from the input on."""
        described = {layer for layer, _ in self.units}
        return [layer for layer in self.points if layer in described]

    @property
    def text_of(self) -> dict[LayerUnit, str]:
        """Descriptions by unit."""
        return dict(zip(self.units, self.texts, strict=True))

    @property
    def score_of(self) -> dict[LayerUnit, float | None]:
        """Confidences by unit."""
        return dict(zip(self.units, self.scores, strict=True))

    def units_in(self, layer: str) -> list[LayerUnit]:
        """Return the described units of a layer, or of all layers for ``all``."""
        return [unit for unit in self.units if layer in (unit[0], "all")]

    def table(self) -> pd.DataFrame:
        """Return a row per unit: model, dataset, layer, unit, description, score."""
        return pd.DataFrame(
            [
                [self.loaded.name, self.loaded.dataset, layer, unit, text, score]
                for (layer, unit), text, score in zip(
                    self.units, self.texts, self.scores, strict=True
                )
            ],
            columns=["model", "dataset", "layer", "unit", "description", "score"],
        )

    def record(self, unit: LayerUnit) -> dict[str, Any] | None:
        """Return the decoded record of a unit; None without exemplars."""
        if self.exemplars is None:
            return None
        return dict(self.exemplars[self.units.index(unit)])


def load_network(
    model: str,
    weights: str,
    example: Path,
    layers: Sequence[str],
    device: torch.device,
) -> tuple[LoadedModel, dict[str, HookPoint]]:
    """Load a classifier and find its layers, before any long work.

    Args:
        model: See ``milannotations.catalog.models.load_model``.
        weights: See there.
        example: A folder of images.
        layers: Names or patterns; if there are none, the catalog's choice.
        device: Where it runs.

    Raises:
        InputError: If there is no such model or layer, or it generates images.
    """
    loaded = load_model(model, weights)
    give_consent(loaded.spec)
    if loaded.latents is not None:
        raise InputError(f"{loaded.name} is a generator; it has no accuracy and sees no images")
    names = [*(layers or loaded.layers)]
    if not names:
        raise InputError(f"no layers are known for {model!r}; name them with --layers")
    module = loaded.module.eval().to(device)
    source = ImageFolder(example, loaded.preprocessing)
    inputs = torch.stack([source.inputs(i) for i in range(min(2, len(source)))]).to(device)
    points = find_hook_points(module, names, (inputs,), loaded.layouts)
    return replace(loaded, module=module), points


def outputs_of(loaded: LoadedModel, inputs: Tensor) -> int:
    """Return the number of a network's classes.

    Raises:
        InputError: If its output is no score per class.
    """
    with torch.no_grad():
        scores = logits_of(loaded.module(inputs))
    if scores.ndim != 2:
        raise InputError(f"{loaded.name} gives {scores.ndim} dimensions, not a score per class")
    return int(scores.shape[1])


def describe_network(
    loaded: LoadedModel,
    points: Mapping[str, HookPoint],
    images: Path,
    work: Path,
    describer: LazyDescriber,
    *,
    options: BuildOptions | None = None,
    device: torch.device | str = "cpu",
) -> DescribedNetwork:
    """Build the exemplars of all units and describe them; finished work is not repeated.

    Args:
        loaded: The network.
        points: Its layers.
        images: Folder of images to choose exemplars from.
        work: Folder for exemplars and descriptions.
        describer: The describer.
        options: Options of the build.
        device: Where networks run.

    Raises:
        InputError: As ``build`` and the describer raise.
    """
    options = options or BuildOptions(in_place=loaded.in_place, masks=loaded.masks)
    source = ImageFolder(images, loaded.preprocessing, options.size)
    identity = [
        weights_of(loaded.module),
        loaded.name,
        list(points),
        source.identity(),
        [source.checksum(i) for i in range(len(source))],
        asdict(options),
    ]
    folder = work / f"exemplars-{_hash(identity)}"
    work.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        build(
            BuildRequest(
                module=loaded.module,
                source=source,
                layers=list(points),
                out=folder,
                model=loaded.name,
                dataset=loaded.dataset,
                options=options,
                device=device,
                layouts=loaded.layouts,
            )
        )
    neurons = load_split(str(folder))
    with network_at_hand(loaded):
        described = describe(neurons, work, describer, str(device))
    units = [
        (str(layer), int(unit))
        for layer, unit in zip(neurons["layer"], neurons["unit"], strict=True)
    ]
    return DescribedNetwork(
        loaded,
        torch.device(device),
        dict(points),
        units,
        described["description"].tolist(),
        [None if pd.isna(s) else float(s) for s in described["score"]],
        neurons,
        source,
    )


def describe(neurons: Dataset, work: Path, describer: LazyDescriber, device: str) -> pd.DataFrame:
    """Return descriptions and scores of neurons, in their order, kept in ``work``."""
    order = [(key.layer, key.unit) for key in keys_of(neurons)]
    saved = work / f"descriptions-{_hash([fingerprint(neurons), describer.identity])}.csv"
    tidy_up(saved)
    if is_there(saved):
        try:
            return _read_descriptions(saved, order)
        except InputError as error:
            notify(f"{error}; the neurons are described anew")
    model = describer.get(device)
    warn_of_other_kind(model, neurons, describer.method)
    descriptions = model.describe(neurons)
    table = pd.DataFrame(order, columns=["layer", "unit"])
    table["description"] = [d.text for d in descriptions]
    table["score"] = [d.score for d in descriptions]
    with atomic_path(saved) as path:
        table.to_csv(path, index=False)
    return _read_descriptions(saved, order)


def _read_descriptions(path: Path, order: Sequence[LayerUnit]) -> pd.DataFrame:
    """Return the descriptions of a file, in the order of some units.

    Raises:
        InputError: If the file is damaged, or describes other units.
    """
    columns = ("layer", "unit", "description", "score")
    rows = read_rows(path, columns, columns)
    table = pd.DataFrame({name: rows.column(name) for name in columns})
    try:
        table["unit"] = [integer(text) for text in table["unit"]]
        table["score"] = [decimal(text) if text else None for text in table["score"]]
    except NumeralError as error:
        raise InputError(f"{path}: {error}") from error
    if sorted(zip(table["layer"], table["unit"], strict=True)) != sorted(order):
        raise InputError(f"{path} does not describe each of {len(order):,} neurons once")
    return table.set_index(["layer", "unit"]).loc[list(order)].reset_index()


def described_by_file(
    loaded: LoadedModel,
    points: Mapping[str, HookPoint],
    path: Path,
    exemplars: str | None = None,
    device: torch.device | str = "cpu",
) -> DescribedNetwork:
    """Return a network with the descriptions of a file.

    Args:
        loaded: The network.
        points: Its layers.
        path: A CSV with the columns layer, unit, description and, optionally, score.
        exemplars: A dataset with the exemplars of these units, to show them.
        device: Where the network runs.

    Raises:
        InputError: If it describes units that the network does not have, or none of its layers.
    """
    descriptions = read_scored_descriptions(path)
    texts: dict[LayerUnit, str] = {}
    scores: dict[LayerUnit, float] = {}
    for key, (text, score) in descriptions.items():
        other = (key.model not in ("", loaded.name)) or (key.dataset not in ("", loaded.dataset))
        if other or key.layer not in points:
            continue
        unit = (key.layer, key.unit)
        if key.unit >= points[key.layer].units:
            raise InputError(
                f"{path} describes {key.layer}:{key.unit}, and layer {key.layer!r} of "
                f"{loaded.name} has {points[key.layer].units} units"
            )
        if unit in texts:
            raise InputError(f"{path} describes {key.layer}:{key.unit} of {loaded.name} twice")
        texts[unit] = text
        if score is not None:
            scores[unit] = score
    if not texts:
        others = ", ".join(
            dict.fromkeys(f"{key.model or '(any)'} {key.layer}" for key in descriptions)
        )
        raise InputError(
            f"{path} describes no unit of the layers {', '.join(points)} of {loaded.name} trained "
            f"on {loaded.dataset}; it has {others[:200]}"
        )
    order = {layer: number for number, layer in enumerate(points)}
    units = sorted(texts, key=lambda unit: (order[unit[0]], unit[1]))
    neurons = None
    if exemplars is not None:
        dataset = load_split(exemplars)
        check_same_network(dataset, loaded, exemplars)
        rows = {
            (key.layer, key.unit): row
            for row, key in enumerate(keys_of(dataset))
            if key.model in ("", loaded.name) and key.dataset in ("", loaded.dataset)
        }
        missing = [unit for unit in units if unit not in rows]
        if missing:
            layer, number = missing[0]
            raise InputError(f"{exemplars} has no exemplars of {layer}:{number}")
        neurons = dataset.select([rows[unit] for unit in units])
    return DescribedNetwork(
        loaded,
        torch.device(device),
        dict(points),
        units,
        [texts[u] for u in units],
        [scores.get(u) for u in units],
        neurons,
    )


def _hash(identity: Any) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[
        :16
    ]

"""A network and what is said of its units: exemplars built and described, once, and kept."""

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
from milannotations.ablation import Unit
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
from milannotations.worlds.lessons import lessons

LESSONS = "lessons"


@dataclass(frozen=True)
class LazyDescriber:
    """Who describes.

    Attributes:
        method: Name of a describer.
        options: Its options.
        train: What it learns from: ``demo``, a config or a folder; ``lessons``, ground truth on
            rendered scenes with text and faces; None for nothing.
        train_split: The split of it.
        k: Exemplars of each of the ``lessons``.
        ready: A describer that has learned already, and a text that tells it from others; the
            rest is then not looked at.
    """

    method: str = "retrieval"
    options: Mapping[str, Any] = field(default_factory=dict)
    train: str | None = "demo"
    train_split: str | None = "train"
    k: int = 15
    ready: tuple[Describer, str] | None = None
    # Learns once, however many networks there are, so that one describer describes all.
    _learned: dict[str, Describer] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> str:
        """What tells it from others: files that it is made from count by their contents."""
        if self.ready:
            return self.ready[1]
        contents = contents_named_in([*self.options.values(), self.train])
        return json.dumps(
            [self.method, dict(self.options), self.train, self.train_split, self.k, contents],
            sort_keys=True,
        )

    @property
    def title(self) -> str:
        """What a report calls it."""
        options = "".join(f" {name}={value}" for name, value in self.options.items())
        learned = f", learned from {self.train}" if self.train else ""
        return f"{self.method}{options}{learned}"

    def learned(self, device: str) -> Describer:
        """Return the describer, ready to describe.

        Raises:
            InputError: As ``create`` and the describer do.
        """
        if self.ready:
            return self.ready[0]
        if device in self._learned:
            return self._learned[device]
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
        self._learned[device] = describer
        return describer


@dataclass
class DescribedNetwork:
    """A network whose units are described.

    Attributes:
        loaded: The network, in evaluation mode on its device.
        device: Where it is.
        sites: Its layers, from the input on.
        units: The units that are described.
        texts: What is said of each.
        scores: The describer's confidence in each; None where it has none.
        exemplars: Records with images, by unit's place; None if there are none.
        images: What exemplars were chosen from; None if they were not built here.
    """

    loaded: LoadedModel
    device: torch.device
    sites: dict[str, HookPoint]
    units: list[Unit]
    texts: list[str]
    scores: list[float | None]
    exemplars: Dataset | None = None
    images: ImageFolder | None = None

    @property
    def layers(self) -> list[str]:
        """The layers that have described units, from the input on."""
        named = {layer for layer, _ in self.units}
        return [layer for layer in self.sites if layer in named]

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

    def record(self, unit: Unit) -> dict[str, Any] | None:
        """Return a unit's decoded record, or None."""
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
        layers: Names or patterns; none for the catalog's choice.
        device: Where it is to run.

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
    sites = find_hook_points(module, names, (inputs,), loaded.layouts)
    return replace(loaded, module=module), sites


def outputs_of(loaded: LoadedModel, inputs: Tensor) -> int:
    """Return how many classes a network tells apart.

    Raises:
        InputError: If it gives no scores of classes.
    """
    with torch.no_grad():
        scores = logits_of(loaded.module(inputs))
    if scores.ndim != 2:
        raise InputError(f"{loaded.name} gives {scores.ndim} dimensions, not a score per class")
    return int(scores.shape[1])


def describe_network(
    loaded: LoadedModel,
    sites: Mapping[str, HookPoint],
    images: Path,
    work: Path,
    speaker: LazyDescriber,
    *,
    options: BuildOptions | None = None,
    device: torch.device | str = "cpu",
) -> DescribedNetwork:
    """Build the exemplars of all units and describe them; what was done before is taken up.

    Args:
        loaded: The network.
        sites: Its layers.
        images: Folder of images to choose exemplars from.
        work: Folder for exemplars and descriptions.
        speaker: Who describes.
        options: Of the build.
        device: Where networks run.

    Raises:
        InputError: As ``build`` and the describer do.
    """
    options = options or BuildOptions(in_place=loaded.in_place, masks=loaded.masks)
    source = ImageFolder(images, loaded.preprocessing, options.size)
    identity = [
        weights_of(loaded.module),
        loaded.name,
        list(sites),
        source.identity(),
        [source.checksum(i) for i in range(len(source))],
        asdict(options),
    ]
    place = work / f"exemplars-{_hash(identity)}"
    work.mkdir(parents=True, exist_ok=True)
    if not place.is_dir():
        build(
            BuildRequest(
                module=loaded.module,
                source=source,
                layers=list(sites),
                out=place,
                model=loaded.name,
                dataset=loaded.dataset,
                options=options,
                device=device,
                layouts=loaded.layouts,
            )
        )
    neurons = load_split(str(place))
    with network_at_hand(loaded):
        described = describe(neurons, work, speaker, str(device))
    units = [
        (str(layer), int(unit))
        for layer, unit in zip(neurons["layer"], neurons["unit"], strict=True)
    ]
    return DescribedNetwork(
        loaded,
        torch.device(device),
        dict(sites),
        units,
        described["description"].tolist(),
        [None if pd.isna(s) else float(s) for s in described["score"]],
        neurons,
        source,
    )


def describe(neurons: Dataset, work: Path, speaker: LazyDescriber, device: str) -> pd.DataFrame:
    """Return descriptions and scores of neurons, in their order, kept in ``work``."""
    order = [(key.layer, key.unit) for key in keys_of(neurons)]
    saved = work / f"descriptions-{_hash([fingerprint(neurons), speaker.identity])}.csv"
    if is_there(saved):
        try:
            return _kept(saved, order)
        except InputError as error:
            notify(f"{error}; the neurons are described anew")
    describer = speaker.learned(device)
    warn_of_other_kind(describer, neurons, speaker.method)
    descriptions = describer.describe(neurons)
    table = pd.DataFrame(order, columns=["layer", "unit"])
    table["description"] = [d.text for d in descriptions]
    table["score"] = [d.score for d in descriptions]
    with atomic_path(saved) as path:
        table.to_csv(path, index=False)
    return _kept(saved, order)


def _kept(path: Path, order: Sequence[Unit]) -> pd.DataFrame:
    """Return descriptions that were kept, in the order of some units.

    Raises:
        InputError: If the file is damaged, or not of these units.
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
    sites: Mapping[str, HookPoint],
    path: Path,
    exemplars: str | None = None,
    device: torch.device | str = "cpu",
) -> DescribedNetwork:
    """Take descriptions that exist already.

    Args:
        loaded: The network.
        sites: Its layers.
        path: A CSV with layer, unit, description and maybe score.
        exemplars: A dataset with the exemplars of these units, to be shown.
        device: Where the network runs.

    Raises:
        InputError: If it describes units that the network does not have, or none of its layers.
    """
    descriptions = read_scored_descriptions(path)
    texts: dict[Unit, str] = {}
    scores: dict[Unit, float] = {}
    for key, (text, score) in descriptions.items():
        other = (key.model not in ("", loaded.name)) or (key.dataset not in ("", loaded.dataset))
        if other or key.layer not in sites:
            continue
        unit = (key.layer, key.unit)
        if key.unit >= sites[key.layer].units:
            raise InputError(
                f"{path} describes {key.layer}:{key.unit}, and layer {key.layer!r} of "
                f"{loaded.name} has {sites[key.layer].units} units"
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
            f"{path} describes no unit of the layers {', '.join(sites)} of {loaded.name} trained "
            f"on {loaded.dataset}; it has {others[:200]}"
        )
    order = {layer: number for number, layer in enumerate(sites)}
    units = sorted(texts, key=lambda unit: (order[unit[0]], unit[1]))
    neurons = None
    if exemplars is not None:
        shown = load_split(exemplars)
        check_same_network(shown, loaded, exemplars)
        rows = {
            (key.layer, key.unit): row
            for row, key in enumerate(keys_of(shown))
            if key.model in ("", loaded.name) and key.dataset in ("", loaded.dataset)
        }
        missing = [unit for unit in units if unit not in rows]
        if missing:
            layer, number = missing[0]
            raise InputError(f"{exemplars} has no exemplars of {layer}:{number}")
        neurons = shown.select([rows[unit] for unit in units])
    return DescribedNetwork(
        loaded,
        torch.device(device),
        dict(sites),
        units,
        [texts[u] for u in units],
        [scores.get(u) for u in units],
        neurons,
    )


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]

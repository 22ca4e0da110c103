"""CLIP-Dissect as a describer, with any set of texts."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import torch
from datasets import Dataset
from torch import Tensor

from baselines.clip_dissect.config import ClipDissectConfig
from baselines.clip_dissect.scores import soft_wpmi
from baselines.features.exemplars import DistinctExemplars
from benchmark.contrastive import ContrastiveModel
from benchmark.tokenization import normalize
from milannotations.describer import Description
from milannotations.describer_config import ConfiguredDescriber
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.exemplars.responses import responses
from milannotations.inputs.sources import ImageFolder
from milannotations.networks.lookup import NetworkChoice, network_of
from milannotations.provenance import training_data
from milannotations.record import NeuronKey, keys_of
from milannotations.threads import one_thread

_DECIMALS = 9  # of scores, which are sums of 100 logarithms of 64-bit numbers
_MAX_TEXTS = 100_000_000  # bytes of a file of texts


class ClipDissect(ConfiguredDescriber[ClipDissectConfig]):
    """Describe neurons by the text of highest SoftWPMI (CLIP-Dissect, ICLR 2023).

    Without ``images`` a neuron's images are its own exemplars. With ``images`` they are the 100 of
    that folder that activate it most, as the authors do it: the neurons' networks are loaded and
    run on all of them. Either way masks are not looked at. Units are scored together with the
    others of their layer among the neurons that are described, which their scores depend on.

    The settings are those of ``ClipDissectConfig``.
    """

    sees_references: ClassVar[bool] = False
    config_type = ClipDissectConfig

    def __init__(self, config: ClipDissectConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        config = self.config
        self._device = resolve_device(config.device)
        self._given = _read_texts(Path(config.texts)) if config.texts else []
        self._texts = self._given
        self._folder = Path(config.images) if config.images else None
        self._choice = NetworkChoice(config.model, config.weights, config.sae, config.check)
        self._clip = ContrastiveModel(config.clip, self._device, config.batch_size)

    def fit(self, neurons: Dataset) -> None:
        """Take the annotations as the texts to choose from, where no file of texts was given."""
        if not self._given:
            said = (text for of_one in neurons["annotations"] for text in of_one)
            self._texts = list(dict.fromkeys(filter(None, map(normalize, said))))
            self.trained_on = training_data(neurons)

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is the SoftWPMI.

        Raises:
            InputError: If there are no texts to choose from, or neurons lack images.
        """
        if not self._texts:
            raise InputError(
                "clip-dissect has no texts to choose from: give it a file with texts=FILE, or "
                "annotated neurons to learn from"
            )
        if not len(neurons):
            return []
        keys = keys_of(neurons)
        said = self._clip.texts(self._texts)
        found: list[Description | None] = [None] * len(keys)
        if self._folder is None:
            seen, top = self._exemplars(neurons)
            for rows in _by_layer(keys).values():
                self._fill(found, rows, seen, said, top[rows])
        else:
            self._probe(neurons, keys, said, found)
        assert None not in found
        return [description for description in found if description is not None]

    def _exemplars(self, neurons: Dataset) -> tuple[Tensor, Tensor]:
        """Return embeddings of distinct exemplars, and which are each neuron's, best first."""
        exemplars = DistinctExemplars(neurons, masks=False)
        top = torch.zeros(len(neurons), exemplars.k, dtype=torch.int64)
        parts = []
        with ThreadPoolExecutor(4) as pool:
            for first in range(0, len(exemplars), self.config.batch_size):
                numbers = range(first, min(first + self.config.batch_size, len(exemplars)))
                parts.append(self._clip.images(list(exemplars.images(numbers, pool))))
        for number, uses in enumerate(exemplars.uses):
            for row, place in uses:
                top[row, place] = number
        return torch.cat(parts), top[:, : self.config.top]

    def _probe(
        self,
        neurons: Dataset,
        keys: list[NeuronKey],
        text_embeddings: Tensor,
        descriptions: list[Description | None],
    ) -> None:
        assert self._folder is not None
        networks: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
        for (model, dataset, layer), rows in _by_layer(keys).items():
            networks[model, dataset][layer] = rows
        if self._choice.model and len(networks) > 1:
            raise InputError("model= names one network, and these neurons are of several")
        seen: Tensor | None = None
        for (name, dataset), layers in networks.items():
            loaded = network_of(neurons, name, dataset, self._choice)
            source = ImageFolder(self._folder, loaded.preprocessing)
            if loaded.latents is not None:
                raise InputError(
                    f"{loaded.name} is a generator; CLIP-Dissect needs one that takes images"
                )
            # The spatial mean is the authors'.
            maps = responses(
                loaded.module,
                list(layers),
                source,
                reduction="mean",
                layouts=loaded.layouts,
                autoencoders=loaded.autoencoders,
                device=self._device,
                batch_size=self.config.batch_size,
                in_place=loaded.in_place,
            )
            if seen is None:
                seen = torch.cat(
                    [
                        self._clip.images([source.image(i) for i in part.tolist()])
                        for part in torch.arange(len(source)).split(self.config.batch_size)
                    ]
                )
            for layer, rows in layers.items():
                units = [keys[row].unit for row in rows]
                if max(units) >= maps[layer].shape[1]:
                    raise InputError(
                        f"layer {layer!r} has {maps[layer].shape[1]} units, and there is a neuron "
                        f"{max(units)}"
                    )
                of_units = maps[layer][:, units].T
                # Of images that activate a unit alike, as those that do not at all, the first.
                order = of_units.argsort(dim=1, descending=True, stable=True)
                top = order[:, : min(self.config.top, len(source))]
                self._fill(descriptions, rows, seen, text_embeddings, top)

    def _fill(
        self,
        found: list[Description | None],
        rows: list[int],
        seen: Tensor,
        said: Tensor,
        top: Tensor,
    ) -> None:
        # Only the layer's own images: those of all, times all texts, do not fit into memory.
        used, top = top.unique(return_inverse=True)
        with one_thread():
            cosines = seen[used].double() @ said.double().T
            # Rounded, so that of texts that fit alike the first is said, whatever order a sum has.
            scores = soft_wpmi(cosines, top, self.config.pmi).round(decimals=_DECIMALS)
        shown = 1 + self.config.alternatives
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :shown]
        for row, values, indices in zip(rows, scores, order.tolist(), strict=True):
            texts = [self._texts[i] for i in indices]
            found[row] = Description(
                text=texts[0], score=float(values[indices[0]]), alternatives=tuple(texts[1:])
            )


def _by_layer(keys: list[NeuronKey]) -> dict[tuple[str, str, str], list[int]]:
    rows: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key.model, key.dataset, key.layer].append(row)
    return rows


def _read_texts(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MAX_TEXTS:
            raise InputError(f"{path} is larger than {_MAX_TEXTS:,} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"texts {path} cannot be read: {error}") from error
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not texts:
        raise InputError(f"{path} holds no texts; write one per line")
    return texts

"""CLIP-Dissect as a describer, with any set of texts."""

from __future__ import annotations

from collections import defaultdict
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

_DECIMALS = 9  # of scores, which are sums of 100 logarithms in double precision
_MAX_TEXTS = 100_000_000  # bytes of a file of texts


class ClipDissect(ConfiguredDescriber[ClipDissectConfig]):
    """Describe neurons by the text of highest SoftWPMI (CLIP-Dissect, ICLR 2023).

    Without ``images``, the images of a neuron are its own exemplars. With ``images``, they are the
    100 images of that folder that activate it most, as in the paper: the networks of the neurons
    are loaded and run on the folder. Masks are ignored in both cases. The scores of a unit depend
    on which other units of its layer are described with it.

    The settings are those of ``ClipDissectConfig``.

    >>> describer = ClipDissect(clip="openai/clip-vit-base-patch32")     # doctest: +SKIP
    >>> describer.fit(training_neurons)                                  # doctest: +SKIP
    >>> describer.describe(neurons)                                      # doctest: +SKIP
    """

    sees_references: ClassVar[bool] = False
    config_type = ClipDissectConfig

    def __init__(self, config: ClipDissectConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        config = self.config
        self._device = resolve_device(config.device)
        self._texts_of_file = _read_texts(Path(config.texts)) if config.texts else []
        self._texts = self._texts_of_file
        self._folder = Path(config.images) if config.images else None
        self._choice = NetworkChoice(config.model, config.weights, config.sae, config.check)
        self._clip = ContrastiveModel(config.clip, self._device, config.batch_size)

    def fit(self, neurons: Dataset) -> None:
        """Take the annotations as the texts to choose from, unless a file of texts was given."""
        if not self._texts_of_file:
            texts = (text for annotations in neurons["annotations"] for text in annotations)
            self._texts = list(dict.fromkeys(filter(None, map(normalize, texts))))
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
        text_embeddings = self._clip.texts(self._texts)
        if self._folder is None:
            images, top = self._exemplars(neurons)
            described: dict[int, Description] = {}
            for rows in _by_layer(keys).values():
                described |= self._described(rows, images, text_embeddings, top[rows])
        else:
            described = self._probed(neurons, keys, text_embeddings, self._folder)
        return [described[row] for row in range(len(keys))]

    def _exemplars(self, neurons: Dataset) -> tuple[Tensor, Tensor]:
        """Return embeddings of the distinct exemplars, and those of each neuron, best first."""
        exemplars = DistinctExemplars(neurons, masks=False)
        top = torch.zeros(len(neurons), exemplars.k, dtype=torch.int64)
        batches = exemplars.batches(self.config.batch_size)
        embeddings = [self._clip.images(images) for _, images in batches]
        for number, uses in enumerate(exemplars.uses):
            for row, position in uses:
                top[row, position] = number
        return torch.cat(embeddings), top[:, : self.config.top]

    def _probed(
        self, neurons: Dataset, keys: list[NeuronKey], text_embeddings: Tensor, folder: Path
    ) -> dict[int, Description]:
        """Describe neurons, by row, with the images of a folder that activate them most."""
        networks: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
        for (model, dataset, layer), rows in _by_layer(keys).items():
            networks[model, dataset][layer] = rows
        if self._choice.model and len(networks) > 1:
            raise InputError("model= names one network, but these neurons belong to several")
        embeddings: Tensor | None = None
        described: dict[int, Description] = {}
        for (name, dataset), layers in networks.items():
            loaded = network_of(neurons, name, dataset, self._choice)
            source = ImageFolder(folder, loaded.preprocessing)
            if loaded.latents is not None:
                raise InputError(
                    f"{loaded.name} is a generator; CLIP-Dissect needs one that takes images"
                )
            # The authors use the spatial mean.
            means = responses(
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
            if embeddings is None:
                embeddings = self._embeddings(source)
            for layer, rows in layers.items():
                units = [keys[row].unit for row in rows]
                if max(units) >= means[layer].shape[1]:
                    raise InputError(
                        f"layer {layer!r} has {means[layer].shape[1]} units, but there is a neuron "
                        f"{max(units)}"
                    )
                of_units = means[layer][:, units].T
                # Of images that activate a unit equally, such as not at all, the first.
                order = of_units.argsort(dim=1, descending=True, stable=True)
                top = order[:, : min(self.config.top, len(source))]
                described |= self._described(rows, embeddings, text_embeddings, top)
        return described

    def _embeddings(self, source: ImageFolder) -> Tensor:
        batches = torch.arange(len(source)).split(self.config.batch_size)
        return torch.cat(
            [self._clip.images([source.image(i) for i in batch.tolist()]) for batch in batches]
        )

    def _described(
        self, rows: list[int], images: Tensor, texts: Tensor, top: Tensor
    ) -> dict[int, Description]:
        """Describe the neurons of one layer, by row.

        Args:
            rows: Rows of the neurons.
            images: Embeddings of images, (images, width).
            texts: Embeddings of texts, (texts, width).
            top: The images of each neuron, strongest first, (neurons, k).
        """
        # Only the images of the layer: similarities of all images to all texts may not fit into
        # memory.
        used, top = top.unique(return_inverse=True)
        with one_thread():
            cosines = images[used].double() @ texts.double().T
            # Rounded, so that of equally good texts the first is taken, whatever the order of sums.
            scores = soft_wpmi(cosines, top, self.config.pmi).round(decimals=_DECIMALS)
        shown = 1 + self.config.alternatives
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :shown]
        described = {}
        for row, values, indices in zip(rows, scores, order.tolist(), strict=True):
            text, *alternatives = [self._texts[i] for i in indices]
            described[row] = Description(
                text=text, score=float(values[indices[0]]), alternatives=tuple(alternatives)
            )
        return described


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

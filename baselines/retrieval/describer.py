"""The retrieval describer."""

from __future__ import annotations

from typing import ClassVar

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional

from baselines.features.cache import cached_features
from baselines.features.encoder import PyramidEncoder, encoder_spec
from milannotations.describer import Description
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.options import split_names
from milannotations.provenance import training_data
from milannotations.threads import one_thread

_DECIMALS = 10  # of similarities; sums in another order differ by about 1e-15


class Retrieval:
    """Describe a neuron with an annotation of its nearest training neuron.

    A neuron is represented by the mean of its exemplars' masked features, standardized over the
    training neurons, with equal weight for each layer. Neurons are compared by cosine similarity.

    >>> from milannotations import load
    >>> describer = Retrieval(device="cpu")                    # doctest: +SKIP
    >>> describer.fit(load("demo", "train"))                   # doctest: +SKIP
    >>> describer.describe(load("demo", "test"))[0].text       # doctest: +SKIP

    Args:
        encoder: Name of the pretrained network; see ``milannotations.catalog.models.load_model``.
        layers: Layers to read, separated by commas; known encoders have defaults.
        device: Where the encoder runs.
        alternatives: How many further neighbours to name.
    """

    sees_references: ClassVar[bool] = False

    def __init__(
        self,
        encoder: str = "efficientnet_lite0",
        layers: str | None = None,
        device: str = "auto",
        alternatives: int = 4,
    ) -> None:
        names = split_names(layers)
        changes = {"masks": "area", "empty": "whole"}
        self._device = resolve_device(device)
        self._encoder = PyramidEncoder(encoder_spec(encoder, names, changes))
        self._alternatives = alternatives
        self._texts: list[str] = []
        self._train = torch.zeros(0)
        self._mean = torch.zeros(0)
        self._std = torch.ones(0)

    def fit(self, neurons: Dataset) -> None:
        """Store the features and the first annotation of every annotated neuron.

        Raises:
            InputError: If no neuron is annotated.
        """
        annotated = [i for i, texts in enumerate(neurons["annotations"]) if texts]
        if not annotated:
            raise InputError("retrieval needs annotated neurons to learn from")
        neurons = neurons.select(annotated)
        self.trained_on = training_data(neurons)
        means = self._means(neurons)
        with one_thread():
            self._mean, self._std = means.mean(0), means.std(0).clamp(min=1e-6)
            self._train = self._standardized(means)
        self._texts = [texts[0] for texts in neurons["annotations"]]

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is the cosine similarity to the nearest training neuron.

        Raises:
            InputError: If ``fit`` was not called.
        """
        if not self._texts:
            raise InputError("retrieval needs training neurons: call fit first")
        means = self._means(neurons)
        with one_thread():
            # Rounded, so that equally similar training neurons keep their order, whatever the order
            # of summation in the product.
            similarity = (self._standardized(means) @ self._train.T).round(decimals=_DECIMALS)
        order = similarity.argsort(dim=1, descending=True, stable=True)
        return [self._description(s, o.tolist()) for s, o in zip(similarity, order, strict=True)]

    def _description(self, similarity: Tensor, order: list[int]) -> Description:
        texts = list(dict.fromkeys(self._texts[i] for i in order))
        return Description(
            text=texts[0],
            score=float(similarity[order[0]]),
            alternatives=tuple(texts[1 : 1 + self._alternatives]),
        )

    def _means(self, neurons: Dataset) -> Tensor:
        """Return the mean features of each neuron, float64 (neurons, width)."""
        features = cached_features(self._encoder, neurons, self._device)
        return torch.stack([exemplars.double().mean(0) for exemplars in features])

    def _standardized(self, means: Tensor) -> Tensor:
        scaled = (means - self._mean) / self._std
        layers = scaled.split(self._encoder.widths, dim=1)
        equal = torch.cat([functional.normalize(layer, dim=1) for layer in layers], dim=1)
        return functional.normalize(equal, dim=1)

"""Annotated neurons for training, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from baselines.features.cache import cached_features
from baselines.features.encoder import PyramidEncoder
from baselines.milan.training_config import TrainingConfig
from milannotations.errors import InputError
from milannotations.provenance import TrainingData, training_data
from milannotations.record import NeuronKey, keys_of


@dataclass(frozen=True)
class Examples:
    """Annotated neurons for training.

    Attributes:
        features: (neurons, k, features), on the CPU; may be a mapped file.
        texts: The annotations of each neuron, at least one.
        keys: Keys of the neurons.
        origin: Their data set; None if unknown.
    """

    features: Tensor
    texts: list[list[str]]
    keys: list[NeuronKey]
    origin: TrainingData | None = None

    def subset(self, rows: Sequence[int]) -> ExampleSubset:
        """Return the neurons in some rows."""
        return ExampleSubset(self, list(rows))


@dataclass(frozen=True)
class ExampleSubset:
    """Some neurons of ``Examples``, without a copy of their features."""

    examples: Examples
    rows: list[int]

    @property
    def texts(self) -> list[list[str]]:
        """Their annotations."""
        return [self.examples.texts[row] for row in self.rows]

    def pairs(self) -> tuple[list[int], list[str]]:
        """Return the row and the text of every annotation."""
        pairs = [(row, text) for row in self.rows for text in self.examples.texts[row]]
        return [row for row, _ in pairs], [text for _, text in pairs]


def examples_of(
    encoder: PyramidEncoder,
    neurons: Dataset,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    work: Path | None = None,
) -> Examples:
    """Return the annotated neurons, with their features.

    Raises:
        InputError: If no neuron is annotated, or neurons lack images or masks.
    """
    rows = [i for i, texts in enumerate(neurons["annotations"]) if any(t.strip() for t in texts)]
    if not rows:
        raise InputError("none of the neurons is annotated; there is nothing to learn from")
    origin = training_data(neurons, whole=True)
    if len(rows) < len(neurons):
        neurons = neurons.select(rows)
    texts = [[t for t in texts if t.strip()] for texts in neurons["annotations"]]
    features = cached_features(encoder, neurons, device, batch_size, work)
    return Examples(features, texts, keys_of(neurons), origin)


def hold_out(count: int, options: TrainingConfig) -> tuple[list[int], list[int]]:
    """Split neurons at random, by the seed, into training neurons and held-out neurons.

    Raises:
        InputError: If one of the sets would be empty.
    """
    held = round(count * options.hold_out)
    if not 0 < held < count:
        raise InputError(
            f"hold_out={options.hold_out:g} of {count} neurons leaves {held} for validation and "
            f"{count - held} to learn from; neither may be empty"
        )
    order = np.random.default_rng(options.seed).permutation(count)
    return sorted(order[held:].tolist()), sorted(order[:held].tolist())

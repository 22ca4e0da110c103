"""Controls: describers that look at no exemplar, and show what a number is worth."""

from __future__ import annotations

import random
from collections import Counter
from typing import ClassVar

from datasets import Dataset

from milannotations.describer import Description
from milannotations.errors import InputError
from milannotations.provenance import training_data


class Constant:
    """The same string for every neuron.

    "depictions", a string of this kind, beats every method under similarity metrics (Bai et al.,
    Describe-and-Dissect, arXiv 2403.13771).
    """

    sees_references: ClassVar[bool] = False

    def __init__(self, text: str = "objects") -> None:
        self.text = text

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return the string, once per neuron."""
        return [Description(text=self.text)] * len(neurons)


class MostFrequent(Constant):
    """The most frequent training annotation for every neuron; of equals, the first by alphabet."""

    def fit(self, neurons: Dataset) -> None:
        """Count the training annotations."""
        counts = Counter(_annotations(neurons))
        self.trained_on = training_data(neurons)
        self.text = min(counts, key=lambda text: (-counts[text], text))


class RandomTraining:
    """A random training annotation for every neuron."""

    sees_references: ClassVar[bool] = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._texts: list[str] = []

    def fit(self, neurons: Dataset) -> None:
        """Remember the training annotations."""
        self._texts = _annotations(neurons)
        self.trained_on = training_data(neurons)

    def describe(self, neurons: Dataset) -> list[Description]:
        """Draw one annotation per neuron.

        Raises:
            InputError: If ``fit`` was not called.
        """
        if not self._texts:
            raise InputError("random-train describes with training annotations: give it some")
        rng = random.Random(self.seed)
        return [Description(text=rng.choice(self._texts)) for _ in range(len(neurons))]


class Oracle:
    """One of the neuron's own annotations, held out from the references: the human ceiling."""

    sees_references: ClassVar[bool] = True

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return the held-out annotation of each neuron."""
        return [Description(text=texts[0]) for texts in neurons["annotations"]]


class ShuffledOracle(Oracle):
    """The oracle's descriptions dealt out to the wrong neurons: right words, wrong place."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return another neuron's held-out annotation for each neuron."""
        found = super().describe(neurons)
        order = list(range(len(found)))
        random.Random(self.seed).shuffle(order)
        # Along one cycle through all neurons none keeps its own.
        shuffled = list(found)
        for here, there in zip(order, order[1:] + order[:1], strict=True):
            shuffled[here] = found[there]
        return shuffled


def _annotations(neurons: Dataset) -> list[str]:
    texts = [text for of_one in neurons["annotations"] for text in of_one]
    if not texts:
        raise InputError("the training neurons have no annotations to learn from")
    return texts

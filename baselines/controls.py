"""Controls: describers that ignore exemplars, as points of reference for scores."""

from __future__ import annotations

import random
from collections import Counter
from typing import ClassVar

from datasets import Dataset

from milannotations.describer import Description
from milannotations.errors import InputError
from milannotations.provenance import training_data


class Constant:
    """The same text for every neuron.

    Such a text, "depictions", beats every method under similarity metrics (Bai et al.,
    Describe-and-Dissect, arXiv 2403.13771).

    >>> from milannotations import load
    >>> Constant("objects").describe(load("demo", "test"))[0].text
    'objects'

    Args:
        text: The text.
    """

    sees_references: ClassVar[bool] = False

    def __init__(self, text: str = "objects") -> None:
        self.text = text

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return the text, once per neuron."""
        return [Description(text=self.text)] * len(neurons)


class MostFrequent(Constant):
    """The most frequent training annotation for every neuron (of ties, the first by alphabet).

    >>> from milannotations import load
    >>> describer = MostFrequent()
    >>> describer.fit(load("demo", "train"))
    >>> describer.text
    'no clear pattern'
    """

    def fit(self, neurons: Dataset) -> None:
        """Count the training annotations."""
        counts = Counter(_annotations(neurons))
        self.trained_on = training_data(neurons)
        self.text = min(counts, key=lambda text: (-counts[text], text))


class RandomTraining:
    """A random training annotation for every neuron.

    >>> from milannotations import load
    >>> describer = RandomTraining(seed=0)
    >>> describer.fit(load("demo", "train"))
    >>> len(describer.describe(load("demo", "test")))
    85

    Args:
        seed: Seed of the draws.
    """

    sees_references: ClassVar[bool] = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._texts: list[str] = []

    def fit(self, neurons: Dataset) -> None:
        """Store the training annotations."""
        self._texts = _annotations(neurons)
        self.trained_on = training_data(neurons)

    def describe(self, neurons: Dataset) -> list[Description]:
        """Draw one annotation per neuron.

        Raises:
            InputError: If ``fit`` was not called.
        """
        if not self._texts:
            raise InputError("random-train needs training annotations: call fit first")
        rng = random.Random(self.seed)
        return [Description(text=rng.choice(self._texts)) for _ in range(len(neurons))]


class Oracle:
    """One of the neuron's own annotations, held out from the references: the human ceiling.

    >>> from milannotations import load
    >>> neurons = load("demo", "test")
    >>> Oracle().describe(neurons)[0].text == neurons[0]["annotations"][0]
    True
    """

    sees_references: ClassVar[bool] = True

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return the held-out annotation of each neuron."""
        return [Description(text=texts[0]) for texts in neurons["annotations"]]


class ShuffledOracle(Oracle):
    """The oracle's descriptions, each assigned to another neuron.

    >>> from milannotations import load
    >>> neurons = load("demo", "test")
    >>> texts = [description.text for description in ShuffledOracle(seed=0).describe(neurons)]
    >>> sorted(texts) == sorted(annotations[0] for annotations in neurons["annotations"])
    True

    Args:
        seed: Seed of the assignment.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return the held-out annotation of another neuron for each neuron."""
        descriptions = super().describe(neurons)
        order = list(range(len(descriptions)))
        random.Random(self.seed).shuffle(order)
        # Passed along one cycle through all neurons, so that none keeps its own.
        shuffled = list(descriptions)
        for here, there in zip(order, order[1:] + order[:1], strict=True):
            shuffled[here] = descriptions[there]
        return shuffled


def _annotations(neurons: Dataset) -> list[str]:
    texts = [text for annotations in neurons["annotations"] for text in annotations]
    if not texts:
        raise InputError("the training neurons have no annotations to learn from")
    return texts

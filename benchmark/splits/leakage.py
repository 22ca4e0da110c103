"""Leakage: images and annotations that test neurons share with training neurons."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from datasets import Dataset

from benchmark.references import usable
from benchmark.tokenization import normalize
from milannotations.record import encoded_records, keys_of


@dataclass(frozen=True)
class Leakage:
    """The overlap of training and test neurons.

    Attributes:
        neurons: Number of neurons that are in both; there must be none.
        shared_images: Share of the test exemplars whose image is also an exemplar of a training
            neuron; None if neither images nor image ids are known.
        shared_annotations: Share of the test annotations that a training neuron has word for word.
        neurons_with_images: Share of the test neurons with at least one shared image.

    >>> Leakage(0, None, 0.25, None).lines()
    ['25% of the test annotations occur in training']
    """

    neurons: int
    shared_images: float | None
    shared_annotations: float
    neurons_with_images: float | None

    def lines(self) -> list[str]:
        """Return the overlap as sentences."""
        sentences = [f"{self.shared_annotations:.0%} of the test annotations occur in training"]
        if self.shared_images is not None:
            sentences.append(
                f"{self.shared_images:.0%} of the test exemplars are images that training neurons "
                f"have too ({self.neurons_with_images:.0%} of the test neurons have one)"
            )
        if self.neurons:
            sentences.append(f"{self.neurons} neurons are in training AND test")
        return sentences


def leakage(train: Dataset, test: Dataset) -> Leakage:
    """Compare the neurons to learn from with the neurons to describe.

    Images are identified by their content, or by dataset and id if no images are attached. The
    exemplars of a network's neurons come from the same images, so within a network some are always
    shared.
    """
    train_images = {image for images in _images(train) for image in images}
    test_images = _images(test)
    total = sum(map(len, test_images))
    shared = [sum(image in train_images for image in images) for images in test_images]
    train_texts = {normalize(t) for texts in train["annotations"] for t in usable(texts)}
    test_texts = [normalize(t) for texts in test["annotations"] for t in usable(texts)]
    return Leakage(
        neurons=len(set(keys_of(train)) & set(keys_of(test))),
        shared_images=sum(shared) / total if total and train_images else None,
        shared_annotations=(
            sum(text in train_texts for text in test_texts) / len(test_texts) if test_texts else 0.0
        ),
        neurons_with_images=(
            sum(count > 0 for count in shared) / len(shared) if total and train_images else None
        ),
    )


def _images(neurons: Dataset) -> list[set[object]]:
    wanted = [n for n in ("images", "image_ids", "dataset") if n in neurons.column_names]
    images_of_neurons: list[set[object]] = []
    for record in encoded_records(neurons, wanted):
        images = record.get("images") or []
        if images and all(image["bytes"] is not None for image in images):
            contents: set[object] = {
                hashlib.blake2b(i["bytes"], digest_size=16).digest() for i in images
            }
            images_of_neurons.append(contents)
        else:
            images_of_neurons.append(
                {(record.get("dataset"), i) for i in record.get("image_ids") or []}
            )
    return images_of_neurons

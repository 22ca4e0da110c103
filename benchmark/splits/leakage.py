"""What of the test neurons could be known from the training neurons."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from datasets import Dataset

from benchmark.references import usable
from benchmark.tokenization import normalize
from milannotations.record import encoded_records, keys_of


@dataclass(frozen=True)
class Leakage:
    """How much train and test share.

    Attributes:
        neurons: Neurons that are in both; there must be none.
        shared_images: Share of the test exemplars whose image is an exemplar of a training neuron
            too; None where no images are attached and no ids are known.
        shared_annotations: Share of the test annotations that a training neuron has word for word.
        neurons_with_images: Share of the test neurons with at least one such image.
    """

    neurons: int
    shared_images: float | None
    shared_annotations: float
    neurons_with_images: float | None

    def lines(self) -> list[str]:
        """Say it in words."""
        said = [f"{self.shared_annotations:.0%} of the test annotations occur in training"]
        if self.shared_images is not None:
            said.append(
                f"{self.shared_images:.0%} of the test exemplars are images that training neurons "
                f"have too ({self.neurons_with_images:.0%} of the test neurons have one)"
            )
        if self.neurons:
            said.append(f"{self.neurons} neurons are in training AND test")
        return said


def leakage(train: Dataset, test: Dataset) -> Leakage:
    """Compare the neurons that are learnt from with those that are described.

    Images are told by their content, or by data set and id where none are attached. Neurons of one
    network are found on the same images, so within a network some are always shared.
    """
    known = {image for images in _images(train) for image in images}
    found = _images(test)
    total = sum(map(len, found))
    shared = [sum(image in known for image in images) for images in found]
    texts = {normalize(t) for of_one in train["annotations"] for t in usable(of_one)}
    own = [normalize(t) for of_one in test["annotations"] for t in usable(of_one)]
    return Leakage(
        neurons=len(set(keys_of(train)) & set(keys_of(test))),
        shared_images=sum(shared) / total if total and known else None,
        shared_annotations=sum(text in texts for text in own) / len(own) if own else 0.0,
        neurons_with_images=(
            sum(count > 0 for count in shared) / len(shared) if total and known else None
        ),
    )


def _images(neurons: Dataset) -> list[set[object]]:
    wanted = [n for n in ("images", "image_ids", "dataset") if n in neurons.column_names]
    found: list[set[object]] = []
    for record in encoded_records(neurons, wanted):
        images = record.get("images") or []
        if images and all(image["bytes"] is not None for image in images):
            found.append({hashlib.blake2b(i["bytes"], digest_size=16).digest() for i in images})
        else:
            found.append({(record.get("dataset"), i) for i in record.get("image_ids") or []})
    return found

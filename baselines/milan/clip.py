"""Reranking of candidates by CLIP, as in the original since April 2022."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from datasets import Dataset
from PIL.Image import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from baselines.milan.decoding import Decoding
from benchmark.contrastive import ContrastiveModel
from milannotations.describer import Description
from milannotations.errors import InputError
from milannotations.progress import progress_bar
from milannotations.record import encoded_records, key_of, keys_of

if TYPE_CHECKING:
    from baselines.milan.model import Milan

BLOCK = 256
_DECIMALS = 10  # of similarities


class ClipReranker:
    """Orders candidates by their mean similarity to the exemplars of a neuron.

    The score of a candidate is the mean over exemplars of (1 − w) times its similarity to the
    region of the image inside the mask (to which the attention of the class token is restricted)
    plus w times its similarity to the whole image. The original documents w = .5 but sets w = 1,
    which ignores the masks.

    Args:
        name: A CLIP model: a folder, or OWNER/NAME on the hub.
        device: Where the model runs.
        weight: w, from 0 to 1.

    Raises:
        InputError: If there is no such model, or w is out of range.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu", weight: float = 0.5) -> None:
        if not 0 <= weight <= 1:
            raise InputError(f"clip_weight={weight}; it must be between 0 and 1")
        self._weight = weight
        self._model = ContrastiveModel(name, device)
        if weight < 1:
            self._model.check_masks()

    def scores(
        self, images: Sequence[Image], masks: Sequence[Image], texts: Sequence[str]
    ) -> Tensor:
        """Return the score of each text for one neuron, (texts,)."""
        encoded = self._model.texts(texts).double()
        total = torch.zeros(len(texts), dtype=torch.float64)
        if self._weight < 1:
            regions = torch.stack([_mask(mask.resize(images[0].size)) for mask in masks])
            total += (1 - self._weight) * (
                self._model.images(images, regions).double() @ encoded.T
            ).mean(0)
        if self._weight > 0:
            total += self._weight * (self._model.images(images).double() @ encoded.T).mean(0)
        # Rounded, so that equally good candidates keep their order.
        return total.round(decimals=_DECIMALS)

    def check(self, neurons: Dataset) -> None:
        """Raise InputError if masks are used and a neuron lacks one."""
        if self._weight == 1:
            return
        columns = ["model", "dataset", "layer", "unit", "images", "masks"]
        for record in encoded_records(neurons, columns):
            if len(record["masks"]) != len(record["images"]):
                raise InputError(
                    f"neuron {key_of(record)} has {len(record['images'])} images and "
                    f"{len(record['masks'])} masks; CLIP needs one for each, or clip_weight=1"
                )

    def reorder(
        self, neurons: Dataset, descriptions: Sequence[Description], alternatives: int
    ) -> list[Description]:
        """Return the descriptions with their candidates in the order of CLIP."""
        reranked = []
        with progress_bar() as progress:
            for record, description in progress.track(
                zip(neurons, descriptions, strict=True),
                total=len(descriptions),
                description="Reranking by CLIP",
            ):
                texts = [description.text, *description.alternatives]
                scores = self.scores(record["images"], record["masks"], texts)
                order = scores.argsort(descending=True, stable=True).tolist()
                reranked.append(
                    Description(
                        text=texts[order[0]],
                        score=float(scores[order[0]]),
                        alternatives=tuple(texts[i] for i in order[1 : 1 + alternatives]),
                    )
                )
        return reranked


def describe_reranked(
    model: Milan,
    neurons: Dataset,
    features: Tensor,
    decoding: Decoding,
    reranker: ClipReranker,
    alternatives: int = 4,
    batch_size: int = 16,
    block: int = BLOCK,
) -> list[Description]:
    """Describe neurons, with all candidates of the search in the order of a CLIP model.

    Neurons are processed in blocks, as all of them together may have millions of candidates.
    """
    described: list[Description] = []
    for first in range(0, len(neurons), block):
        rows = range(first, min(first + block, len(neurons)))
        block_neurons = neurons.select(rows)
        candidates = model.describe_features(
            keys_of(block_neurons), features[first : rows.stop], decoding, decoding.beam, batch_size
        )
        described += reranker.reorder(block_neurons, candidates, alternatives)
    return described


def _mask(mask: Image) -> Tensor:
    return transforms.pil_to_tensor(mask.convert("L"))[0].float() / 255

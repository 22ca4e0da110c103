"""What each image shows of a text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.contrastive import ContrastiveModel
from milannotations.inputs.sources import Source
from milannotations.progress import progress_bar
from milannotations.worlds import World
from milannotations.worlds.reading import shown

Floats = NDArray[np.float64]
_IMAGES = 256  # embedded at once


class Scorer(Protocol):
    """Says how much each of a fixed row of images shows a text."""

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return one score per text and image, shape (texts, images); higher is more."""

    def positives(self, scores: Floats) -> NDArray[np.bool_]:
        """Return which images count as showing each text, shape (texts, images)."""

    @property
    def signature(self) -> str:
        """What it is, as a part of signatures."""


class WorldScorer:
    """The truth about rendered scenes: whether what a text says is visible in them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[str, Floats] = {}

    @property
    def signature(self) -> str:
        """The world."""
        return f"scorer:truth|images:worlds-{self._world.seed}-{len(self._world)}"

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return how much of each text each scene shows; see ``shown``."""
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if new:
            scenes = range(len(self._world))
            columns = [
                [shown(text, scene) for text in new] for scene in map(self._world.scene, scenes)
            ]
            self._kept.update(zip(new, np.array(columns).T, strict=True))
        width = len(self._world)
        return np.stack([self._kept[text] for text in texts]) if texts else np.zeros((0, width))

    def positives(self, scores: Floats) -> NDArray[np.bool_]:
        """Return where everything the text says is shown."""
        return np.asarray(scores >= 1)


class ContrastiveScorer:
    """Cosine similarity of texts and images in the space of CLIP or the like.

    Args:
        model: The model.
        images: The images.
        share: How many of the images count as showing a text, the most similar ones.
    """

    def __init__(self, model: ContrastiveModel, images: Source, share: float = 0.05) -> None:
        self._model = model
        self._share = share
        self._images = images

    @property
    def signature(self) -> str:
        """The model, how many images count as showing a text, and a hash of the images."""
        images = f"{len(self._images)}@{self._content}"
        return f"scorer:{self._model.label}|positives:{self._share:g}|images:{images}"

    @cached_property
    def _content(self) -> str:
        """A hash of the images' files and of how they are prepared."""
        sums = [self._images.checksum(i) for i in range(len(self._images))]
        text = json.dumps([self._images.identity(), sums], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @lru_cache(maxsize=1)  # noqa: B019 - one scorer, one row of images
    def _embedded(self) -> Floats:
        parts = []
        with progress_bar() as progress:
            task = progress.add_task("Looking at images", total=len(self._images))
            for first in range(0, len(self._images), _IMAGES):
                numbers = range(first, min(first + _IMAGES, len(self._images)))
                parts.append(self._model.images([self._images.image(i) for i in numbers]).numpy())
                progress.advance(task, len(numbers))
        return np.concatenate(parts).astype(np.float64)

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return the cosine of each text and image."""
        distinct = list(dict.fromkeys(texts))
        vectors = self._model.texts(distinct).numpy().astype(np.float64)
        numbers = {text: number for number, text in enumerate(distinct)}
        return (vectors @ self._embedded().T)[[numbers[text] for text in texts]]

    def positives(self, scores: Floats) -> NDArray[np.bool_]:
        """Return the images most similar to each text; at least one."""
        count = max(1, round(self._share * scores.shape[1]))
        place = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
        return np.asarray(place < count)

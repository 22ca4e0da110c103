"""Scorers: how much of a text each image shows."""

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
_BATCH = 256  # images that are embedded at once


class Scorer(Protocol):
    """Scores how much of a text each of a fixed sequence of images shows."""

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return one score per text and image, shape (texts, images); higher means more."""

    def positives(self, scores: Floats) -> NDArray[np.bool_]:
        """Return which images count as showing each text, shape (texts, images)."""

    @property
    def signature(self) -> str:
        """Scorer and images, as a part of signatures."""


class WorldScorer:
    """Exact scores for rendered scenes: whether they show what a text says.

    >>> scorer = WorldScorer(World(0, 40))
    >>> scorer.scores(["red circles", "anything else"]).shape
    (2, 40)
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._cache: dict[str, Floats] = {}

    @property
    def signature(self) -> str:
        """Kind of the scorer and the world."""
        return f"scorer:truth|images:worlds-{self._world.seed}-{len(self._world)}"

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return how much of each text each scene shows; see ``worlds.reading.shown``."""
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if new:
            scenes = range(len(self._world))
            columns = [
                [shown(text, scene) for text in new] for scene in map(self._world.scene, scenes)
            ]
            self._cache.update(zip(new, np.array(columns).T, strict=True))
        width = len(self._world)
        return np.stack([self._cache[text] for text in texts]) if texts else np.zeros((0, width))

    def positives(self, scores: Floats) -> NDArray[np.bool_]:
        """Return which scenes show everything that a text says, shape (texts, images)."""
        return np.asarray(scores >= 1)


class ContrastiveScorer:
    """Cosine similarity of texts and images in the space of CLIP or a similar model.

    Args:
        model: The model.
        images: The images.
        share: Share of the images, the most similar ones, that count as showing a text.
    """

    def __init__(self, model: ContrastiveModel, images: Source, share: float = 0.05) -> None:
        self._model = model
        self._share = share
        self._images = images

    @property
    def signature(self) -> str:
        """The model, the share of images that count as showing a text, and a hash of the images."""
        images = f"{len(self._images)}@{self._content}"
        return f"scorer:{self._model.label}|positives:{self._share:g}|images:{images}"

    @cached_property
    def _content(self) -> str:
        """A hash of the images' files and their preprocessing."""
        sums = [self._images.checksum(i) for i in range(len(self._images))]
        text = json.dumps([self._images.identity(), sums], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @lru_cache(maxsize=1)  # noqa: B019 - one scorer, one row of images
    def _embedded(self) -> Floats:
        vectors = []
        with progress_bar() as progress:
            task = progress.add_task("Looking at images", total=len(self._images))
            for first in range(0, len(self._images), _BATCH):
                numbers = range(first, min(first + _BATCH, len(self._images)))
                vectors.append(self._model.images([self._images.image(i) for i in numbers]).numpy())
                progress.advance(task, len(numbers))
        return np.concatenate(vectors).astype(np.float64)

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return the cosine of each text and image."""
        distinct = list(dict.fromkeys(texts))
        vectors = self._model.texts(distinct).numpy().astype(np.float64)
        numbers = {text: number for number, text in enumerate(distinct)}
        return (vectors @ self._embedded().T)[[numbers[text] for text in texts]]

    def positives(self, scores: Floats) -> NDArray[np.bool_]:
        """Return the images most similar to each text; at least one."""
        count = max(1, round(self._share * scores.shape[1]))
        ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
        return np.asarray(ranks < count)

"""MILAN's objective with pretrained vision-language models: the describer ``milan-2``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from baselines.milan2.config import Milan2Config
from baselines.milan2.vision_language import TextPrior, VisionLanguageModel
from benchmark.contrastive import ContrastiveModel
from benchmark.tokenization import normalize
from milannotations.describer import Description
from milannotations.describer_config import ConfiguredDescriber
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.progress import progress_bar
from milannotations.record import image_grid, key_of, masked_images

_GREY = 127
_COLUMNS = 5


class Milan2(ConfiguredDescriber[Milan2Config]):
    """Describe neurons by pretrained models, with MILAN's objective.

    A vision-language model proposes descriptions of the masked exemplars, and the proposal of
    highest log p(d | E) − λ log p(d) + w · s(d, E) is taken. p(d | E) comes from the same model:
    for a model with a chat template, given all exemplars in one picture; for others, as the mean of
    the log probabilities given single exemplars. p(d) is its probability given a grey picture, or
    comes from a language model. s is the mean similarity to all masked exemplars by CLIP or SigLIP,
    times the scale of that model, which makes it a log probability up to a constant. Nothing is
    trained.

    The settings are those of ``Milan2Config``.

    >>> Milan2(model="Salesforce/blip-image-captioning-base").describe(neurons)  # doctest: +SKIP
    """

    sees_references: ClassVar[bool] = False
    config_type = Milan2Config

    def __init__(self, config: Milan2Config | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        config = self.config
        device = resolve_device(config.device)
        self._proposer = VisionLanguageModel(config.model, device, config.prompt)
        self._clip = ContrastiveModel(config.clip, device) if config.clip else None
        if self._clip is not None and self._clip.has_class_token:
            self._clip.check_masks()
        self._prior = TextPrior(config.prior, device) if config.prior != "blank" else None

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is the objective.

        Raises:
            InputError: If a neuron lacks images or masks, or nothing is proposed for it.
        """
        descriptions = []
        with progress_bar() as progress:
            for record in progress.track(neurons, description="Describing by milan-2"):
                if not record["images"] or len(record["masks"]) != len(record["images"]):
                    raise InputError(
                        f"neuron {key_of(record)} has {len(record['images'])} images and "
                        f"{len(record['masks'])} masks; attach the source images first"
                    )
                descriptions.append(self._describe(record))
        return descriptions

    def candidates(self, record: Mapping[str, Any]) -> list[str]:
        """Return the distinct proposals for a neuron."""
        pictures = self._pictures(record)
        texts: dict[str, str] = {}
        for picture in pictures[: self.config.pictures]:
            for text in self._proposer.propose(picture, self.config.proposals, self.config.length):
                texts.setdefault(normalize(text), text)
        texts.pop("", None)
        return list(texts.values())

    def scores(self, record: Mapping[str, Any], texts: list[str]) -> Tensor:
        """Return the objective of texts for a neuron, (texts,)."""
        pictures = self._pictures(record)
        total = torch.stack([self._proposer.log_prob(texts, p) for p in pictures]).mean(0)
        if self.config.pmi:
            total = total - self.config.pmi * self._log_prior(texts, pictures[0])
        if self._clip is not None and self.config.clip_weight:
            scale = float(self._clip.module.logit_scale.exp())
            total = total + self.config.clip_weight * scale * self._similarity(record, texts)
        return total

    def _describe(self, record: Mapping[str, Any]) -> Description:
        texts = self.candidates(record)
        if not texts:
            raise InputError(
                f"{self._proposer.name} proposes nothing for neuron {key_of(record)}; is it a "
                "model that describes images?"
            )
        scores = self.scores(record, texts)
        order = scores.argsort(descending=True, stable=True).tolist()
        return Description(
            text=texts[order[0]],
            score=float(scores[order[0]]),
            alternatives=tuple(texts[i] for i in order[1 : 1 + self.config.alternatives]),
        )

    def _pictures(self, record: Mapping[str, Any]) -> list[Image.Image]:
        """Return the pictures that are given to the vision-language model."""
        masked = masked_images(record, self.config.opacity)
        return [image_grid(masked, _COLUMNS)] if self._proposer.chats else masked

    def _log_prior(self, texts: list[str], like: Image.Image) -> Tensor:
        if self._prior is not None:
            return self._prior.log_prob(texts)
        grey = Image.new("RGB", like.size, (_GREY, _GREY, _GREY))
        return self._proposer.log_prob(texts, grey)

    def _similarity(self, record: Mapping[str, Any], texts: list[str]) -> Tensor:
        assert self._clip is not None
        text_embeddings = self._clip.texts(texts)
        if self._clip.has_class_token:
            masks = [transforms.pil_to_tensor(m.convert("L"))[0] / 255 for m in record["masks"]]
            images = self._clip.images(record["images"], torch.stack(masks))
        else:
            images = self._clip.images(masked_images(record, self.config.opacity))
        return (images @ text_embeddings.T).mean(0)

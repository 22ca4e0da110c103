"""MILAN's objective with pretrained vision-language models: the describer ``milan-2``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from baselines.milan2.vision_language import PROMPT, TextPrior, VisionLanguageModel
from benchmark.contrastive import ContrastiveModel
from benchmark.tokenization import normalize
from milannotations.describer import Description
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.progress import progress_bar
from milannotations.record import image_grid, key_of, masked_images

_GREY = 127
_COLUMNS = 5


class Milan2:
    """Describe neurons by pretrained models, with MILAN's objective.

    A vision-language model proposes descriptions of the masked exemplars, all are pooled, and the
    one of highest log p(d | E) − λ log p(d) + w · s(d, E) is taken. p(d | E) is the proposing
    model's own: with a chat template of all exemplars in one picture, else the mean of the log
    probabilities over single exemplars. p(d) is what the same model says of a grey picture, or a
    language model's. s is the mean similarity to all masked exemplars by CLIP or SigLIP, times
    that model's own scale, which makes it a log probability up to a constant. Nothing is trained.

    Args:
        model: The vision-language model: a folder, or OWNER/NAME of the hub.
        clip: A contrastive model, likewise; none leaves s out.
        prior: ``blank``, or a causal language model, likewise.
        pmi: λ.
        clip_weight: w.
        proposals: Descriptions proposed for each picture.
        pictures: How many exemplars are proposed for one by one; chat models see all at once.
        length: Tokens of the longest proposal.
        opacity: How much of an image outside the mask is darkened, 0 to 1.
        prompt: What a model with a chat template is asked.
        alternatives: How many further candidates to name.
        device: Where all models run.
    """

    sees_references: ClassVar[bool] = False

    def __init__(
        self,
        model: str,
        clip: str | None = None,
        prior: str = "blank",
        pmi: float = 0.2,
        clip_weight: float = 1.0,
        proposals: int = 5,
        pictures: int = 5,
        length: int = 20,
        opacity: float = 0.75,
        prompt: str = PROMPT,
        alternatives: int = 4,
        device: str = "auto",
    ) -> None:
        for name, value, low in (
            ("pmi", pmi, 0), ("clip_weight", clip_weight, 0), ("proposals", proposals, 1),
            ("pictures", pictures, 1), ("length", length, 1), ("alternatives", alternatives, 0),
        ):  # fmt: skip
            if not value >= low:
                raise InputError(f"{name}={value}; it must be at least {low}")
        if not 0 <= opacity <= 1:
            raise InputError(f"opacity={opacity}; it must be between 0 and 1")
        processor = resolve_device(device)
        self._speaker = VisionLanguageModel(model, processor, prompt)
        self._clip = ContrastiveModel(clip, processor) if clip else None
        if self._clip is not None and self._clip.has_class_token:
            self._clip.check_masks()
        self._prior = TextPrior(prior, processor) if prior != "blank" else None
        self._pmi, self._clip_weight = pmi, clip_weight
        self._proposals, self._pictures, self._length = proposals, pictures, length
        self._opacity, self._alternatives = opacity, alternatives

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is the objective.

        Raises:
            InputError: If a neuron lacks images or masks, or nothing is proposed for it.
        """
        found = []
        with progress_bar() as progress:
            for record in progress.track(neurons, description="Describing by milan-2"):
                if not record["images"] or len(record["masks"]) != len(record["images"]):
                    raise InputError(
                        f"neuron {key_of(record)} has {len(record['images'])} images and "
                        f"{len(record['masks'])} masks; attach the source images first"
                    )
                found.append(self._describe(record))
        return found

    def candidates(self, record: Mapping[str, Any]) -> list[str]:
        """Return what is proposed for a neuron, without repetitions."""
        pictures = self._seen(record)
        texts: dict[str, str] = {}
        for picture in pictures[: self._pictures]:
            for text in self._speaker.propose(picture, self._proposals, self._length):
                texts.setdefault(normalize(text), text)
        texts.pop("", None)
        return list(texts.values())

    def scores(self, record: Mapping[str, Any], texts: list[str]) -> Tensor:
        """Return the objective of texts for a neuron, (texts,)."""
        pictures = self._seen(record)
        given = torch.stack([self._speaker.log_prob(texts, p) for p in pictures]).mean(0)
        total = given
        if self._pmi:
            total = total - self._pmi * self._log_prior(texts, pictures[0])
        if self._clip is not None and self._clip_weight:
            scale = float(self._clip.module.logit_scale.exp())
            total = total + self._clip_weight * scale * self._similarity(record, texts)
        return total

    def _describe(self, record: Mapping[str, Any]) -> Description:
        texts = self.candidates(record)
        if not texts:
            raise InputError(
                f"{self._speaker.name} proposes nothing for neuron {key_of(record)}; is it a "
                "model that describes images?"
            )
        scores = self.scores(record, texts)
        order = scores.argsort(descending=True, stable=True).tolist()
        return Description(
            text=texts[order[0]],
            score=float(scores[order[0]]),
            alternatives=tuple(texts[i] for i in order[1 : 1 + self._alternatives]),
        )

    def _seen(self, record: Mapping[str, Any]) -> list[Image.Image]:
        masked = masked_images(record, self._opacity)
        return [image_grid(masked, _COLUMNS)] if self._speaker.chats else masked

    def _log_prior(self, texts: list[str], like: Image.Image) -> Tensor:
        if self._prior is not None:
            return self._prior.log_prob(texts)
        grey = Image.new("RGB", like.size, (_GREY, _GREY, _GREY))
        return self._speaker.log_prob(texts, grey)

    def _similarity(self, record: Mapping[str, Any], texts: list[str]) -> Tensor:
        assert self._clip is not None
        said = self._clip.texts(texts)
        if self._clip.has_class_token:
            masks = [transforms.pil_to_tensor(m.convert("L"))[0] / 255 for m in record["masks"]]
            seen = self._clip.images(record["images"], torch.stack(masks))
        else:
            seen = self._clip.images(masked_images(record, self._opacity))
        return (seen @ said.T).mean(0)

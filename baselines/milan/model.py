"""MILAN as one object: load it, describe neurons with it, save it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from baselines.features.cache import cached_features, exemplar_features
from baselines.features.encoder import PyramidEncoder, Resizing
from baselines.milan.clip import ClipReranker, describe_reranked
from baselines.milan.config import MilanConfig
from baselines.milan.decoder import Decoder
from baselines.milan.decoding import (
    Candidates,
    Decoding,
    decode,
    joined,
    language_model_log_prob,
    needs_prior,
    text_log_prob,
)
from baselines.milan.language_model import LanguageModel
from baselines.milan.output import MilanOutput, check_tensors, output_of, rerank
from baselines.milan.pretrained import PretrainedModel
from baselines.milan.vocabulary import Vocabulary
from milannotations.describer import Description
from milannotations.errors import InputError
from milannotations.progress import progress_bar
from milannotations.provenance import TrainingData, warn_of_other_kind
from milannotations.record import NeuronKey, encoded_records, keys_of
from milannotations.seeds import stable_generator
from milannotations.threads import side_by_side

_USUAL_BEAM = 50


class Milan(PretrainedModel):
    """Describes a neuron by the sentence of highest mutual information with its exemplars.

    >>> from baselines.milan import Milan
    >>> model = Milan.from_pretrained("milan-demo")             # doctest: +SKIP
    >>> model.describe(milannotations.load("demo", "test"))      # doctest: +SKIP

    Args:
        config: The sizes and settings.
        vocabulary: The words.
        encoder: The encoder, if it is loaded already; else it is loaded when it is first needed.
    """

    def __init__(
        self, config: MilanConfig, vocabulary: Vocabulary, encoder: PyramidEncoder | None = None
    ) -> None:
        super().__init__(config, vocabulary, encoder)
        self.decoder = Decoder(config.features, len(vocabulary), config.decoder)
        self.language_model = (
            LanguageModel(len(vocabulary), vocabulary.pad, config.language_model)
            if config.language_model
            else None
        )
        self._reranker: list[ClipReranker] = []

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.decoder.output.weight.device

    @property
    def trained_on(self) -> TrainingData | None:
        """The neurons that the model was trained on; None if unknown."""
        return self.config.trained_on

    @property
    def reranker(self) -> ClipReranker:
        """The CLIP model that reranks candidates, loaded when it is first needed.

        Raises:
            InputError: If the model has none, or it cannot be loaded.
        """
        if self.config.clip is None:
            raise InputError("this model has no CLIP model; load it with +clip after its name")
        if not self._reranker:
            spec = self.config.clip
            self._reranker.append(ClipReranker(spec.model, self.device, spec.weight))
        return self._reranker[0]

    def use_masks(self, masks: Resizing) -> None:
        """Apply masks to features in another way than in training; ``none`` ignores masks."""
        spec = self.config.encoder.model_copy(update={"masks": masks})
        self.config = self.config.model_copy(update={"encoder": spec})
        for encoder in self._encoder:
            encoder.spec = spec

    def features(self, neurons: Dataset, batch_size: int = 32, work: Path | None = None) -> Tensor:
        """Return features of all exemplars, (neurons, k, features), on the CPU.

        Args:
            neurons: Records with images and masks.
            batch_size: Images per forward pass.
            work: Folder of a cache of features; default no cache.

        Raises:
            InputError: If neurons lack images or masks, or have different numbers of exemplars.
        """
        if work is None:
            return exemplar_features(self.encoder, neurons, self.device, batch_size)
        return cached_features(self.encoder, neurons, self.device, batch_size, work)

    def describe(
        self,
        neurons: Dataset,
        decoding: Decoding | None = None,
        *,
        alternatives: int = 4,
        batch_size: int = 16,
        features: Tensor | None = None,
        any_k: bool = False,
    ) -> list[Description]:
        """Describe neurons.

        Args:
            neurons: Records with images and masks.
            decoding: How to search; default the model's own.
            alternatives: How many further candidates to name.
            batch_size: Neurons decoded at once, which only affects speed. On the CPU each neuron is
                decoded separately; elsewhere rounding depends on it, so candidates with almost
                equal scores may change places.
            features: Their features, if computed already.
            any_k: Allow another number of exemplars than in training.

        Returns:
            One description per neuron, with the score by which candidates are ordered.

        Raises:
            InputError: If neurons lack images or masks, or have another number of exemplars than
                the model was trained with.
        """
        decoding = decoding or self.config.decoding
        if not len(neurons):
            return []
        keys = keys_of(neurons)
        self.check(neurons, decoding, any_k)
        if self.config.clip is not None:
            self.reranker.check(neurons)
        warn_of_other_kind(self, neurons, "this model")
        features = self.features(neurons) if features is None else features
        if features.shape[::2] != (len(keys), self.config.features):
            raise InputError(
                f"features are of shape {tuple(features.shape)}; there are {len(keys)} neurons "
                f"and {self.config.features} features"
            )
        if self.config.clip is not None:
            return describe_reranked(
                self, neurons, features, decoding, self.reranker, alternatives, batch_size
            )
        return self.describe_features(keys, features, decoding, alternatives, batch_size)

    def check(self, neurons: Dataset, decoding: Decoding, any_k: bool = False) -> None:
        """Raise InputError if neurons cannot be described; this takes no time.

        They cannot if the search needs a language model and there is none, or if the first neuron
        has another number of exemplars than in training and ``any_k`` is not set.
        """
        needs_prior(decoding, self.language_model)
        k = len(next(encoded_records(neurons.select([0]), ["images"]))["images"])
        if k and k != self.config.k and not any_k:
            raise InputError(
                f"these neurons have {k} exemplars, and the model was trained on {self.config.k}; "
                "build them with the same number, or pass any_k=1 to describe them anyway"
            )

    def describe_features(
        self,
        keys: Sequence[NeuronKey],
        features: Tensor,
        decoding: Decoding | None = None,
        alternatives: int = 4,
        batch_size: int = 16,
    ) -> list[Description]:
        """Describe neurons by their features.

        Args:
            keys: Keys of the neurons.
            features: Their features, (neurons, k, features).
            decoding: How to search; default the model's own.
            alternatives: How many further candidates to name.
            batch_size: Neurons decoded at once with a beam of 50; fewer with a wider beam.
        """
        decoding = decoding or self.config.decoding
        # Memory grows with both, so a wide beam leaves room for fewer neurons.
        batch_size = max(1, min(batch_size, batch_size * _USUAL_BEAM // decoding.beam))
        descriptions: list[Description] = []
        with progress_bar() as progress:
            task = progress.add_task("Searching for descriptions", total=len(keys))
            for first in range(0, len(keys), batch_size):
                batch = slice(first, first + batch_size)
                if not torch.isfinite(features[batch]).all():
                    raise InputError(
                        f"features of {keys[first]} or one of the {batch_size - 1} neurons after "
                        "it are not finite; are the encoder's weights damaged?"
                    )
                candidates = self._search_alone(features[batch], decoding, keys[batch])
                descriptions += [
                    self._description(tokens, scores, alternatives)
                    for tokens, scores in zip(
                        candidates.tokens.tolist(), candidates.scores.tolist(), strict=True
                    )
                ]
                progress.advance(task, len(keys[batch]))
        return descriptions

    @torch.inference_mode()
    def forward(
        self,
        images: Tensor,
        masks: Tensor | None = None,
        decoding: Decoding | None = None,
        keys: Sequence[NeuronKey] | None = None,
    ) -> MilanOutput:
        """Describe exemplars that are given as tensors, like ``decoder`` of the original.

        >>> output = model(exemplars.images[None], exemplars.masks[None])    # doctest: +SKIP
        >>> output.captions[0], output.attentions[0], output.log_probs[0]    # doctest: +SKIP

        Args:
            images: (neurons, k, 3, height, width), uint8 or in [0, 1]; or features of shape
                (neurons, k, features).
            masks: (neurons, k, 1, height, width) in [0, 1]; default whole images.
            decoding: How to search; default the model's own.
            keys: Keys of the neurons; required for sampling.

        Raises:
            InputError: If tensors have other shapes or ranges.
        """
        decoding = decoding or self.config.decoding
        if images.ndim == 3:
            features = images
        else:
            check_tensors(images, masks)
            features = self.encode(images, masks)
        candidates = self._search_alone(features, decoding, keys)
        if self.config.clip is not None and images.ndim == 5:
            if masks is None:
                raise InputError("CLIP compares masked regions: give masks")
            candidates = rerank(candidates, self.reranker, self.vocabulary, images, masks)
        return output_of(self.decoder, self.vocabulary, features.to(self.device), candidates)

    def encode(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return features of exemplars, (neurons, k, features); for the arguments see ``forward``.

        Raises:
            InputError: If tensors have other shapes or ranges.
        """
        check_tensors(images, masks)
        encoder = self.encoder.to(self.device)
        features = [
            encoder(
                encoder.inputs(exemplars.to(self.device)),
                None if masks is None else masks[row, :, 0].to(self.device).float(),
            )
            for row, exemplars in enumerate(images)
        ]
        return torch.stack(features)

    def _search_alone(
        self, features: Tensor, decoding: Decoding, keys: Sequence[NeuronKey] | None
    ) -> Candidates:
        """Search such that, on the CPU, no neuron affects the candidates of another."""
        if self.device.type != "cpu" or len(features) == 0:
            return self.search(features, decoding, keys)

        def search(row: int) -> Candidates:
            # A copy, as rounding depends on where a tensor begins in memory.
            own = slice(row, row + 1)
            return self.search(features[own].clone(), decoding, keys[own] if keys else None)

        return joined(side_by_side(search, range(len(features))))

    def search(
        self, features: Tensor, decoding: Decoding, keys: Sequence[NeuronKey] | None = None
    ) -> Candidates:
        """Return the candidates of neurons, best first.

        Args:
            features: (neurons, k, features).
            decoding: How to search.
            keys: Keys of the neurons; required for sampling, where each neuron has random numbers
                of its own.
        """
        self.eval()
        uniform = None
        if decoding.strategy == "sample":
            if keys is None:
                raise InputError("sampling needs the neurons' keys")
            uniform = torch.stack([_uniform(key, decoding) for key in keys])
        return decode(
            self.decoder,
            self.language_model,
            self.vocabulary,
            features.to(self.device),
            decoding,
            uniform=uniform,
            as_original=self.config.as_original,
        )

    @torch.inference_mode()
    def log_prob(self, texts: Sequence[str], features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return log p(d | E) and log p(d) of given texts, one per neuron, in nats.

        Args:
            texts: One description per neuron, of any length.
            features: (neurons, k, features).
        """
        self.eval()
        words = self.vocabulary.encode(texts).to(self.device)
        conditional = text_log_prob(self.decoder, self.vocabulary, features.to(self.device), words)
        if self.language_model is None:
            return conditional, None
        return conditional, self._prior(words)

    def _prior(self, words: Tensor) -> Tensor:
        assert self.language_model is not None
        prior = language_model_log_prob(self.language_model, words[:, None, 1:], self.vocabulary)
        return prior[:, 0]

    def _description(
        self, tokens: list[list[int]], scores: list[float], others: int
    ) -> Description:
        texts: dict[str, float] = {}
        for numbers, score in zip(tokens, scores, strict=True):
            if score > -np.inf:
                texts.setdefault(self.vocabulary.decode(numbers), score)
        (text, score), *rest = texts.items()
        return Description(text=text, score=score, alternatives=tuple(t for t, _ in rest[:others]))


def _uniform(key: NeuronKey, decoding: Decoding) -> Tensor:
    rng = stable_generator(decoding.seed, *key)
    return torch.from_numpy(rng.random((decoding.beam, decoding.length)))

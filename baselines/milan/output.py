"""Descriptions of exemplars given as tensors, with all intermediate results.

The names are those of ``DecoderOutput`` of the original, so that code written for it keeps working.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from baselines.milan.clip import ClipReranker
from baselines.milan.decoder import Decoder
from baselines.milan.decoding import Candidates
from baselines.milan.language_model import text_lengths
from baselines.milan.vocabulary import Vocabulary
from milannotations.errors import InputError


class MilanOutput(NamedTuple):
    """Descriptions of neurons, with the attention and probabilities of every step.

    Attributes:
        captions: The best description of each neuron.
        scores: Scores by which candidates are ordered, (neurons,); with CLIP, its similarities.
        tokens: int64 (neurons, length); after the stop only stops follow.
        predictions: log p(w | E, preceding words) of every word at each step, in nats, (neurons,
            length, words); 0 after the stop. In the original these are mutual information if it
            is decoded by that.
        attentions: Weight of each exemplar at each step, (neurons, length, k); they sum to 1 over
            exemplars, and are 0 after the stop.
        beam_captions: All candidates, best first.
        beam_scores: Their scores, (neurons, candidates); −inf for no candidate.
        beam_tokens: Their tokens, (neurons, candidates, length).
        lengths: Tokens of each description, the stop included, (neurons,).
    """

    captions: tuple[str, ...]
    scores: Tensor
    tokens: Tensor
    predictions: Tensor
    attentions: Tensor
    beam_captions: tuple[tuple[str, ...], ...]
    beam_scores: Tensor
    beam_tokens: Tensor
    lengths: Tensor

    @property
    def log_probs(self) -> Tensor:
        """log p(w | E, preceding words) of the words of the caption, in nats, (neurons, length).

        Its sum over a description is log p(d | E).
        """
        return self.predictions.gather(2, self.tokens[:, :, None])[:, :, 0]


@torch.inference_mode()
def output_of(
    decoder: Decoder, vocabulary: Vocabulary, features: Tensor, candidates: Candidates
) -> MilanOutput:
    """Run the decoder over the best candidate of each neuron, and return all steps.

    Args:
        decoder: p(d | E).
        vocabulary: The words.
        features: (neurons, k, features), on the decoder's device.
        candidates: Candidates of the search, best first.
    """
    tokens = candidates.tokens[:, 0]
    words = torch.cat([tokens.new_full((len(tokens), 1), vocabulary.start), tokens], dim=1)
    predictions, attentions = decoder(features, words)
    lengths = text_lengths(tokens, vocabulary.stop, vocabulary.pad)
    within_length = (torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None])[
        :, :, None
    ]
    texts = tuple(
        tuple(vocabulary.decode(numbers) for numbers in of_neuron)
        for of_neuron in candidates.tokens.tolist()
    )
    return MilanOutput(
        captions=tuple(of_neuron[0] for of_neuron in texts),
        scores=candidates.scores[:, 0],
        tokens=tokens,
        predictions=torch.where(within_length, predictions, torch.zeros_like(predictions)),
        attentions=torch.where(within_length, attentions, torch.zeros_like(attentions)),
        beam_captions=texts,
        beam_scores=candidates.scores,
        beam_tokens=candidates.tokens,
        lengths=lengths,
    )


def rerank(
    candidates: Candidates,
    reranker: ClipReranker,
    vocabulary: Vocabulary,
    images: Tensor,
    masks: Tensor,
) -> Candidates:
    """Rerank candidates by CLIP.

    Args:
        candidates: Candidates of the search.
        reranker: The CLIP model.
        vocabulary: The words.
        images: In [0, 1] or uint8, (neurons, k, 3, height, width).
        masks: In [0, 1], (neurons, k, 1, height, width).
    """
    rows = []
    for tokens, scores, pictures, regions in zip(
        candidates.tokens.tolist(), candidates.scores, images, masks, strict=True
    ):
        texts = [vocabulary.decode(numbers) for numbers in tokens]
        views = [transforms.to_pil_image(picture.cpu()) for picture in pictures]
        shapes = [transforms.to_pil_image(region.float().cpu()) for region in regions]
        clip_scores = reranker.scores(views, shapes, texts).to(scores)
        rows.append(clip_scores.masked_fill(scores.isneginf(), -torch.inf))
    similarity = torch.stack(rows)
    order = similarity.argsort(dim=1, descending=True, stable=True)
    at = torch.arange(len(order), device=order.device)[:, None]
    prior = candidates.prior
    return Candidates(
        candidates.tokens[at, order],
        similarity[at, order],
        candidates.log_prob[at, order],
        None if prior is None else prior[at, order],
    )


def check_tensors(images: Tensor, masks: Tensor | None) -> None:
    """Raise InputError if tensors are not exemplars and their masks."""
    if images.ndim != 5 or images.shape[2] != 3:
        raise InputError(
            f"images are of shape {tuple(images.shape)}; give (neurons, k, 3, height, width), or "
            "features of shape (neurons, k, features)"
        )
    wanted = (*images.shape[:2], 1, *images.shape[3:])
    if masks is not None and tuple(masks.shape) != wanted:
        raise InputError(f"masks are of shape {tuple(masks.shape)}; these images need {wanted}")
    if images.is_floating_point() and not bool(((images >= 0) & (images <= 1)).all()):
        raise InputError("images have values outside [0, 1]; give them before normalization")

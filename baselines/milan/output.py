"""What a model says of tensors of exemplars, with everything that led to it.

The names are those of the original's ``DecoderOutput``, so that code written for it runs.
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
    """Descriptions of some neurons, and the steps they were made in.

    Attributes:
        captions: The best description of each neuron.
        scores: What candidates were ordered by, (neurons,); with CLIP its similarity.
        tokens: int64 (neurons, length); after the stop only stops follow.
        predictions: log p(w | E, words before) of every word at each step, in nats, (neurons,
            length, words); 0 after the stop. The original's are mutual information where it decodes
            by that.
        attentions: Weight of each exemplar at each step, (neurons, length, k); they sum to 1 over
            exemplars, and are 0 after the stop.
        beam_captions: All candidates, the best first.
        beam_scores: Their scores, (neurons, candidates); −inf where there is none.
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
        """log p(w | E, words before) of the words said, in nats, (neurons, length).

        Its sum over a description is log p(d | E).
        """
        return self.predictions.gather(2, self.tokens[:, :, None])[:, :, 0]


@torch.inference_mode()
def output_of(
    decoder: Decoder, vocabulary: Vocabulary, features: Tensor, candidates: Candidates
) -> MilanOutput:
    """Read the best candidate of each neuron once more, and keep what happens at each step.

    Args:
        decoder: p(d | E).
        vocabulary: What the numbers of words stand for.
        features: (neurons, k, features), on the decoder's device.
        candidates: Of the search, the best first.
    """
    tokens = candidates.tokens[:, 0]
    words = torch.cat([tokens.new_full((len(tokens), 1), vocabulary.start), tokens], dim=1)
    predictions, attentions = decoder(features, words)
    lengths = text_lengths(tokens, vocabulary.stop, vocabulary.pad)
    within_length = (torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None])[
        :, :, None
    ]
    texts = tuple(
        tuple(vocabulary.decode(numbers) for numbers in of_one)
        for of_one in candidates.tokens.tolist()
    )
    return MilanOutput(
        captions=tuple(of_one[0] for of_one in texts),
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
    """Order candidates anew by CLIP.

    Args:
        candidates: Of the search.
        reranker: The CLIP model.
        vocabulary: What the numbers of words stand for.
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
    """Raise InputError if tensors are not those of exemplars and their masks."""
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

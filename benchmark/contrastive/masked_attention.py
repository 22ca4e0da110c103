"""Attention of the class token, restricted to the patches inside a mask.

The April 2022 addition to MILAN lets CLIP look at a region of an image: in every layer of its
vision transformer, the attention of the class token to each patch is multiplied, after the softmax,
by the share of the patch that the mask covers, and is not normalized again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from milannotations.errors import InputError

_NAME = "class_token_in_mask"
_weights: ContextVar[Tensor | None] = ContextVar("weights", default=None)
_calls: ContextVar[list[None] | None] = ContextVar("calls", default=None)


@contextmanager
def class_token_in_mask(vision: nn.Module, weights: Tensor) -> Iterator[None]:
    """Multiply the class token's attention to each patch, in all layers, inside the block.

    Args:
        vision: A vision transformer of ``transformers`` whose token 0 is the class token.
        weights: Factors in [0, 1], shape (images, patches).

    Raises:
        InputError: If this version of ``transformers`` or this model does not support it. This is
            also raised if the masked attention was not called, so that masks are never ignored
            silently.
    """
    try:
        from transformers import AttentionInterface
    except ImportError as error:
        raise InputError(
            "masked attention needs a newer version of transformers: pip install -U transformers"
        ) from error
    AttentionInterface.register(_NAME, _attention)
    configs: list[Any] = [module.config for module in vision.modules() if hasattr(module, "config")]
    before = [config._attn_implementation for config in configs]
    calls: list[None] = []
    token, counting = _weights.set(weights), _calls.set(calls)
    try:
        for config in configs:
            config._attn_implementation = _NAME
        yield
        if not calls:
            raise InputError(
                f"the attention of {type(vision).__name__} cannot be restricted to a mask with "
                "this version of transformers; take a CLIP model and transformers 4.52 or newer, "
                "or clip_weight=1 to look at whole images only"
            )
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name
        _weights.reset(token)
        _calls.reset(counting)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Compute attention like ``transformers``, except for token 0.

    Inputs have the shape (images, heads, tokens, channels).
    """
    del module
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    attention = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    weights, calls = _weights.get(), _calls.get()
    assert weights is not None and calls is not None
    calls.append(None)
    attention = attention.clone()
    attention[:, :, 0, 1:] *= weights[:, None].to(attention.dtype)
    return (attention @ value).transpose(1, 2).contiguous(), attention

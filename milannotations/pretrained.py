"""Loading models of ``transformers``, by hub id or folder, without running code of theirs."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError

from milannotations.errors import InputError

_ERRORS = (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError)


def load_pretrained(kind: Any, name: str, what: str, own_precision: bool = False) -> Any:
    """Load a model with all of its weights.

    Args:
        kind: An ``Auto…`` class of ``transformers``.
        name: A folder, or OWNER/NAME of the hub.
        what: What it is, for messages.
        own_precision: Keep the precision that the weights are stored in, which large models need;
            else float32. What ``transformers`` does by itself depends on its version.

    Raises:
        InputError: If there is no such model, its weights are pickled, or some are missing.
    """
    try:
        module, info = kind.from_pretrained(
            name, trust_remote_code=False, use_safetensors=True, output_loading_info=True
        )
    except _ERRORS as error:
        raise InputError(f"{what} {name!r} cannot be loaded: {first_line(error)}") from error
    # Of what is missing transformers itself makes a random one.
    lacking = sorted(set(info["missing_keys"]) & {key for key, _ in module.named_parameters()})
    if lacking:
        raise InputError(
            f"{what} {name!r}: the weights lack {len(lacking)} parameters, such as "
            f"{', '.join(lacking[:3])}; was it trained as a {what}?"
        )
    config = module.config
    stored = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None)
    known = own_precision and isinstance(stored, torch.dtype)
    return module.to(stored if known else torch.float32).eval().requires_grad_(False)


def load_processor(kind: Any, name: str, what: str) -> Any:
    """Load a model's processor, tokenizer or image processor.

    Raises:
        InputError: If there is none.
    """
    try:
        return kind.from_pretrained(name, trust_remote_code=False)
    except _ERRORS as error:
        raise InputError(f"{what} {name!r} cannot be loaded: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; transformers' are long."""
    return (str(error).strip() or repr(error)).splitlines()[0][:300]

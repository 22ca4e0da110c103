"""A hash of a network's weights, which identifies it in records, caches and results."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def hash_of_weights(module: nn.Module) -> str:
    """Return a hash of all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            plain = tensor.detach().cpu().contiguous()
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]

"""Reading weights from files that may come from anyone."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from milannotations.errors import InputError

WEIGHTS_HELP = "published (the authors'), random, or a .safetensors, .pt or .pth file"


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a file of tensors, without ever running pickled code.

    Raises:
        InputError: If the file is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist; --weights takes {WEIGHTS_HELP}")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise InputError(f"weights file {path} cannot be read safely: {error}") from error
    except Exception as error:
        # safetensors has an exception of its own that derives from Exception alone.
        raise InputError(f"weights file {path} is damaged: {error}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"weights file {path} holds no state dictionary of tensors")
    return {str(key): value for key, value in state.items()}


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state dictionary, without ever running pickled code.

    Raises:
        InputError: If the file is missing, holds anything but tensors, or does not fit.
    """
    state = {key.removeprefix("module."): value for key, value in read_state(path).items()}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"weights file {path} does not fit the model: {error}") from error

"""Reading weights from files that may come from anyone."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from milannotations.errors import InputError

WEIGHTS_HELP = "published (the authors'), random, or a .safetensors, .pt or .pth file"
# Under these names training scripts save a state dictionary among other things.
_WRAPPERS = ("state_dict", "model", "teacher", "student", "G_ema")
# What DataParallel puts before names; PyTorch's ImageNet example wraps in it only the features of
# AlexNet and VGG, so that the blurred-face weights of those have it in the middle.
_PARALLEL = re.compile(r"^(features\.)?module\.")


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
        raise InputError(f"weights file {path} cannot be read safely: {reason(error)}") from error
    except Exception as error:
        # safetensors has an exception of its own that derives from Exception alone.
        raise InputError(f"weights file {path} is damaged: {error}") from error
    return unwrapped(state, f"file {path}")


def reason(error: BaseException) -> str:
    """Return an error's message; torch's own for pickles advises to read them unsafely."""
    if isinstance(error, pickle.UnpicklingError):
        return "the file of weights is damaged, or holds more than tensors, which could run code"
    return str(error)


def unwrapped(state: Any, place: str) -> dict[str, torch.Tensor]:
    """Take a state dictionary out of what checkpoints are often wrapped in.

    Raises:
        InputError: If there is none, or if there are several.
    """
    while isinstance(state, Mapping):
        inner = [key for key in _WRAPPERS if isinstance(state.get(key), Mapping)]
        if not inner:
            break
        if len(inner) > 1:
            raise InputError(
                f"weights {place} hold several state dictionaries ({', '.join(inner)}); save the "
                "one you mean to a file of its own"
            )
        state = state[inner[0]]
    if not isinstance(state, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise InputError(f"weights {place} hold no state dictionary of tensors")
    return {_PARALLEL.sub(r"\1", str(key)): value for key, value in state.items()}


def fit(module: nn.Module, state: Mapping[str, torch.Tensor], place: str) -> None:
    """Load a state dictionary into a network.

    Raises:
        InputError: If a name or a shape does not fit.
    """
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        lines = str(error).splitlines()
        more = f" … ({len(lines)} lines)" if len(lines) > 6 else ""
        short = "\n".join(line[:300] for line in lines[:6])
        raise InputError(f"weights {place} do not fit the model: {short}{more}") from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state dictionary from a file, without ever running pickled code.

    Raises:
        InputError: If the file is missing, holds anything but tensors, or does not fit.
    """
    fit(module, read_state(path), f"file {path}")

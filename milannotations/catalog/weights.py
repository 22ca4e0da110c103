"""Reading weights from files that may come from anyone."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from milannotations.catalog.selection import chosen_state, misfit
from milannotations.catalog.stand_ins import STAND_INS, foreign_objects, tensor_place
from milannotations.errors import InputError
from milannotations.tensors import check_network, check_plain, check_torch_file, read_safetensors

WEIGHTS_HELP = "published (the authors'), random, or a .safetensors, .pt or .pth file"
PUBLISHED, RANDOM = "published", "random"


def split_part(weights: str) -> tuple[Path, str]:
    """Split ``FILE#PART``, where PART names one of several state dictionaries in the file.

    >>> split_part("run/last.ckpt#teacher")[1]
    'teacher'
    """
    name, mark, label = weights.rpartition("#")
    if not mark or Path(weights).is_file():
        return Path(weights), ""
    return Path(name), label


def read_checkpoint(path: Path) -> Any:
    """Read a checkpoint, without ever running pickled code.

    Objects of a few harmless classes beside the tensors are read as empty ones; see
    ``milannotations.catalog.stand_ins``.

    Raises:
        InputError: If the file is missing or damaged, or holds other objects: it says which, where
            they stand, and how to save the weights without them.
    """
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist; --weights takes {WEIGHTS_HELP}")
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        check_torch_file(path)
        with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of TorchScript, which is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(_refusal(path)) from error
    except (RuntimeError, ValueError, EOFError, OSError) as error:
        if "TorchScript" in str(error):
            raise InputError(
                f"weights file {path} is a TorchScript program; save its weights alone: "
                f"torch.save(torch.jit.load('{path.name}').state_dict(), 'weights.pt')"
            ) from error
        raise InputError(f"weights file {path} cannot be read safely: {reason(error)}") from error
    except Exception as error:
        # safetensors has an exception of its own that derives from Exception alone.
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"weights file {path} is damaged, or no file of weights ({what[:200]})"
        ) from error


def _refusal(path: Path) -> str:
    objects = foreign_objects(path)
    if not objects:
        return f"weights file {path} cannot be read safely: {reason(pickle.UnpicklingError())}"
    location, name = objects[0]
    if not location:
        return (
            f"weights file {path} cannot be read safely: it holds more than tensors. The "
            f"whole file is one object, {name}, which only running code could restore. Save "
            "its weights alone, where its code is: "
            f"torch.save(torch.load('{path.name}', weights_only=False).state_dict(), 'weights.pt')"
        )
    others = f" (and {len(objects) - 1} more)" if len(objects) > 1 else ""
    return (
        f"weights file {path} cannot be read safely: it holds more than tensors. At {location} "
        f"stands an object of {name}"
        f"{others}, which only running code could restore. Save the weights alone, where its code "
        f"is: torch.save(torch.load('{path.name}', weights_only=False){tensor_place(path)}, "
        "'weights.pt')"
    )


def read_state(path: Path, label: str = "") -> dict[str, torch.Tensor]:
    """Read a file of tensors, without ever running pickled code.

    Args:
        path: The file.
        label: Which of its state dictionaries, if there are several.

    Raises:
        InputError: As ``read_checkpoint``; also if the file holds no state dictionary, or several
            among which nothing tells which is meant.
    """
    return unwrapped(read_checkpoint(path), f"file {path}", label)


def reason(error: BaseException) -> str:
    """Return an error's message; torch's own for pickles advises to read them unsafely."""
    if isinstance(error, pickle.UnpicklingError):
        return "the file of weights is damaged, or holds more than tensors, which could run code"
    return str(error)


def unwrapped(state: Any, source_name: str, label: str = "") -> dict[str, torch.Tensor]:
    """Take a state dictionary out of what checkpoints are often wrapped in.

    Raises:
        InputError: If there is none, or if there are several and none is to be preferred.
    """
    return chosen_state(state, None, source_name, label)


def fit(module: nn.Module, state: Mapping[str, torch.Tensor], source_name: str) -> None:
    """Load a state dictionary into a network.

    Raises:
        InputError: If a name or a shape does not fit; says how many, and the first few.
    """
    problem = misfit(module.state_dict(), state)
    if problem:
        raise InputError(f"weights {source_name} do not fit the model: {problem}")
    check_plain(state, f"weights {source_name}")
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        lines = str(error).splitlines()
        more = f" … ({len(lines)} lines)" if len(lines) > 6 else ""
        short = "\n".join(line[:300] for line in lines[:6])
        raise InputError(f"weights {source_name} do not fit the model: {short}{more}") from error
    check_network(module, f"weights {source_name}")


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state dictionary from a file, without ever running pickled code.

    Raises:
        InputError: If the file is missing, holds anything but tensors, or does not fit.
    """
    source_name = f"file {path}"
    fit(module, chosen_state(read_checkpoint(path), module.state_dict(), source_name), source_name)

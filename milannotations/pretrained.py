"""Loading models of ``transformers``, by hub id or folder, without running code of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from milannotations.errors import InputError
from milannotations.hub_access import from_hub
from milannotations.json_files import read_json
from milannotations.tensors import check_network

# More than any model has; larger configurations would take memory before weights are checked.
_MOST_LAYERS, _MOST_WIDTH = 2_000, 10_000_000
_MOST_PARAMETERS_PER_BYTE = 4  # allows for weights of less than 2 bits, and for missing ones
_SPARE_BYTES = 2**28


def load_pretrained(kind: Any, name: str, what: str, own_precision: bool = False) -> Any:
    """Load a model with all of its weights.

    Args:
        kind: An ``Auto…`` class of ``transformers``.
        name: A folder, or OWNER/NAME of the hub.
        what: What kind of model it is, for messages.
        own_precision: Keep the precision of the stored weights, as large models need; otherwise
            float32. The default of ``transformers`` depends on its version.

    Raises:
        InputError: If there is no such model, its weights are pickled, or some are missing.
    """
    with loading(what, name):
        check_model_folder(Path(name))
        module, info = kind.from_pretrained(
            name, trust_remote_code=False, use_safetensors=True, output_loading_info=True
        )
    # transformers itself initializes missing weights at random.
    lacking = sorted(set(info["missing_keys"]) & {key for key, _ in module.named_parameters()})
    if lacking:
        raise InputError(
            f"{what} {name!r}: the weights lack {len(lacking)} parameters, such as "
            f"{', '.join(lacking[:3])}; was it trained as a {what}?"
        )
    if not own_precision:  # for large language models this would take as long as loading them
        check_network(module, f"{what} {name!r}")
    config = module.config
    stored = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None)
    is_stated = own_precision and isinstance(stored, torch.dtype)
    return module.to(stored if is_stated else torch.float32).eval().requires_grad_(False)


def load_processor(kind: Any, name: str, what: str) -> Any:
    """Load a model's processor, tokenizer or image processor.

    Raises:
        InputError: If there is none.
    """
    with loading(what, name):
        return kind.from_pretrained(name, trust_remote_code=False)


@contextmanager
def loading(what: str, name: str) -> Iterator[None]:
    """Turn any error in loading a model or a component of it into one sentence.

    For damaged files, transformers, tokenizers, safetensors and the hub's client raise dozens of
    types, and tokenizers plain ``Exception``; no list would be complete.

    Raises:
        InputError: Names what cannot be loaded, and why.
    """
    try:
        with from_hub(name, f"{what} {name!r}"):
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what} {name!r} cannot be loaded: {first_line(error)}") from error


def check_model_folder(folder: Path) -> None:
    """Refuse a model folder whose configuration is implausible for its weights.

    The configuration decides how much memory is allocated, before the weights are compared with it.

    Raises:
        InputError: Names the file and the value.
    """
    file = folder / "config.json"
    if not file.is_file():
        return
    config = read_json(file, dict, constants=True)
    for name, number in _numbers(config, ""):
        most = _MOST_LAYERS if "layers" in name.rsplit(".", 1)[-1] else _MOST_WIDTH
        if _is_size(name) and number > most:
            raise InputError(f"{file}: {name} is {number:,}; at most {most:,} is believed")
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in _WEIGHTS)
    wide, layers = (_largest(config, names) for names in (_WIDTHS, _LAYERS))
    # Each layer has at least the four matrices of attention, each width × width.
    needed = 4 * wide * wide * layers
    if stored and needed > _MOST_PARAMETERS_PER_BYTE * stored + _SPARE_BYTES:
        raise InputError(
            f"{file} describes a model of {needed:,} parameters or more, and the weights beside it "
            f"have {stored:,} bytes; they are not of one model"
        )


_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_WIDTHS = ("hidden_size", "d_model", "n_embd", "dim")
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")


def _numbers(config: Any, name: str) -> Iterator[tuple[str, int]]:
    """Yield the integers of a configuration, with their dotted names."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{name}{key}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield f"{name}{key}", value


def _is_size(name: str) -> bool:
    leaf = name.rsplit(".", 1)[-1]
    return any(word in leaf for word in ("size", "layer", "dim", "embd", "d_model", "positions"))


def _largest(config: Any, names: tuple[str, ...]) -> int:
    """Return the largest integer under any of some names in the outermost configuration."""
    return max((config[name] for name in names if isinstance(config.get(name), int)), default=0)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; those of transformers are long."""
    return (str(error).strip() or repr(error)).splitlines()[0][:300]

"""Reading sparse autoencoders from the files of the libraries that train them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from milannotations.catalog.weights import read_state
from milannotations.errors import InputError
from milannotations.exemplars.encoder import Activation, Normalization, SparseAutoencoder

__all__ = ["SparseAutoencoder", "load_autoencoder"]

_HELP = (
    "known are folders of SAELens (cfg.json and sae_weights.safetensors) and of EleutherAI's "
    "sparsify (cfg.json and sae.safetensors), and files of tensors with W_enc and b_enc, or with "
    "encoder.weight and encoder.bias"
)
# All that the known formats hold. The decoder is not needed, nor are scales of its input.
_KNOWN = frozenset(
    {"W_enc", "b_enc", "W_dec", "b_dec", "threshold", "log_threshold", "topk_threshold", "k",
     "b_gate", "b_mag", "r_mag", "scaling_factor", "finetuning_scaling_factor", "bias", "W_skip",
     "encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
)  # fmt: skip


def load_autoencoder(path: Path) -> SparseAutoencoder:
    """Read a sparse autoencoder; pickled code is never run.

    Of a file alone, without a configuration: the decoder's bias ``b_dec``, if there is one, is
    taken off the input; a ``threshold`` of 0 or more means JumpReLU, or else ``k`` means top-k.

    Args:
        path: A folder as SAELens or EleutherAI's sparsify write it, or a ``.safetensors``,
            ``.pt`` or ``.pth`` file of tensors.

    Raises:
        InputError: If it is not there, damaged, or of a kind that is not known here.
    """
    encoder = _read(path)
    encoder.origin = str(path.absolute())
    return encoder


def _read(path: Path) -> SparseAutoencoder:
    config: dict[str, Any] | None = None
    file = path
    if path.is_dir():
        names = ("sae_weights.safetensors", "sae.safetensors")
        file = next((path / name for name in names if (path / name).is_file()), path)
        if file == path:
            raise InputError(f"{path} holds no sparse autoencoder; {_HELP}")
        config = _read_config(path / "cfg.json")
    elif not path.is_file():
        raise InputError(f"{path} does not exist; {_HELP}")
    state = read_state(file)
    unknown = sorted(set(state) - _KNOWN)
    if unknown:
        raise InputError(f"{file} holds {', '.join(unknown[:5])}, which are not known; {_HELP}")
    try:
        tensors = {name: tensor.detach().float() for name, tensor in state.items()}
        if config is None:
            return _from_tensors(tensors)
        if file.name == "sae.safetensors":
            return _from_sparsify(tensors, config)
        return _from_saelens(tensors, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _from_saelens(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> SparseAutoencoder:
    # Before version 6 the keys were others, and top-k was an activation, not an architecture.
    options = config.get("activation_fn_kwargs") or {}
    k = config.get("k", options.get("k") if isinstance(options, dict) else None)
    function = str(config.get("activation_fn", config.get("activation_fn_str", "relu")))
    architecture = config.get("architecture", "standard")
    if function == "topk" and architecture == "standard":
        architecture, function = "topk", "relu"
    kinds: dict[str, Activation] = {
        "standard": "relu", "topk": "topk", "jumprelu": "jumprelu", "gated": "gated",
        "batchtopk": "jumprelu", "matryoshka_batchtopk": "jumprelu",
    }  # fmt: skip
    if architecture not in kinds:
        raise InputError(f"architecture {architecture!r}; known are {', '.join(kinds)}")
    if function not in ("relu", "topk"):
        raise InputError(f"activation_fn {function!r}; known are relu and topk")
    weight, bias = _encoder(state)
    if config.get("rescale_acts_by_decoder_norm"):
        norms = torch.linalg.vector_norm(_needed(state, "W_dec"), dim=-1)
        weight, bias = weight * norms, bias * norms
    gated = architecture == "gated"
    return SparseAutoencoder(
        weight,
        bias,
        kinds[architecture],
        shift=_needed(state, "b_dec") if config.get("apply_b_dec_to_input", True) else None,
        k=_whole(k) if architecture == "topk" else None,
        threshold=_threshold(state),
        gate=(_needed(state, "b_gate"), _needed(state, "r_mag")) if gated else None,
        normalization=_normalization(config.get("normalize_activations")),
    )


def _from_sparsify(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> SparseAutoencoder:
    activation = config.get("activation", "topk")
    if activation not in ("topk", "groupmax"):
        raise InputError(f"activation {activation!r}; known are topk and groupmax")
    # A transcoder's b_dec is of its output, not of its input.
    shift = None if config.get("transcode") else _needed(state, "b_dec")
    return SparseAutoencoder(*_encoder(state), activation, shift=shift, k=_whole(config.get("k")))


def _from_tensors(state: Mapping[str, Tensor]) -> SparseAutoencoder:
    threshold = _threshold(state)
    activation: Activation = "relu"
    k = None
    gate = None
    if threshold is not None and bool((threshold >= 0).all()):  # -1 stands for none
        activation = "jumprelu"
    elif "k" in state:
        activation, k = "topk", _whole(state["k"].item() if state["k"].numel() == 1 else None)
    elif "b_gate" in state:
        activation, gate = "gated", (state["b_gate"], _needed(state, "r_mag"))
    return SparseAutoencoder(
        *_encoder(state),
        activation,
        shift=state.get("b_dec", state.get("bias")),
        k=k,
        threshold=threshold,
        gate=gate,
    )


def _encoder(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the weights, units × latents, and the bias."""
    if "encoder.weight" in state:  # of nn.Linear: latents × units
        return state["encoder.weight"].T, _needed(state, "encoder.bias")
    bias = state["b_mag"] if "b_mag" in state else _needed(state, "b_enc")
    return _needed(state, "W_enc"), bias


def _threshold(state: Mapping[str, Tensor]) -> Tensor | None:
    if "log_threshold" in state:
        return state["log_threshold"].exp()
    return state.get("threshold", state.get("topk_threshold"))


def _needed(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise InputError(f"there is no {name} among {', '.join(sorted(state))}; {_HELP}")
    return state[name]


def _whole(k: Any) -> int:
    if not isinstance(k, int | float) or isinstance(k, bool) or k != int(k):
        raise InputError(f"k is {k!r}; it must be a whole number")
    return int(k)


def _normalization(name: Any) -> Normalization:
    if name in (None, False, "none"):
        return "none"
    if name in ("layer_norm", "constant_norm_rescale"):
        known: Normalization = name
        return known
    raise InputError(
        f"normalize_activations is {name!r}, whose scale is not in the file: multiply W_enc by it "
        "and divide b_dec by it, as fold_activation_norm_scaling_factor of SAELens does, and save "
        "with 'none'"
    )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{file} is not a JSON object")
    return config

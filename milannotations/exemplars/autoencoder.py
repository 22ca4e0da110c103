"""Sparse autoencoders on top of a layer: their latents as units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from milannotations.catalog.weights import read_state
from milannotations.errors import InputError

# File of the weights in a folder: SAELens, and EleutherAI's sparsify.
_FILES = ("sae_weights.safetensors", "sae.safetensors")
_ACTIVATIONS = ("relu", "topk", "jumprelu", "gated")
_HELP = (
    "a folder of SAELens (cfg.json, sae_weights.safetensors) or of sparsify (cfg.json, "
    "sae.safetensors), or a file with W_enc and b_enc, or with encoder.weight and encoder.bias"
)


class SparseAutoencoder(nn.Module):
    """The encoder of a sparse autoencoder.

    Latents are ``activation((x - b_dec) W_enc + b_enc)``; which activation, and whether the
    decoder's bias is taken off first, depends on the autoencoder (Bricken et al., 2023, "Towards
    Monosemanticity"; Gao et al., 2024, arXiv 2406.04093, for top-k; Rajamanoharan et al., 2024,
    arXiv 2404.16014 for gated and 2407.14435 for JumpReLU).

    Args:
        weight: Shape (units of the layer, latents).
        bias: Shape (latents,).
        activation: ``relu``, ``topk``, ``jumprelu`` or ``gated``.
        shift: Taken off the layer's output first, shape (units of the layer,).
        k: For topk: how many latents stay.
        threshold: For jumprelu: latents up to it become 0, shape (latents,) or ().
        gate: For gated: the gate's bias and the logarithm of the magnitudes' scale, each of
            shape (latents,); ``bias`` is the magnitudes'.

    Raises:
        InputError: If shapes or activation do not fit together.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        activation: str = "relu",
        *,
        shift: Tensor | None = None,
        k: int | None = None,
        threshold: Tensor | None = None,
        gate: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        if weight.ndim != 2 or bias.shape != weight.shape[1:]:
            raise InputError(
                f"an autoencoder with weights {tuple(weight.shape)} and bias {tuple(bias.shape)}"
            )
        if activation not in _ACTIVATIONS:
            raise InputError(f"activation {activation!r}; known are {', '.join(_ACTIVATIONS)}")
        if activation == "topk" and not (k and 0 < k <= len(bias)):
            raise InputError(f"top-k of {len(bias)} latents with k = {k}")
        if activation == "jumprelu" and threshold is None:
            raise InputError("an autoencoder with jumprelu and no threshold")
        if activation == "gated" and gate is None:
            raise InputError("a gated autoencoder without b_gate and r_mag")
        self.activation = activation
        self.k = k
        nothing = torch.zeros(0)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.register_buffer("shift", torch.zeros(len(weight)) if shift is None else shift)
        self.register_buffer("threshold", nothing if threshold is None else threshold)
        self.register_buffer("gate_bias", gate[0] if gate else nothing)
        self.register_buffer("log_scale", gate[1] if gate else nothing)
        self.weight: Tensor
        self.bias: Tensor
        self.shift: Tensor
        self.threshold: Tensor
        self.gate_bias: Tensor
        self.log_scale: Tensor

    @property
    def latents(self) -> int:
        """Number of latents."""
        return len(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return latents of shape (…, latents) of a layer's output of shape (…, units)."""
        before = (x.to(self.weight.dtype) - self.shift) @ self.weight
        if self.activation == "gated":
            is_open = before + self.gate_bias > 0
            return (before * self.log_scale.exp() + self.bias).relu() * is_open
        before = before + self.bias
        if self.activation == "jumprelu":
            return before.relu() * (before > self.threshold)
        latents = before.relu()
        if self.activation == "topk" and self.k is not None:
            kept, at = latents.topk(self.k, dim=-1, sorted=False)
            latents = torch.zeros_like(latents).scatter_(-1, at, kept)
        return latents


def load_autoencoder(path: Path) -> SparseAutoencoder:
    """Read a sparse autoencoder; pickled code is never run.

    Args:
        path: A folder as SAELens or EleutherAI's sparsify write it, or a file of tensors.

    Raises:
        InputError: If it is not there, damaged, or of a kind that is not known here.
    """
    config: dict[str, Any] = {}
    file = path
    if path.is_dir():
        found = [path / name for name in _FILES if (path / name).is_file()]
        if not found:
            raise InputError(f"{path} holds no sparse autoencoder; it takes {_HELP}")
        file = found[0]
        try:
            config = json.loads((path / "cfg.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path / 'cfg.json'} cannot be read: {error}") from error
        if not isinstance(config, dict):
            raise InputError(f"{path / 'cfg.json'} is not a JSON object")
    state = {name: tensor.float() for name, tensor in read_state(file).items()}
    try:
        return _encoder(state, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _encoder(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> SparseAutoencoder:
    sparsify = "encoder.weight" in state
    weight = state["encoder.weight"].T.contiguous() if sparsify else state.get("W_enc")
    bias = state.get("encoder.bias" if sparsify else "b_enc", state.get("b_mag"))
    if weight is None or bias is None:
        raise InputError(f"no encoder among {', '.join(sorted(state)) or 'no tensors'}; {_HELP}")
    normalized = config.get("normalize_activations", "none")
    if normalized not in ("none", None, False):
        raise InputError(
            f"normalize_activations is {normalized!r}: fold the scale into the weights first"
        )
    options = config.get("activation_fn_kwargs") or config.get("activation_fn_args") or {}
    k = config.get("k", options.get("k") if isinstance(options, dict) else None)
    activation = _activation(config, state, k)
    # SAELens says whether the decoder's bias is taken off; sparsify always does, but for
    # transcoders.
    takes_off = not config.get("transcode", False)
    if not sparsify and config:
        takes_off = bool(config.get("apply_b_dec_to_input", False))
    gate = (state["b_gate"], state["r_mag"]) if {"b_gate", "r_mag"} <= state.keys() else None
    return SparseAutoencoder(
        weight,
        state.get("b_mag", bias) if activation == "gated" else bias,
        activation,
        shift=state.get("b_dec") if takes_off else None,
        k=int(k) if k is not None else None,
        threshold=state.get("threshold"),
        gate=gate,
    )


def _activation(config: Mapping[str, Any], state: Mapping[str, Tensor], k: Any) -> str:
    named = config.get("architecture", "standard")
    if named in ("jumprelu", "topk", "gated"):
        return str(named)
    if named not in ("standard", "batchtopk"):
        raise InputError(f"architecture {named!r} is not known")
    function = str(config.get("activation_fn", config.get("activation_fn_str", "relu")))
    function = str(config.get("activation", function)).lower()
    if "topk" in function or "top_k" in function or k is not None:
        return "topk"
    if "threshold" in state:
        return "jumprelu"
    if function != "relu":
        raise InputError(f"activation {function!r} is not known")
    return "relu"

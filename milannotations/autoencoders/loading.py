"""Reading sparse autoencoders from the files of the libraries that train them.

Each library's own configuration is read. A file that does not define its latents is refused; what
is missing can be stated after the path, as in ``sae.pt?activation=topk&k=32``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from milannotations.autoencoders.formats import (
    Statement,
    activation_named_in,
    encoder_of,
    from_dictionary_learning,
    from_tensors,
    needed,
    split_statement,
    threshold_of,
    weights_in,
    whole,
)
from milannotations.autoencoders.sparse_autoencoder import (
    Activation,
    Normalization,
    SparseAutoencoder,
)
from milannotations.catalog.weights import read_checkpoint, unwrapped
from milannotations.errors import InputError
from milannotations.json_files import read_json
from milannotations.tensors import check_finite, check_plain

__all__ = ["SparseAutoencoder", "load_autoencoder", "split_statement"]

_HELP = (
    "known are folders of SAELens (cfg.json and sae_weights.safetensors), of EleutherAI's "
    "sparsify (cfg.json and sae.safetensors), of dictionary_learning (config.json and ae.pt) and "
    "of ViT-Prisma (config.json and weights), and files of tensors, as of OpenAI's "
    "sparse_autoencoder or with W_enc and b_enc, or encoder.weight and encoder.bias"
)
# All tensors of the known formats. The decoder and scales of its input are not needed.
_KNOWN = frozenset(
    {"W_enc", "b_enc", "W_dec", "b_dec", "threshold", "log_threshold", "topk_threshold", "k",
     "b_gate", "b_mag", "r_mag", "scaling_factor", "finetuning_scaling_factor", "bias", "W_skip",
     "decoder_bias", "gate_bias", "mag_bias", "group_sizes", "pre_bias", "latent_bias",
     "stats_last_nonzero", "latents_activation_frequency", "latents_mean_square",
     "encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
)  # fmt: skip


def load_autoencoder(path: Path) -> SparseAutoencoder:
    """Read a sparse autoencoder; pickled code is never run.

    Args:
        path: A folder as SAELens, EleutherAI's sparsify, dictionary_learning or ViT-Prisma write
            it, or a ``.safetensors``, ``.pt`` or ``.pth`` file of tensors. What the file does not
            define may follow: ``PATH?activation=topk&k=32&subtract=yes``; see ``Statement``.

    Raises:
        InputError: If it is missing, damaged, of an unknown format, or does not define its
            latents.
    """
    bare_path, statement = split_statement(path)
    try:
        encoder = _read(bare_path, statement)
    except InputError as error:
        text = str(error)
        raise error if str(bare_path) in text else InputError(f"{bare_path}: {text}") from error
    encoder.origin = str(path.absolute())
    return encoder


def _read(path: Path, statement: Statement) -> SparseAutoencoder:
    if not path.exists():
        raise InputError(f"{path} does not exist; {_HELP}")
    file = weights_in(path) if path.is_dir() else path
    if file is None:
        raise InputError(f"{path} holds no sparse autoencoder; {_HELP}")
    checkpoint = read_checkpoint(file)
    state = unwrapped(checkpoint, f"file {file}")
    unknown = sorted(set(state) - _KNOWN)
    if unknown:
        raise InputError(f"{file} holds {', '.join(unknown[:5])}, which are not known; {_HELP}")
    check_plain(state, f"file {file}")
    # A threshold may be infinite: its latent is never active.
    check_finite(state.items(), f"file {file}", infinity=True)
    tensors = {name: tensor.detach().float() for name, tensor in state.items()}
    if not path.is_dir():
        return from_tensors(tensors, statement, activation_named_in(checkpoint))
    if file.name == "ae.pt":
        statement.refuse_for("its config.json")
        return from_dictionary_learning(tensors, _read_config(path / "config.json"))
    if not (path / "cfg.json").is_file() and (path / "config.json").is_file():
        return _from_prisma(tensors, _read_config(path / "config.json"), statement)
    statement.refuse_for("its cfg.json")
    config = _read_config(path / "cfg.json")
    if file.name == "sae.safetensors":
        return _from_sparsify(tensors, config)
    return _from_saelens(tensors, config)


def _from_prisma(
    state: Mapping[str, Tensor], config: Mapping[str, Any], statement: Statement
) -> SparseAutoencoder:
    """Read an autoencoder of ViT-Prisma: the decoder's bias is always subtracted from the input.

    Its releases differ in whether the normalization that the configuration names was applied to
    the input, so this has to be stated.
    """
    if "activation_fn_str" not in config:
        raise InputError(f"config.json names no activation_fn_str; {_HELP}")
    named = config.get("normalize_activations")
    if named not in (None, False, "none") and statement.normalize is None:
        raise InputError(
            f"config.json says normalize_activations {named!r}, which some releases of ViT-Prisma "
            f"computed and did not use; state which: PATH?normalize={named} or PATH?normalize=none"
        )
    chosen = statement.normalize if statement.normalize is not None else named
    return _from_saelens(
        state, {**config, "normalize_activations": chosen, "apply_b_dec_to_input": True}
    )


def _from_saelens(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> SparseAutoencoder:
    # Before version 6 keys had other names, and top-k was an activation, not an architecture.
    options = config.get("activation_fn_kwargs") or {}
    k = config.get("k", options.get("k") if isinstance(options, dict) else None)
    function = str(config.get("activation_fn", config.get("activation_fn_str", "relu")))
    architecture = config.get("architecture", "standard")
    if function == "topk" and architecture == "standard":
        architecture, function = "topk", "relu"
    kinds: dict[str, Activation] = {
        "standard": "relu",
        "topk": "topk",
        "jumprelu": "jumprelu",
        "gated": "gated",
        "batchtopk": "jumprelu",
        "matryoshka_batchtopk": "jumprelu",
    }
    if architecture not in kinds:
        raise InputError(f"architecture {architecture!r}; known are {', '.join(kinds)}")
    if function not in ("relu", "topk"):
        raise InputError(f"activation_fn {function!r}; known are relu and topk")
    weight, bias = encoder_of(state)
    if config.get("rescale_acts_by_decoder_norm"):
        norms = torch.linalg.vector_norm(needed(state, "W_dec"), dim=-1)
        weight, bias = weight * norms, bias * norms
    gated = architecture == "gated"
    return SparseAutoencoder(
        weight,
        bias,
        kinds[architecture],
        shift=needed(state, "b_dec") if config.get("apply_b_dec_to_input", True) else None,
        k=whole(k) if architecture == "topk" else None,
        threshold=threshold_of(state),
        gate=(needed(state, "b_gate"), needed(state, "r_mag")) if gated else None,
        normalization=_normalization(config.get("normalize_activations")),
    )


def _from_sparsify(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> SparseAutoencoder:
    activation = config.get("activation", "topk")
    if activation not in ("topk", "groupmax"):
        raise InputError(f"activation {activation!r}; known are topk and groupmax")
    # A transcoder's b_dec belongs to its output, not its input.
    shift = None if config.get("transcode") else needed(state, "b_dec")
    return SparseAutoencoder(*encoder_of(state), activation, shift=shift, k=whole(config.get("k")))


def _normalization(name: Any) -> Normalization:
    if name in (None, False, "none"):
        return "none"
    if name in ("layer_norm", "constant_norm_rescale"):
        normalization: Normalization = name
        return normalization
    raise InputError(
        f"normalize_activations is {name!r}, whose scale is not in the file: multiply W_enc by it "
        "and divide b_dec by it, as fold_activation_norm_scaling_factor of SAELens does, and save "
        "with 'none'"
    )


def _read_config(file: Path) -> dict[str, Any]:
    config: dict[str, Any] = read_json(file, dict)
    return config

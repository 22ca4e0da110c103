"""Sparse autoencoders that are told by the names of their tensors, and what must be stated.

Formulas are those of the libraries' own ``encode``; x is a layer's output, z = W x + b:

- dictionary_learning (github.com/saprmarks/dictionary_learning): ``AutoEncoder``
  relu(W (x − bias) + b); ``AutoEncoderNew`` relu(W x + b), whose decoder's bias stays out of it;
  ``GatedAutoEncoder`` and ``JumpReluAutoEncoder`` as in ``encoder.py``, times the norm of the
  latent's decoder vector, the latter without the decoder's bias; ``AutoEncoderTopK`` the k largest
  of relu(W (x − b_dec) + b); ``BatchTopKSAE`` and ``MatryoshkaBatchTopKSAE`` those of them that are
  above the threshold found in training.
- OpenAI's sparse_autoencoder (github.com/openai/sparse_autoencoder): relu or top-k of
  W (x − pre_bias) + latent_bias; with top-k, x is first brought to mean 0 and deviation 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from milannotations.autoencoders.sparse_autoencoder import (
    Activation,
    Normalization,
    SparseAutoencoder,
)
from milannotations.errors import InputError, did_you_mean
from milannotations.numerals import NumeralError, count_of, decimal, shown

_ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "batchtopk": "jumprelu",
    "gated": "gated",
}
_SHIFTS = ("b_dec", "bias", "pre_bias", "decoder_bias", "decoder.bias")
_BATCH_TOPK = ("BatchTopKSAE", "MatryoshkaBatchTopKSAE")


@dataclass(frozen=True)
class Statement:
    """What a user states of an autoencoder whose file does not say it.

    Attributes:
        activation: ``relu``, ``topk``, ``jumprelu``, ``batchtopk`` (which after training is a
            jumprelu) or ``gated``.
        k: For top-k, where the file has none.
        threshold: For jumprelu and batch top-k, where the file has none.
        subtract: ``yes`` if the decoder's bias is taken off the input, or ``no``.
        normalize: ``none``, ``layer_norm`` or ``constant_norm_rescale``: of the input.
    """

    activation: str | None = None
    k: str | None = None
    threshold: str | None = None
    subtract: str | None = None
    normalize: str | None = None

    def refuse_for(self, config: str) -> None:
        """Raise InputError if anything is stated: the configuration says all."""
        stated = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        if stated:
            raise InputError(f"{', '.join(stated)} cannot be stated, since {config} says all of it")


def split_statement(path: Path) -> tuple[Path, Statement]:
    """Split ``PATH?NAME=VALUE&NAME=VALUE``.

    >>> split_statement(Path("sae.pt?activation=topk&k=32"))[1].k
    '32'

    Raises:
        InputError: If an option is unknown, or a value is none of those there are.
    """
    name, mark, query = str(path).rpartition("?")
    if not mark or path.exists():
        return path, Statement()
    options: dict[str, str] = {}
    names = [field.name for field in fields(Statement)]
    for text in query.split("&"):
        key, equals, value = text.partition("=")
        if key not in names or not equals:
            hint = did_you_mean(key, names)
            raise InputError(f"{path}: {text!r} is no NAME=VALUE of {', '.join(names)}{hint}")
        options[key] = value
    choices = {
        "activation": tuple(_ACTIVATIONS),
        "subtract": ("yes", "no"),
        "normalize": ("none", "layer_norm", "constant_norm_rescale"),
    }
    for key, values in choices.items():
        if key in options and options[key] not in values:
            raise InputError(f"{path}: {key} is {options[key]!r}; it is one of {', '.join(values)}")
    return Path(name), Statement(**options)


def weights_in(folder: Path) -> Path | None:
    """Return the file of weights in an autoencoder's folder; None if it cannot be told."""
    for name in ("sae_weights.safetensors", "sae.safetensors", "ae.pt"):
        if (folder / name).is_file():
            return folder / name
    files = [p for p in sorted(folder.iterdir()) if p.suffix in (".safetensors", ".pt", ".pth")]
    return files[0] if len(files) == 1 and (folder / "config.json").is_file() else None


def activation_named_in(checkpoint: Any) -> tuple[str, Any] | None:
    """Return the activation and its settings that OpenAI's files name; None if there is none."""
    if not isinstance(checkpoint, Mapping) or not isinstance(checkpoint.get("activation"), str):
        return None
    return checkpoint["activation"], checkpoint.get("activation_state_dict") or {}


def from_dictionary_learning(
    state: Mapping[str, Tensor], config: Mapping[str, Any]
) -> SparseAutoencoder:
    """Read an autoencoder of dictionary_learning by the class that its configuration names.

    Raises:
        InputError: If it names no class that is known, or one that the tensors are not of.
    """
    trainer = config.get("trainer")
    kind = trainer.get("dict_class") if isinstance(trainer, Mapping) else None
    readers = {
        "AutoEncoder": lambda: _plain(state, needed(state, "bias")),
        "AutoEncoderNew": lambda: _plain(state, None),
        "GatedAutoEncoder": lambda: _gated(state),
        "JumpReluAutoEncoder": lambda: _jump_relu(state),
        "AutoEncoderTopK": lambda: _topk(state, needed(state, "k")),
        **dict.fromkeys(_BATCH_TOPK, lambda: _batch_topk(state)),
    }
    if kind not in readers:
        raise InputError(
            f"config.json names the class {kind!r} as trainer.dict_class; known are "
            f"{', '.join(readers)}"
        )
    return readers[kind]()


def from_tensors(
    state: Mapping[str, Tensor],
    statement: Statement,
    named: tuple[str, Any] | None = None,
) -> SparseAutoencoder:
    """Read an autoencoder without a configuration: nothing that tensors do not tell is assumed.

    An encoder alone (weights and a bias, and nothing of a decoder) is one of ReLU.

    Args:
        state: Its tensors.
        statement: What the user states.
        named: The activation that the file names; see ``activation_named_in``.

    Raises:
        InputError: If the tensors leave open what the latents are; says what to state.
    """
    names = set(state)
    if "pre_bias" in names and statement == Statement():
        return _openai(state, named)
    if statement == Statement():
        if names in ({"W_enc", "b_enc"}, {"encoder.weight", "encoder.bias"}):
            return _plain(state, None)
        if names == {"encoder.weight", "encoder.bias", "decoder.weight", "bias"}:
            return _plain(state, state["bias"])
        if {"decoder_bias", "gate_bias", "mag_bias"} <= names:
            return _gated(state)
        if "group_sizes" in names:
            return _batch_topk(state)
    encoder_of(state)  # what is missing is said first
    return _stated(state, statement)


def _stated(state: Mapping[str, Tensor], statement: Statement) -> SparseAutoencoder:
    shift = next((state[name] for name in _SHIFTS if name in state), None)
    open_questions = []
    if statement.activation is None:
        open_questions.append(f"activation={'|'.join(_ACTIVATIONS)}")
    if shift is not None and statement.subtract is None:
        open_questions.append("subtract=yes|no (whether the decoder's bias is taken off the input)")
    if open_questions:
        raise InputError(
            "the file does not say what its latents are; state it after the path, as "
            f"PATH?NAME=VALUE&NAME=VALUE: {' and '.join(open_questions)}"
        )
    activation = _ACTIVATIONS[str(statement.activation)]
    normalization: Any = statement.normalize or "none"
    k = threshold = None
    if activation == "topk":
        k = _stated_k(statement.k) if statement.k else whole(_number(needed(state, "k")))
    if activation == "jumprelu":
        threshold = _stated_threshold(statement.threshold) if statement.threshold else _cut(state)
    gate = (needed(state, "b_gate"), needed(state, "r_mag")) if activation == "gated" else None
    return SparseAutoencoder(
        *encoder_of(state),
        activation,
        shift=shift if statement.subtract == "yes" else None,
        k=k,
        threshold=threshold,
        gate=gate,
        normalization=normalization,
    )


def _openai(state: Mapping[str, Tensor], named: tuple[str, Any] | None) -> SparseAutoencoder:
    kind, settings = named or ("", {})
    if kind not in ("ReLU", "TopK"):
        raise InputError(
            f"the file names {kind or 'no'} activation; an autoencoder of OpenAI names ReLU or "
            "TopK. State it after the path: PATH?activation=relu&subtract=yes, or "
            "PATH?activation=topk&k=K&subtract=yes&normalize=layer_norm"
        )
    k = None
    normalization: Normalization = "none"
    if kind == "TopK":
        if not isinstance(settings, Mapping) or settings.get("postact_fn", "ReLU") != "ReLU":
            raise InputError("its TopK is not followed by a ReLU; latents must be 0 or more")
        k, normalization = whole(settings.get("k")), "layer_norm"
    return SparseAutoencoder(
        *encoder_of(state),
        "topk" if k else "relu",
        shift=state["pre_bias"],
        k=k,
        normalization=normalization,
    )


def _plain(state: Mapping[str, Tensor], shift: Tensor | None) -> SparseAutoencoder:
    return SparseAutoencoder(*encoder_of(state), "relu", shift=shift)


def _topk(state: Mapping[str, Tensor], k: Tensor) -> SparseAutoencoder:
    shift = needed(state, "b_dec")
    return SparseAutoencoder(*encoder_of(state), "topk", shift=shift, k=whole(_number(k)))


def _batch_topk(state: Mapping[str, Tensor]) -> SparseAutoencoder:
    return SparseAutoencoder(
        *encoder_of(state), "jumprelu", shift=needed(state, "b_dec"), threshold=_cut(state)
    )


def _gated(state: Mapping[str, Tensor]) -> SparseAutoencoder:
    norms = torch.linalg.vector_norm(needed(state, "decoder.weight"), dim=0)
    scale = needed(state, "r_mag") + norms.log()
    return SparseAutoencoder(
        needed(state, "encoder.weight").T,
        needed(state, "mag_bias") * norms,
        "gated",
        shift=needed(state, "decoder_bias"),
        gate=(needed(state, "gate_bias"), scale),
    )


def _jump_relu(state: Mapping[str, Tensor]) -> SparseAutoencoder:
    norms = torch.linalg.vector_norm(needed(state, "W_dec"), dim=1)
    weight, bias = encoder_of(state)
    return SparseAutoencoder(
        weight * norms, bias * norms, "jumprelu", threshold=needed(state, "threshold") * norms
    )


def encoder_of(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the weights, units × latents, and the bias.

    Raises:
        InputError: If one is not there.
    """
    if "encoder.weight" in state:  # of nn.Linear: latents × units
        name = "latent_bias" if "latent_bias" in state else "encoder.bias"
        return state["encoder.weight"].T, needed(state, name)
    bias = state["b_mag"] if "b_mag" in state else needed(state, "b_enc")
    return needed(state, "W_enc"), bias


def threshold_of(state: Mapping[str, Tensor]) -> Tensor | None:
    """Return the threshold of a jumprelu or a batch top-k; None if there is none."""
    if "log_threshold" in state:
        return state["log_threshold"].exp()
    return state.get("threshold", state.get("topk_threshold"))


def needed(state: Mapping[str, Tensor], name: str) -> Tensor:
    """Return a tensor; InputError if it is not there."""
    if name not in state:
        raise InputError(f"there is no {name} among {', '.join(sorted(state))}")
    return state[name]


def whole(k: Any) -> int:
    """Return a whole number; InputError if it is none."""
    if not isinstance(k, int | float) or isinstance(k, bool) or k != int(k):
        raise InputError(f"k is {k!r}; it must be a whole number")
    return int(k)


def _cut(state: Mapping[str, Tensor]) -> Tensor:
    threshold = threshold_of(state)
    if threshold is None or bool((threshold < 0).any()):  # -1 until training finds one
        raise InputError(
            "the file holds no threshold that was found in training; state it after the path, as "
            "PATH?activation=batchtopk&threshold=0.5&subtract=yes, or activation=topk&k=32"
        )
    return threshold


def _number(tensor: Tensor) -> float | None:
    return float(tensor) if tensor.numel() == 1 else None


def _stated_k(text: str) -> int:
    k = count_of(text)
    if k is None:
        raise InputError(f"k is {shown(text)}; it must be a whole number")
    return k


def _stated_threshold(text: str) -> Tensor:
    try:
        value = decimal(text)
    except NumeralError as error:
        raise InputError(f"threshold {error}; it must be a number of at least 0") from error
    if value < 0:
        raise InputError(f"threshold is {text!r}; it must be a number of at least 0")
    return torch.tensor(value)

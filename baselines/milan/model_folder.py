"""The folder of a model: writing it, and reading it with care."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from baselines.features.encoder import EncoderSpec, PyramidEncoder
from baselines.milan.config import FORMAT, MilanConfig
from baselines.milan.model_card import card
from baselines.milan.vocabulary import SPECIALS, Vocabulary
from milannotations import json_files
from milannotations.catalog.models import load_model
from milannotations.catalog.weights import fit
from milannotations.errors import InputError
from milannotations.storage import atomic_path
from milannotations.tensors import check_network, read_safetensors

CONFIG, VOCABULARY = "config.json", "vocabulary.json"
WEIGHTS, CARD = "model.safetensors", "README.md"
_ENCODER = "encoder."
_MAX_JSON = 50_000_000
# Kinds of encoders that load without running code other than installed libraries.
_HARMLESS = ("torchvision", "timm", "hf")


class ModelParts(NamedTuple):
    """What a model consists of.

    Attributes:
        config: The configuration.
        vocabulary: The words.
        state: The parameters by name, without the encoder's.
        encoder: The encoder, if its weights are stored with the model.
    """

    config: MilanConfig
    vocabulary: Vocabulary
    state: Mapping[str, Tensor]
    encoder: PyramidEncoder | None


def write(parts: ModelParts, folder: Path) -> None:
    """Write a model's files into an existing folder."""
    _write_json(folder / CONFIG, parts.config.model_dump(mode="json"))
    words = {"specials": list(SPECIALS), "words": parts.vocabulary.words}
    _write_json(folder / VOCABULARY, words)
    state = dict(parts.state)
    if parts.encoder is not None:
        inner = parts.encoder.network.state_dict()
        state |= {f"{_ENCODER}{name}": value for name, value in inner.items()}
    # By way of a temporary file, which gets the usual permissions: safetensors writes files that
    # only their owner may read.
    with atomic_path(folder / WEIGHTS, alone=True) as path:
        save_file({n: v.detach().cpu().contiguous().clone() for n, v in state.items()}, path)
    (folder / CARD).write_text(card(parts.config), encoding="utf-8")


def read(folder: Path, trust_encoder: bool = False) -> ModelParts:
    """Read a model's files.

    Args:
        folder: The folder.
        trust_encoder: Allow an encoder whose loading runs code of its own.

    Raises:
        InputError: If a file is missing, damaged or of another version, or the encoder is not
            trusted.
    """
    config = _config(folder / CONFIG)
    kind, colon, _ = config.encoder.model.partition(":")
    if colon and kind not in _HARMLESS and not trust_encoder:
        raise InputError(
            f"{folder / CONFIG} names the encoder {config.encoder.model!r}, whose loading runs "
            "code of its own; if you trust it, pass trust_encoder=True (or the option trust=1)"
        )
    if config.encoder.weights not in ("published", "random", "included"):
        raise InputError(
            f"{folder / CONFIG}: encoder.weights is {config.encoder.weights!r}; it must be "
            "published, random or included"
        )
    vocabulary = read_vocabulary(folder / VOCABULARY, config.vocabulary.lemmatize)
    path = folder / WEIGHTS
    state = read_safetensors(path)
    inner = {n.removeprefix(_ENCODER): v for n, v in state.items() if n.startswith(_ENCODER)}
    if config.encoder.weights == "included" and not inner:
        raise InputError(f"{path} lacks the encoder's weights, which {CONFIG} says are included")
    encoder = _included(config.encoder, inner, path) if inner else None
    own = {n: v for n, v in state.items() if not n.startswith(_ENCODER)}
    return ModelParts(config, vocabulary, own, encoder)


def fit_state(model: nn.Module, parts: ModelParts, path: Path) -> None:
    """Put the parameters of a file into a model, in place of its own.

    Raises:
        InputError: If they belong to another vocabulary, or have other shapes.
    """
    state, words = parts.state, len(parts.vocabulary)
    odd = [name for name, value in state.items() if value.dtype != torch.float32]
    if odd:
        raise InputError(f"{path}: {odd[0]} is of {state[odd[0]].dtype}; parameters are float32")
    for name in ("decoder.embedding.weight", "language_model.embedding.weight"):
        if name in state and len(state[name]) != words:
            raise InputError(
                f"{path}: {name} is for {len(state[name])} words, and the vocabulary has {words} "
                "with its special tokens; decoder, language model and vocabulary must be of one "
                "training"
            )
    try:
        # Copies: tensors that are mapped from a file may be aligned differently in memory, which
        # changes the rounding of matrix products.
        aligned = {name: value.clone() for name, value in state.items()}
        model.load_state_dict(aligned, assign=True)
    except RuntimeError as error:
        lines = "\n".join(line[:300] for line in str(error).splitlines()[:6])
        raise InputError(f"the parameters in {path} do not fit the model: {lines}") from error
    check_network(model, str(path))


def _included(spec: EncoderSpec, state: dict[str, Tensor], path: Path) -> PyramidEncoder:
    loaded = load_model(spec.model, "random")
    fit(loaded.module, state, f"file {path}, part {_ENCODER}")
    return PyramidEncoder(spec, loaded)


def _config(path: Path) -> MilanConfig:
    plain = read_json(path)
    version = plain.get("format") if isinstance(plain, dict) else None
    if version != FORMAT:
        raise InputError(
            f"{path} is of format {version!r}, and this version reads {FORMAT}; train or import "
            "the model again, or install the version of milannotations that wrote it"
        )
    try:
        return MilanConfig.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}") from error


def read_vocabulary(path: Path, lemmatize: bool = False) -> Vocabulary:
    """Read the file of words.

    Raises:
        InputError: If it is missing or damaged.
    """
    plain = read_json(path)
    words = plain.get("words") if isinstance(plain, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{path} holds no list of words")
    return Vocabulary(words, lemmatize)


def read_json(path: Path) -> Any:
    """Read a JSON file of a sensible size; raise InputError if it cannot be read."""
    return json_files.read_json(path, dict, limit=_MAX_JSON, constants=True)


def _write_json(path: Path, plain: object) -> None:
    path.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

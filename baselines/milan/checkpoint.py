"""Conversion of the authors' published checkpoints.

A file was written by ``SerializableModule.save`` of the original: nested dictionaries of
``properties`` (the arguments of the constructor, nested likewise), ``children`` (the kind of module
of a property) and, at the top level, a ``state_dict``. It is read without executing any code: only
tensors and plain values are accepted, and the one class it contains, spaCy's configuration, is
replaced by an inert dictionary.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.features.encoder import ENCODERS, PyramidEncoder
from baselines.milan.config import MilanConfig
from baselines.milan.decoder import DecoderSpec
from baselines.milan.decoding import Decoding
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model_folder import ModelParts
from baselines.milan.vocabulary import Vocabulary
from milannotations.catalog.models import load_model
from milannotations.catalog.stand_ins import foreign_objects
from milannotations.catalog.weights import fit
from milannotations.defaults import DEFAULT_K
from milannotations.errors import InputError
from milannotations.provenance import published_training_data
from milannotations.tensors import check_torch_file

HOST = "http://milan.csail.mit.edu/models"
# The authors published one file for each group of training networks.
_GROUPS = ["base", "cls", "gen", "imagenet", "places365", "alexnet", "resnet152", "biggan"]
PUBLISHED = {group: f"{HOST}/milan-{group}.pth" for group in _GROUPS}
_PYRAMID = "PyramidConvEncoder"
# Names of parameters in the original, and ours.
_DECODER = {
    "init_h.0": "initial_hidden",
    "init_c.0": "initial_cell",
    "embedding": "embedding",
    "attend.query_to_hidden": "query",
    "attend.key_to_hidden": "key",
    "attend.output.0": "attention",
    "feature_gate.0": "gate",
    "lstm": "lstm",
    "output.1": "output",
}
_LANGUAGE_MODEL = {"embedding": "embedding", "lstm": "lstm", "output.0": "output"}
# The class of spaCy's configuration, by version of spaCy.
_CONFIGS = ("thinc.config.Config", "confection.Config", "confection._config.Config")


class _Inert:
    """Stands in for spaCy's configuration, whose content is ignored."""

    def __new__(cls, *_: object) -> Any:
        """Return a plain dictionary, the only kind that torch fills in."""
        return OrderedDict()


def read_checkpoint(path: Path, group: str | None = None) -> ModelParts:
    """Read a checkpoint of the original; ``Milan.from_checkpoint`` makes a model of it.

    Args:
        path: The file.
        group: The releases that it was trained on, such as ``base``; default that of the published
            file with the same name, and unknown for other names.

    Raises:
        InputError: If the file is missing or damaged, contains more than tensors and plain values,
            or is not a MILAN decoder; or if decoder and language model have different vocabularies.
    """
    payload = _read(path)
    try:
        return _parts(payload, path, group or group_of(path.name))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        first = str(error).splitlines()[0][:200]
        raise InputError(f"{path} is no checkpoint of the original MILAN: {first}") from error


def group_of(file: str) -> str | None:
    """Return the group of a published file, such as ``base`` for ``milan-base.pth``; else None."""
    names = {url.rpartition("/")[2]: group for group, url in PUBLISHED.items()}
    return names.get(file)


def _parts(payload: Mapping[str, Any], path: Path, group: str | None) -> ModelParts:
    properties = _mapping(payload, "properties", path)
    state = _mapping(payload, "state_dict", path)
    kind = _mapping(payload, "children", path).get("encoder")
    if kind != _PYRAMID:
        raise InputError(f"{path}: its encoder is a {kind!r}; only {_PYRAMID} was published")
    words = _words(properties, path)
    prior = properties.get("lm")
    spec = None
    if prior is not None:
        sizes = _mapping(prior, "properties", path)
        other = _words(sizes, path)
        if other != words:
            missing, more = set(words) - set(other), set(other) - set(words)
            raise InputError(
                f"{path}: the vocabularies of decoder and language model differ "
                f"({len(missing)} words are missing from the second, {len(more)} from the first"
                f"{', the order is another' if not missing and not more else ''}); their numbers "
                "would mean different words"
            )
        spec = LanguageModelSpec(
            embedding=sizes["embedding_size"],
            hidden=sizes["hidden_size"],
            layers=sizes["layers"],
            dropout=sizes["dropout"],
        )
    encoder = _encoder(_mapping(properties["encoder"], "properties", path), state, path)
    searching = {"beam": properties.get("beam_size", 50), "length": properties.get("length", 15)}
    strategy = str(properties.get("strategy") or ("rerank" if prior else "beam"))
    weight = float(properties.get("temperature", 0.2)) if prior else 0.0
    config = MilanConfig(
        encoder=encoder.spec,
        encoder_identity=str(encoder.identity()["weights"]),
        features=encoder.width,
        k=DEFAULT_K,
        decoder=DecoderSpec(
            embedding=properties["embedding_size"],
            hidden=properties["hidden_size"],
            attention=properties["attention_hidden_size"],
            dropout=properties["dropout"],
        ),
        language_model=spec,
        decoding=Decoding(strategy=strategy, pmi=weight, **searching),  # type: ignore[arg-type]
        as_original=True,
        training={"imported_from": path.name, "published_by": "Hernandez et al., 2022"},
        trained_on=published_training_data(group) if group else None,
    )
    renamed = _renamed(state, "", "decoder.", _DECODER)
    if spec is not None:
        renamed |= _renamed(state, "lm.", "language_model.", _LANGUAGE_MODEL)
    return ModelParts(config, Vocabulary(words), renamed, encoder)


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        published = ", ".join(PUBLISHED.values())
        raise InputError(f"{path} does not exist; the authors publish {published}")
    check_torch_file(path)
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in _CONFIGS]):
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file makes torch raise
        foreign = foreign_objects(path)
        where = (
            f": at {foreign[0][0] or 'the top'} stands an object of {foreign[0][1]}"
            if foreign
            else ""
        )
        raise InputError(
            f"{path} is damaged, or holds more than tensors and plain values, which could run "
            f"code{where}"
        ) from error
    if not isinstance(payload, Mapping):
        raise InputError(f"{path} holds a {type(payload).__name__}, not a MILAN checkpoint")
    return payload


def _mapping(tree: object, name: str, path: Path) -> Mapping[str, Any]:
    branch = tree.get(name) if isinstance(tree, Mapping) else None
    if not isinstance(branch, Mapping):
        raise InputError(f"{path} is no checkpoint of the original MILAN: it has no {name!r}")
    return branch


def _words(properties: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    indexer = _mapping(_mapping(properties, "indexer", path), "properties", path)
    words = _mapping(_mapping(indexer, "vocab", path), "properties", path).get("tokens")
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{path}: its vocabulary is not a list of words")
    return tuple(words)


def _encoder(
    properties: Mapping[str, Any], state: Mapping[str, Tensor], path: Path
) -> PyramidEncoder:
    name = properties.get("config")
    if name not in ENCODERS:
        raise InputError(f"{path}: encoder {name!r} is not one of {', '.join(ENCODERS)}")
    spec = ENCODERS[str(name)].model_copy(update={"weights": "included"})
    loaded = load_model(spec.model, "random")
    prefix = "encoder.encoder.model."
    inner = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    if not inner:
        raise InputError(f"{path} holds no weights of its encoder ({prefix}…)")
    fit(loaded.module, inner, f"file {path}, part {prefix}")
    return PyramidEncoder(spec, loaded)


def _renamed(
    state: Mapping[str, Tensor], theirs: str, ours: str, names: Mapping[str, str]
) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        module, _, parameter = name.removeprefix(theirs).rpartition(".")
        if name.startswith(theirs) and module in names:
            renamed[f"{ours}{names[module]}.{parameter}"] = value
    return renamed

"""Loading the network of some neurons, and checking it against the dataset's record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import nn

from milannotations.autoencoders.loading import load_autoencoder, split_statement
from milannotations.catalog import torchvision_models
from milannotations.catalog.models import ENTRIES, LoadedModel, load_model
from milannotations.catalog.weights import split_part
from milannotations.errors import InputError
from milannotations.hook_points.layout import Layout
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.networks.consent import has_consent
from milannotations.networks.record import NetworkRecord, record_of
from milannotations.rules import checked_in_place
from milannotations.weights_hash import hash_of_weights

Say = Callable[[str], None]
_at_hand: ContextVar[tuple[LoadedModel, ...]] = ContextVar("networks at hand", default=())


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr)


@dataclass(frozen=True)
class NetworkChoice:
    """The user's choices that replace what the dataset records about its network.

    Attributes:
        model: A name for ``load_model``; default the recorded one.
        weights: ``published``, ``random`` or a file; default the recorded ones.
        sae: ``LAYER=PATH`` of autoencoders, separated by commas; default the recorded ones.
        check: ``yes``, or ``no`` to use parameters whose hash is not the recorded one.
        flag: How options are written: ``--option `` for describers, ``--`` for commands.
    """

    model: str | None = None
    weights: str | None = None
    sae: str | None = None
    check: str = "yes"
    flag: str = "--option "

    def __post_init__(self) -> None:
        if self.check not in ("yes", "no"):
            raise InputError(f"check is {self.check!r}; it must be yes or no")

    def written(self, name: str, value: str) -> str:
        """Return an option as it is typed."""
        return f"{self.flag}{name}={value}"


@contextmanager
def network_at_hand(loaded: LoadedModel) -> Iterator[None]:
    """Let ``network_of`` use a network in memory if a record has its hash."""
    token = _at_hand.set((loaded, *_at_hand.get()))
    try:
        yield
    finally:
        _at_hand.reset(token)


def network_of(
    neurons: Dataset,
    model: str,
    dataset: str,
    choice: NetworkChoice | None = None,
    say: Say = _to_standard_error,
) -> LoadedModel:
    """Load the network that neurons belong to.

    This is the network that the dataset records, with its factory or library, weights file,
    preprocessing, layouts and autoencoders. The hash of its parameters must be the recorded one,
    however it is named. Without a record, the published network of the catalog is used if the keys
    name one, and a line says so.

    Args:
        neurons: A data set as ``milannotations.load`` gives it.
        model: The architecture in the neurons' keys.
        dataset: The training data in the neurons' keys.
        choice: The user's choices.
        say: Called with one line if the network is assumed.

    Raises:
        InputError: If the network cannot be loaded or identified, or is not the recorded one.
    """
    choice = choice or NetworkChoice()
    record = record_of(neurons, model, dataset)
    if record is None:
        return _unrecorded(model, dataset, choice, say)
    ready = _in_memory(record) if choice.model is None and choice.weights is None else None
    loaded = ready or _load(record, model, dataset, choice)
    if choice.check == "yes" and ready is None:
        _check_hash(record, loaded, model, dataset, choice)
    return replace(
        loaded,
        name=model,
        dataset=dataset,
        preprocessing=_preprocessing(record) or loaded.preprocessing,
        layouts={**loaded.layouts, **_layouts(record)},
        in_place=checked_in_place(record.in_place) if record.in_place else loaded.in_place,
        autoencoders=_autoencoders(record, choice),
    )


def _in_memory(record: NetworkRecord) -> LoadedModel | None:
    for loaded in _at_hand.get():
        if hash_of_weights(loaded.module) == record.network_sha256:
            return loaded
    return None


def check_same_network(neurons: Dataset, loaded: LoadedModel, where: str, flag: str = "--") -> None:
    """Refuse neurons that were built from another network than the loaded one.

    Neurons whose dataset has no record are accepted.

    Args:
        neurons: Neurons that are supposed to belong to the network.
        loaded: The network.
        where: What to call the data set.
        flag: How options are written.

    Raises:
        InputError: If the recorded hash is not that of the network.
    """
    record = record_of(neurons, loaded.name, loaded.dataset)
    if record is None or not record.network_sha256:
        return
    fingerprint = hash_of_weights(loaded.module)
    if fingerprint != record.network_sha256:
        raise InputError(
            f"{where} was built from {_named(record, loaded.name)} (hash "
            f"{record.network_sha256}), and the network named here, {loaded.name} trained on "
            f"{loaded.dataset}, has the hash {fingerprint}; name that network, with "
            f"{flag}weights=FILE if its weights are a file"
        )


def _unrecorded(model: str, dataset: str, choice: NetworkChoice, say: Say) -> LoadedModel:
    certain = _certain_name(model, dataset)
    if choice.model is not None or choice.weights is not None:
        # The user named the network, and there is nothing to check it against.
        name = choice.model or certain or model
        loaded = load_model(name, choice.weights or "published")
    elif certain is None:
        raise InputError(
            f"the data set does not record which network the neurons of {model}/{dataset} belong "
            f"to; name it with {choice.written('model', 'NAME')}, and its weights with "
            f"{choice.written('weights', 'FILE')} if they are not the published ones"
        )
    else:
        say(
            f"the data set does not record its network: the published {certain} is assumed "
            f"({choice.written('model', 'NAME')} names another)"
        )
        loaded = load_model(certain)
    return replace(loaded, autoencoders=_stated_autoencoders(choice))


def _certain_name(model: str, dataset: str) -> str | None:
    """Return the published network that names in keys stand for; None if it is ambiguous."""
    if f"{model}-{dataset}" in ENTRIES:
        return f"{model}-{dataset}"
    if not dataset:
        named = [entry.config for entry in ENTRIES.values() if entry.name == model]
        return named[0] if len(named) == 1 else None
    if dataset == "imagenet" and model in torchvision_models.names():
        return f"torchvision:{model}"
    return None


def _load(record: NetworkRecord, model: str, dataset: str, choice: NetworkChoice) -> LoadedModel:
    """Load the network that the user or the record names."""
    spec = choice.model or record.spec
    if spec is None:
        spec = _certain_name(model, dataset)
        if spec is None:
            raise InputError(
                f"the network of {model}/{dataset} was given to build in Python, so the data set "
                "records no name that it can be loaded by; give "
                f"{choice.written('model', 'NAME')}, for instance package.module:factory"
            )
    if choice.model is None and not has_consent(spec):
        raise InputError(
            f"the data set says that its network is made by the code {spec}, which nobody has "
            f"named on this machine yet; if you trust that code, pass "
            f"{choice.written('model', spec)}"
        )
    weights = choice.weights or _recorded_weights(record, spec, choice)
    try:
        return load_model(spec, weights)
    except InputError as error:
        raise InputError(
            f"the network of {model}/{dataset}, {spec} with weights {weights}, cannot be loaded: "
            f"{error} (name it otherwise with {choice.written('model', 'NAME')} or "
            f"{choice.written('weights', 'FILE')}; its hash is checked)"
        ) from error


def _recorded_weights(record: NetworkRecord, spec: str, choice: NetworkChoice) -> str:
    if choice.model is not None and record.spec != choice.model:
        return "published"
    files = record.weights_files()
    if not files:
        return record.weights or "published"
    for file in files:
        if split_part(str(file))[0].is_file():
            return str(file)
    raise InputError(
        f"the neurons were built from {spec} with weights {record.weights}, and that file is not "
        f"there any more; name where it is now with {choice.written('weights', 'FILE')} (its hash "
        "is checked)"
    )


def _check_hash(
    record: NetworkRecord, loaded: LoadedModel, model: str, dataset: str, choice: NetworkChoice
) -> None:
    fingerprint = hash_of_weights(loaded.module)
    if fingerprint == record.network_sha256:
        return
    raise InputError(
        f"the neurons of {model}/{dataset} were built from {_named(record, model)}, whose "
        f"parameters have the hash {record.network_sha256}; {loaded.spec} with weights "
        f"{loaded.weights} has {fingerprint}. Name the right ones with "
        f"{choice.written('model', 'NAME')} and {choice.written('weights', 'FILE')}, or pass "
        f"{choice.written('check', 'no')} to use these all the same"
    )


def _named(record: NetworkRecord, model: str) -> str:
    if record.spec is None:
        return f"a module {model} made in Python"
    return f"{record.spec} with weights {record.weights or 'of its own'}"


def _preprocessing(record: NetworkRecord) -> Preprocessing | None:
    if record.preprocessing is None:
        return None
    try:
        return Preprocessing.from_json(record.preprocessing)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the data set's record of its preprocessing is damaged: {error}"
        ) from error


def _layouts(record: NetworkRecord) -> dict[str, Layout]:
    try:
        return {pattern: _layout(plain) for pattern, plain in record.layouts.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"the data set's record of its layouts is damaged: {error}") from error


def _layout(plain: Mapping[str, Any]) -> Layout:
    names = {field.name for field in fields(Layout)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in plain.items()
        if name in names
    }
    return Layout(**values)


def _stated_autoencoders(choice: NetworkChoice) -> dict[str, nn.Module]:
    autoencoders: dict[str, nn.Module] = {}
    for text in (choice.sae or "").split(","):
        if text.strip():
            layer, equals, path = text.strip().partition("=")
            if not equals:
                raise InputError(f"sae is {choice.sae!r}; write it as LAYER=PATH[,LAYER=PATH]")
            autoencoders[layer] = load_autoencoder(Path(path))
    return autoencoders


def _autoencoders(record: NetworkRecord, choice: NetworkChoice) -> dict[str, nn.Module]:
    """Return the recorded autoencoders, or those that the user names, checked."""
    autoencoders = _stated_autoencoders(choice)
    hashes = dict(zip(record.autoencoders, record.autoencoder_sha256, strict=False))
    for layer, path in record.autoencoders.items():
        if layer in autoencoders:
            continue
        if not path or not split_statement(Path(path))[0].exists():
            missing = f"from {path}, which is not there any more" if path else "made in Python"
            raise InputError(
                f"the latents of layer {layer!r} are of an autoencoder {missing}; name it with "
                f"{choice.written('sae', f'{layer}=PATH')} (its hash is checked)"
            )
        autoencoders[layer] = load_autoencoder(Path(path))
    for layer, encoder in autoencoders.items():
        expected = hashes.get(layer)
        fingerprint = hash_of_weights(encoder)
        if expected and fingerprint != expected and choice.check == "yes":
            raise InputError(
                f"the autoencoder of layer {layer!r} has the hash {fingerprint}, and the neurons "
                f"were built with {expected}; name the right one with "
                f"{choice.written('sae', f'{layer}=PATH')}, or pass "
                f"{choice.written('check', 'no')} to use it all the same"
            )
    return autoencoders

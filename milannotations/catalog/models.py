"""Loading models by name, each with its weights and preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from milannotations.catalog import (
    alexnet,
    biggan,
    densenet,
    efficientnet_lite,
    hf_models,
    mobile,
    modern,
    resnet,
    small,
    timm_models,
    torchvision_models,
    vgg,
    vision_transformers,
)
from milannotations.catalog.entry import CatalogEntry, State, converted, published_state, seeded
from milannotations.catalog.factories import call_factory, factory_of
from milannotations.catalog.selection import chosen_state, misfit
from milannotations.catalog.weights import fit, read_checkpoint, split_part
from milannotations.errors import InputError, did_you_mean, raised
from milannotations.hook_points.layout import Layout
from milannotations.inputs.generators import LatentSpace
from milannotations.inputs.options import InputOptions
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.registry import Registry
from milannotations.rules import InPlace, MaskRule

# The dataset in records of networks whose training data is unknown.
UNKNOWN = "unknown"
_FAMILIES = (
    alexnet, vgg, resnet, densenet, mobile, biggan, vision_transformers, modern,
    efficientnet_lite, small,
)  # fmt: skip
ENTRIES: dict[str, CatalogEntry] = {
    entry.config: entry for family in _FAMILIES for entry in family.ENTRIES
}


def _check_model(name: str, factory: object) -> None:
    """Raise InputError if what others register is no function, or has a name with a meaning."""
    if not callable(factory):
        raise InputError(f"model {name!r} is a {type(factory).__name__}, not a function")
    if not name or ":" in name or "/" in name:
        raise InputError(f"a model cannot be named {name!r}: the name has ':' or '/' in it")


# The catalog's entries, and factories that other packages have registered.
MODELS: Registry[CatalogEntry | Callable[[], Any]] = Registry(
    "model", ENTRIES, group="milannotations.models", check=_check_model
)
register = MODELS.register


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to be dissected.

    Attributes:
        module: The network with its weights.
        name: Architecture, as records name it.
        dataset: The data it was trained on, as records name it.
        preprocessing: How an image becomes its input.
        layers: The layers that are dissected by default.
        layouts: Layouts by layer pattern, where they cannot be detected.
        latents: The latents that a generator takes; None for networks that take images.
        in_place: Whether outputs that are changed in place are read before or after that, by
            default; see ``milannotations.hook_points.in_place``.
        masks: The default rule for masks; see ``render_masks``.
        spec: The name that ``load_model`` loaded it by; empty if it was constructed otherwise.
        weights: ``published``, ``random``, or the absolute path of a file.
        autoencoders: Sparse autoencoders, by the name of the layer whose units they encode.
        units: Which units of ``layers`` are dissected by default; None for all.
    """

    module: nn.Module
    name: str
    dataset: str
    preprocessing: Preprocessing
    layers: tuple[str, ...] = ()
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    latents: LatentSpace | None = None
    in_place: InPlace = "before"
    masks: MaskRule = "bilinear"
    spec: str = ""
    weights: str = "published"
    autoencoders: Mapping[str, nn.Module] = field(default_factory=dict)
    units: str | None = None


@dataclass(frozen=True)
class ModelOrigin:
    """How a network was loaded.

    Attributes:
        spec: The name that ``load_model`` was given, a local folder as an absolute path.
        weights: ``published``, ``random``, or the absolute path of a file.
    """

    spec: str
    weights: str


_origins: WeakKeyDictionary[nn.Module, ModelOrigin] = WeakKeyDictionary()


def origin_of(module: nn.Module) -> ModelOrigin | None:
    """Return how ``load_model`` loaded a network; None for networks constructed otherwise."""
    return _origins.get(module)


def load_model(
    spec: str,
    weights: str = "published",
    dataset: str | None = None,
    *,
    name: str | None = None,
    inputs: InputOptions | None = None,
) -> LoadedModel:
    """Load a model by name.

    Args:
        spec: A model of the catalog, such as ``resnet18``, ``resnet18/places365`` or
            ``resnet18-places365``; any classifier of torchvision, as ``torchvision:resnet18`` or
            by its bare name; ``timm:NAME``; ``hf:OWNER/NAME`` or ``hf:FOLDER`` (of
            ``transformers``); ``hub:OWNER/REPO:ENTRY`` (of ``torch.hub``; a branch or tag may
            stand between the two, ``hub:OWNER/REPO:REF:ENTRY``);
            ``package.module:factory``, a function without arguments that returns an
            ``nn.Module`` (ImageNet preprocessing at 224) or a ``LoadedModel``; or the name under
            which such a function was registered. The last three run the code they name: use only
            code that you trust.
        weights: ``published``, ``random`` (the same each time), or a file with a state
            dictionary.
        dataset: The data the weights were trained on, for the records; default that of the
            published weights, that of a factory's ``LoadedModel``, or the name of the file.
        name: What the records call the network; default the model's own name.
        inputs: Changes to its preprocessing.

    Raises:
        InputError: If there is no such model, or its weights cannot be loaded or do not fit.
    """
    entry = _entry(spec)
    if entry is not None:
        loaded = _from_entry(entry, weights)
    else:
        loaded = seeded_model(spec, weights == "published")
        if weights not in ("published", "random"):
            loaded = _with_file(loaded, spec, weights)
    trained_on = loaded.dataset
    # The dataset of a user's own factory is the user's choice already.
    chosen = trained_on != UNKNOWN and (is_factory(spec) or spec in MODELS.added())
    if weights == "random" and not chosen:
        trained_on = "random"
    elif weights != "published" and not chosen:
        trained_on = split_part(weights)[0].stem
    if inputs and inputs != InputOptions() and loaded.latents is not None:
        raise InputError(f"{loaded.name} is a generator: it takes latents, not images of some size")
    origin = _origin(spec, weights)
    _origins[loaded.module] = origin
    return replace(
        loaded,
        name=loaded.name if name is None else _checked_name("--name", name),
        dataset=trained_on if dataset is None else _checked_name("--dataset", dataset),
        preprocessing=(inputs or InputOptions()).applied(loaded.preprocessing),
        spec=origin.spec,
        weights=origin.weights,
    )


def is_factory(spec: str) -> bool:
    """Return whether a model is constructed by a user's function, ``package.module:factory``."""
    kind, colon, _ = spec.partition(":")
    return bool(colon) and kind not in ("torchvision", "timm", "hf", "hub")


def _checked_name(option: str, text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise InputError(f"{option} {text!r}: a name for the records has printable characters")
    return text.strip()


def _origin(spec: str, weights: str) -> ModelOrigin:
    """Return a name and weights that mean the same from any working folder."""
    kind, _, name = spec.partition(":")
    if kind == "hf" and Path(name).is_dir():
        spec = f"hf:{Path(name).absolute()}"
    if weights not in ("published", "random"):
        weights = str(Path(weights).absolute())
    return ModelOrigin(spec, weights)


def seeded_model(spec: str, published: bool, state: State | None = None) -> LoadedModel:
    """Load a model that is not in the catalog; random weights are the same each time.

    The state dictionary is only loaded for models of ``transformers``, which does so itself; a
    classifier of torchvision takes its number of classes from it.
    """
    kind, _, name = spec.partition(":")
    if kind == "timm":
        module = seeded(lambda: timm_models.make(name, pretrained=published))
        plain = name.rpartition("/")[2]
        return LoadedModel(module, plain, UNKNOWN, timm_models.preprocessing(module))
    if kind == "hf":
        read: list[Preprocessing] = []

        def make() -> nn.Module:
            module, preprocessing = hf_models.load(name, published, state)
            read.append(preprocessing)
            return module

        return LoadedModel(seeded(make), Path(name).name, UNKNOWN, read[0])
    if kind == "hub":
        return LoadedModel(
            seeded(lambda: _from_hub(spec, published)), name, UNKNOWN, Preprocessing()
        )
    if name and is_factory(spec):
        return _from_factory(factory_of(spec), spec)
    plain = spec.removeprefix("torchvision:")
    if plain not in torchvision_models.names():
        added = MODELS.added()
        if spec in added:
            factory = MODELS.get(spec)
            assert not isinstance(factory, CatalogEntry)
            return _from_factory(factory, spec)
        bare = sorted({entry.name for entry in ENTRIES.values()})
        names = [*ENTRIES, *bare, *added, *torchvision_models.names()]
        raise InputError(
            f"no model is named {spec!r}{did_you_mean(plain, names)} (in the catalog: "
            f"{', '.join([*bare, *added])}; also torchvision:NAME, timm:NAME, hf:OWNER/NAME, "
            "hub:OWNER/REPO:ENTRY and package.module:factory)"
        )
    preprocessings: list[Preprocessing] = []

    def make_torchvision() -> nn.Module:
        module, preprocessing = torchvision_models.load(plain, published, state)
        preprocessings.append(preprocessing)
        return module

    return LoadedModel(seeded(make_torchvision), plain, "imagenet", preprocessings[0])


def _entry(spec: str) -> CatalogEntry | None:
    if ":" in spec:
        return None
    named = ENTRIES.get(spec.replace("/", "-"))
    return named or next((entry for entry in ENTRIES.values() if entry.name == spec), None)


def _from_entry(entry: CatalogEntry, weights: str) -> LoadedModel:
    if weights == "random":
        state = None
    elif weights == "published":
        state = published_state(entry)
    else:
        state = _state_for(entry, weights)
    module = seeded(lambda: entry.make(state))
    if state is not None:
        fit(module, state, entry.source if weights == "published" else weights)
    return LoadedModel(
        module,
        entry.name,
        entry.dataset,
        entry.preprocessing,
        entry.layers,
        entry.layouts,
        entry.latents(module) if entry.latents else None,
        "after" if entry.original else "before",
        "original" if entry.original else "bilinear",
        units=entry.units,
    )


def _state_for(entry: CatalogEntry, weights: str) -> State:
    """Return the weights in a file: published ones, or ones under the network's own names."""
    path, label = split_part(weights)
    checkpoint, source_name = read_checkpoint(path), f"file {path}"

    def state_of(network: nn.Module) -> State:
        return chosen_state(
            checkpoint,
            network.state_dict(),
            source_name,
            label,
            lambda state: converted(entry, state),
        )

    state = state_of(seeded(lambda: entry.make(None)))
    # Some networks take their sizes, and with them their names, from the weights.
    sized = seeded(lambda: entry.make(state))
    return state_of(sized) if misfit(sized.state_dict(), state) else state


def _with_file(loaded: LoadedModel, spec: str, weights: str) -> LoadedModel:
    """Return a network with the weights of a file; ``loaded`` has random ones."""
    path, label = split_part(weights)
    source_name = f"file {path}"
    state = chosen_state(read_checkpoint(path), loaded.module.state_dict(), source_name, label)
    kind, colon, _ = spec.partition(":")
    if kind == "hf":
        return seeded_model(spec, False, state)  # transformers renames and loads them itself
    if kind == "torchvision" or not colon:
        loaded = seeded_model(spec, False, state)  # with the number of classes in the file
    fit(loaded.module, state, weights)
    return loaded


def _from_hub(spec: str, published: bool) -> nn.Module:
    repository, _, entry = spec.removeprefix("hub:").rpartition(":")
    if repository.count("/") != 1 or repository.count(":") > 1 or not entry:
        raise InputError(f"model {spec!r}; write it as hub:OWNER/REPO:ENTRY")
    try:
        # By naming the repository, the user gives the consent that torch.hub would ask for.
        module = torch.hub.load(repository, entry, pretrained=published, trust_repo=True)
    except Exception as error:  # the repository's code may raise anything
        raise InputError(f"model {spec!r} cannot be loaded: {raised(error)}") from error
    if not isinstance(module, nn.Module):
        raise InputError(f"model {spec!r} gives a {type(module).__name__}, not a torch.nn.Module")
    return module


def _from_factory(factory: Callable[[], Any], spec: str) -> LoadedModel:
    given: list[object] = []

    def make() -> nn.Module:
        value = call_factory(factory, spec)
        given.append(value)
        module = value.module if isinstance(value, LoadedModel) else value
        if not isinstance(module, nn.Module):
            raise InputError(
                f"model {spec!r} gives a {type(module).__name__}, not a torch.nn.Module or a "
                "milannotations.catalog.models.LoadedModel with one"
            )
        return module

    module = seeded(make)
    if isinstance(given[0], LoadedModel):
        return given[0]
    return LoadedModel(module, spec.rpartition(":")[2], UNKNOWN, Preprocessing())

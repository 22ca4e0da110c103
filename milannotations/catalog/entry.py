"""The entries of the catalog, and how an entry becomes a network."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from milannotations.catalog.original import ORIGINAL_MODELS
from milannotations.catalog.weights import reason, unwrapped
from milannotations.errors import InputError
from milannotations.hook_points.layout import Layout
from milannotations.inputs.generators import LatentSpace
from milannotations.inputs.preprocessing import Preprocessing

State = Mapping[str, Tensor]
SEED = 0  # of random weights, so that two runs build the same exemplars
_IMAGENET = 1000  # classes
_weights_seed: ContextVar[int] = ContextVar("weights_seed", default=SEED)


@dataclass(frozen=True)
class CatalogEntry:
    """A model of the catalog.

    Attributes:
        name: Architecture, as records name it.
        dataset: The data its published weights were trained on.
        make: Constructs the network without its weights. Its argument is the state dictionary that
            will be loaded, from which some networks take their sizes; None for random weights.
        layers: The layers that are dissected by default.
        source: Where the published weights are, for people.
        fetch: Downloads the weights; None if they have to be downloaded by hand.
        convert: Converts the published state dictionary to that of the network.
        preprocessing: How an image becomes the network's input.
        layouts: Layouts by layer pattern, where they cannot be detected.
        latents: The latents that a generator takes.
        units: Which units of ``layers`` were published; None for all. See ``UnitSelection``.
    """

    name: str
    dataset: str
    make: Callable[[State | None], nn.Module]
    layers: tuple[str, ...]
    source: str
    fetch: Callable[[], State] | None = None
    convert: Callable[[State], State] = dict
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    latents: Callable[[nn.Module], LatentSpace] | None = None
    units: str | None = None

    @property
    def config(self) -> str:
        """Name and dataset, such as ``resnet18-imagenet``."""
        return f"{self.name}-{self.dataset}"

    @property
    def original(self) -> bool:
        """Whether the code of the MILAN paper lists this model.

        By default its exemplars are then built as that code builds them.
        """
        return self.config in ORIGINAL_MODELS


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Construct a network whose random weights are the same each time, per ``weights_seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_weights_seed.get())
        return make()


@contextmanager
def weights_seed(seed: int) -> Iterator[None]:
    """Draw random weights from another seed than ``SEED`` in the ``with`` block."""
    token = _weights_seed.set(seed)
    try:
        yield
    finally:
        _weights_seed.reset(token)


def from_url(url: str) -> Callable[[], State]:
    """Return a function that downloads a state dictionary and checks the hash in its name."""

    def fetch() -> State:
        named = re.search(r"-[0-9a-f]{8,}\.", url) is not None
        state: State = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=named, weights_only=True
        )
        return state

    return fetch


def torchvision_entry(
    name: str,
    layers: tuple[str, ...],
    *,
    weights: str = "IMAGENET1K_V1",
    arrange: Callable[[nn.Module], nn.Module] | None = None,
    convert: Callable[[State], State] = dict,
) -> CatalogEntry:
    """Return the entry of a classifier of torchvision, trained on ImageNet.

    Args:
        name: Torchvision's name.
        layers: See ``CatalogEntry``.
        weights: Which of torchvision's weights; the MILAN paper used the first version.
        arrange: Reorders or renames the modules.
        convert: Renames the keys accordingly.
    """
    published = torchvision.models.get_model_weights(name)[weights]

    def make(state: State | None) -> nn.Module:
        return torchvision_network(name, state, arrange)

    def fetch() -> State:
        state: State = published.get_state_dict(
            progress=True, map_location="cpu", check_hash=True, weights_only=True
        )
        return state

    return CatalogEntry(
        name, "imagenet", make, layers, f"torchvision, {weights}", fetch, convert,
        torchvision_preprocessing(published),
    )  # fmt: skip


def torchvision_network(
    name: str,
    state: State | None = None,
    arrange: Callable[[nn.Module], nn.Module] | None = None,
) -> nn.Module:
    """Construct a classifier of torchvision with as many classes as its weights have.

    Args:
        name: Torchvision's name.
        state: The weights, under the names of the arranged network; None for 1000 classes.
        arrange: See ``torchvision_entry``.
    """
    arrange = arrange or _as_it_is
    if state is not None:
        with torch.device("meta"):  # only shapes, which takes no time
            usual = arrange(torchvision.models.get_model(name, weights=None)).state_dict()
        # The head has a row for each of ImageNet's classes (an auxiliary head comes before it).
        heads = [key for key, value in usual.items() if value.shape[:1] == (_IMAGENET,)]
        last = state.get(heads[-1]) if heads else None
        if last is not None and last.ndim and len(last) not in (0, _IMAGENET):
            return arrange(torchvision.models.get_model(name, weights=None, num_classes=len(last)))
    return arrange(torchvision.models.get_model(name, weights=None))


def _as_it_is(module: nn.Module) -> nn.Module:
    return module


def torchvision_preprocessing(weights: torchvision.models.WeightsEnum) -> Preprocessing:
    """Return the preprocessing that torchvision's weights were evaluated with."""
    preset = weights.transforms()
    return Preprocessing(
        size=preset.crop_size[0],
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def blurred_entry(name: str, layers: tuple[str, ...], drive: str) -> CatalogEntry:
    """Return the entry of a torchvision classifier trained on ImageNet with blurred faces.

    The weights are those of Yang et al., "A Study of Face Obfuscation in ImageNet" (ICML 2022,
    arXiv 2103.06191), which are on Google Drive.

    Args:
        name: Torchvision's name.
        layers: See ``CatalogEntry``.
        drive: Identifier of the file.
    """

    def make(state: State | None) -> nn.Module:
        return torchvision_network(name, state)

    return CatalogEntry(
        name, "imagenet-blurred", make, layers, f"https://drive.google.com/uc?id={drive}"
    )


def converted(entry: CatalogEntry, state: State) -> State:
    """Convert weights to the network's own names; those of another network may stay unchanged."""
    try:
        return entry.convert(state)
    except (KeyError, IndexError, ValueError, RuntimeError):
        return state


def published_state(entry: CatalogEntry) -> State:
    """Download an entry's published weights.

    Raises:
        InputError: If they have to be downloaded by hand, or the download fails.
    """
    if entry.fetch is None:
        raise InputError(
            f"the weights of {entry.config} have to be downloaded by hand from {entry.source}: do "
            "so and pass --weights FILE, or --weights random"
        )
    try:
        return converted(entry, unwrapped(entry.fetch(), entry.source))
    except (OSError, URLError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(
            f"the published weights of {entry.config} cannot be downloaded ({entry.source}): "
            f"{reason(error)}; pass --weights FILE, or --weights random"
        ) from error

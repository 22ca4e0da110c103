"""The annotated models of MILANNOTATIONS, and the groups that experiments use.

Names: a *config* is ``<model>-<dataset>`` (``alexnet-imagenet``); a slash may stand for the hyphen.
A *group* is a set of configs: ``base``, ``cls``, ``not-biggan-imagenet`` and so on, as in the
original code. Unit numbers are those of the MILAN paper, table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from milannotations.errors import InputError, did_you_mean

# The host on which the authors published the data; see the README of the original code.
HOST = "http://milan.csail.mit.edu/data"


@dataclass(frozen=True)
class SourceImages:
    """The images that a release's ``ids.csv`` counts, in the order of torchvision's ImageFolder.

    Attributes:
        title: The dataset that the user needs.
        images: Number of images.
        folders: Number of class folders.
        per_folder: Number of images in each folder, if they are all the same.
    """

    title: str
    images: int
    folders: int
    per_folder: int


SOURCES = {
    "imagenet": SourceImages("the validation set of ImageNet (ILSVRC 2012)", 50_000, 1000, 50),
    "places365": SourceImages("the validation set of Places365 (standard)", 36_500, 365, 100),
}


@dataclass(frozen=True)
class Release:
    """What the authors published for one annotated model.

    Attributes:
        model: Architecture.
        dataset: Data it was trained on.
        units: Annotated units (MILAN paper, table 1).
        layers: Layers as the release names its folders, with the number of units if the published
            sources give it.
        has_images: Whether the published zip contains the exemplars' images.
        source: Key of ``SOURCES`` for the images that ``ids.csv`` counts; None for generators,
            whose images come from latents.
    """

    model: str
    dataset: str
    units: int
    layers: dict[str, int]
    has_images: bool
    source: str | None

    @property
    def name(self) -> str:
        """Name of the config."""
        return f"{self.model}-{self.dataset}"

    @property
    def url(self) -> str:
        """Where the authors published the zip."""
        return f"{HOST}/{self.name}.zip"


_ALEXNET = {"conv1": 64, "conv2": 192, "conv3": 384, "conv4": 256, "conv5": 256}
# The Places365 network is the wider AlexNet of Krizhevsky's first paper.
_ALEXNET_PLACES = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256}
_RESNET = {"conv1": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}
_RESNET_PLACES = dict(zip(("0", "4", "5", "6", "7"), _RESNET.values(), strict=True))
_BIGGAN_LAYERS = [f"layer{index}" for index in range(6)]
_BIGGAN = dict(zip(_BIGGAN_LAYERS, (1536, 768, 768, 384, 192, 96), strict=True))
_BIGGAN_PLACES = dict(zip(_BIGGAN_LAYERS, (2048, 1024, 1024, 512, 256, 128), strict=True))
_DINO = {f"blocks.{index}.mlp.fc1": 100 for index in range(12)}

RELEASES = {
    release.name: release
    for release in (
        Release("alexnet", "imagenet", 1152, _ALEXNET, False, "imagenet"),
        Release("alexnet", "places365", 1376, _ALEXNET_PLACES, True, "places365"),
        Release("resnet152", "imagenet", 3904, _RESNET, False, "imagenet"),
        Release("resnet152", "places365", 3904, _RESNET_PLACES, True, "places365"),
        Release("biggan", "imagenet", 3744, _BIGGAN, True, None),
        Release("biggan", "places365", 4992, _BIGGAN_PLACES, True, None),
        Release("dino_vits8", "imagenet", 1200, _DINO, False, "imagenet"),
    )
}

_BASE = tuple(name for name, release in RELEASES.items() if release.model != "dino_vits8")
GROUPS: dict[str, tuple[str, ...]] = {
    "base": _BASE,
    "cls": tuple(name for name in _BASE if RELEASES[name].model != "biggan"),
    "gen": tuple(name for name in _BASE if RELEASES[name].model == "biggan"),
    **{
        group: tuple(
            name for name in _BASE if group in (RELEASES[name].dataset, RELEASES[name].model)
        )
        for group in ("imagenet", "places365", "alexnet", "resnet152", "biggan")
    },
    **{f"not-{left_out}": tuple(n for n in _BASE if n != left_out) for left_out in _BASE},
}


# A config's annotations without exemplars, imported from its annotations.csv alone.
TEXT_ONLY = "-annotations"


def canonical(name: str) -> str:
    """Return a name in the spelling of configs and groups, with hyphens for slashes.

    >>> canonical("alexnet/imagenet")
    'alexnet-imagenet'
    """
    return name.replace("/", "-")


def is_known(name: str) -> bool:
    """Return whether a name is that of a config or a group."""
    spelled = canonical(name)
    return spelled in GROUPS or spelled.removesuffix(TEXT_ONLY) in RELEASES


def members(name: str) -> tuple[str, ...]:
    """Return the configs that a config or group consists of.

    >>> members("gen")
    ('biggan-imagenet', 'biggan-places365')

    Raises:
        InputError: If there is no such name; similar names are suggested.
    """
    spelled = canonical(name)
    if spelled.removesuffix(TEXT_ONLY) in RELEASES:
        return (spelled,)
    if spelled in GROUPS:
        return GROUPS[spelled]
    hint = did_you_mean(spelled, [*RELEASES, *GROUPS])
    raise InputError(
        f"no config or group is named {name!r}{hint} (configs: {', '.join(RELEASES)}; groups: "
        f"{', '.join(GROUPS)})"
    )

"""What ``milannotations build``, ``merge`` and ``layers`` do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BeforeValidator, Field

from milannotations.command_options import Config, Only, WrittenAs
from milannotations.exemplars.options import BuildOptions
from milannotations.inputs.options import InputOptions
from milannotations.rules import InPlace, MaskRule, checked_in_place, checked_mask_rule
from milannotations.shared_options import DeviceConfig, Names
from milannotations.units import UNITS_HELP

Masks = Annotated[
    MaskRule | None,
    BeforeValidator(lambda rule: None if rule is None else checked_mask_rule(rule)),
    WrittenAs(str | None),
]
ReadInPlace = Annotated[
    InPlace | None,
    BeforeValidator(lambda rule: None if rule is None else checked_in_place(rule)),
    WrittenAs(str | None),
]
DEFAULT_WEIGHTS = "published"


class BuildNetworkConfig(Config):
    """The network whose units are dissected, and how records name it.

    Attributes:
        model: A model of the catalog (docs/models.md), torchvision:NAME, timm:NAME, hf:OWNER/NAME,
            hub:OWNER/REPO:ENTRY (runs that repository's code), or package.module:factory.
        weights: published, random, or a .safetensors, .pt or .pth file.
        name: What the records call the network; default its own name.
        dataset: What the network was trained on, for the records.
    """

    model: str
    weights: str = DEFAULT_WEIGHTS
    name: str | None = None
    dataset: str | None = None
    inputs: InputOptions = InputOptions()


class LatentsConfig(Config):
    """The latents that a generator is run on.

    Attributes:
        latents: For generators: how many latents to draw, or a file of them: .npy, .npz, or a
            folder of .pth files such as the original's biggan-zs-*.
        seed: Seed of the latents.
        truncation: Latents beyond this value are drawn again; default none.
    """

    latents: str | None = None
    seed: int = 0
    truncation: float | None = None


class EngineConfig(Config):
    """What runs the pass over the images.

    Attributes:
        shard: Run one part of the images, such as 3/16, to be merged later.
        engine: What runs the pass.
        workers: For --engine ray: how many workers.
        ray_address: For --engine ray: address of a running cluster, or auto.
    """

    shard: str | None = None
    engine: Literal["serial", "ray", "torchrun"] = "serial"
    workers: int = 1
    ray_address: str | None = None


class BuildConfig(DeviceConfig):
    """A network, images, and the dataset folder to write from them.

    Attributes:
        out: Dataset folder to write; with --shard, the folder of the shards.
        images: Folder of images, searched recursively, or hf:DATASET[:SPLIT].
        layers: Names or patterns, such as 'layer1,blocks.*.mlp.act'; repeatable; NAME@in is a
            layer's input, NAME@heads=6 has one unit per attention head, NAME@sae the latents of
            --sae; `milannotations layers` lists them; default: the catalog's choice.
        export_latents: For generators: .npz file to write the latents to, which --latents reads.
        sae: LAYER=PATH[?activation=…]: an autoencoder on top of a layer; repeatable.
        layout: PATTERN=KIND[:HEIGHTxWIDTH[:PREFIX]] where a layer's layout cannot be detected;
            KIND is spatial, channels_last, tokens or vector; repeatable.
        masks: bilinear, or original: as the code of the MILAN paper makes them; default: original
            for the models of that paper, else bilinear.
        in_place: Whether outputs that a later module changes in place (as AlexNet's ReLUs do) are
            read before or after that; default: after, as in the original code, for the models of
            the MILAN paper, else before.
        overwrite: Replace the output folder.
        resume: Resume unfinished work, or discard it.
    """

    network: BuildNetworkConfig
    out: Path
    images: str | None = None
    layers: Names = ()
    units: Annotated[
        str | None,
        Field(
            description=f"Units of every layer: {UNITS_HELP}; default all, or of a catalog entry's "
            "own layers those that were published (0:100 for dino_vits8)."
        ),
    ] = None
    latents: LatentsConfig = LatentsConfig()
    export_latents: Path | None = None
    sae: tuple[str, ...] = ()
    layout: tuple[str, ...] = ()
    options: Annotated[
        BuildOptions,
        Only(
            "k", "quantile", "size", "batch_size", "readers", "dtype", "channels_last", "compile",
            "image_format", "skip_unreadable", "checkpoint_seconds",
        ),
    ] = BuildOptions()  # fmt: skip
    masks: Masks = None
    in_place: ReadInPlace = None
    overwrite: bool = False
    resume: bool = True
    engine: EngineConfig = EngineConfig()


class MergeConfig(Config):
    """The shards of a build, and the dataset folder to write from them.

    Attributes:
        shards: Folder of shards that `milannotations build --shard` wrote.
        out: Dataset folder to write.
        images: The images of the shards, as given to `milannotations build`.
        model: The generator of the shards, as given to `milannotations build`.
        weights: The generator's weights, as given to `milannotations build`.
        latents: The generator's file of latents, as given to `milannotations build`.
        masks: bilinear or original; default: what the shards were built with.
        overwrite: Replace the output folder.
    """

    shards: Annotated[Path, typer.Argument()]
    out: Path
    images: str | None = None
    model: str | None = None
    weights: str = DEFAULT_WEIGHTS
    latents: str | None = None
    options: Annotated[BuildOptions, Only("size", "image_format")] = BuildOptions()
    masks: Masks = None
    overwrite: bool = False


class LayersConfig(DeviceConfig):
    """The network whose layers are listed.

    Attributes:
        model: A model, as --model of `milannotations build` names it.
        layers: Names or patterns, such as 'blocks.0.*'; repeatable; default all.
        weights: published, random, or a .safetensors, .pt or .pth file; layers are the same with
            random ones, which need no download.
    """

    model: Annotated[str, typer.Argument()]
    layers: Names = ()
    weights: str = "random"
    inputs: InputOptions = InputOptions()

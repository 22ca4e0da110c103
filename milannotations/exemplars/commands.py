"""``milannotations build``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from milannotations.device import DEVICE_HELP
from milannotations.exemplars.inputs import Channels, InputSize, Mean, Resize, Std
from milannotations.record import DEFAULT_K, DEFAULT_QUANTILE, DEFAULT_SIZE
from milannotations.units import UNITS_HELP

if TYPE_CHECKING:
    from milannotations.catalog.models import LoadedModel
    from milannotations.exemplars.build import BuildReport, Engine
    from milannotations.exemplars.generators import Latents
    from milannotations.exemplars.layout import Layout
    from milannotations.exemplars.sources import ImageFolder, PictureSource

app = typer.Typer(add_completion=False)


class EngineName(str, Enum):
    """What runs the pass."""

    serial = "serial"
    ray = "ray"
    torchrun = "torchrun"


@app.command()
def build(
    model: Annotated[
        str,
        typer.Option(
            help="a model of the catalog (docs/models.md), torchvision:NAME, timm:NAME, "
            "hf:OWNER/NAME, hub:OWNER/REPO:ENTRY (runs that repository's code), or "
            "package.module:factory"
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="dataset folder to write; with --shard, folder of the shards")
    ],
    images: Annotated[
        str | None,
        typer.Option(help="folder of images, searched recursively, or hf:DATASET[:SPLIT]"),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            help="names or patterns, as 'layer1,blocks.*.mlp.act'; repeatable; NAME@in is a "
            "layer's input, NAME@heads=6 one unit per attention head, NAME@sae the latents of "
            "--sae; `milannotations layers` lists them; default: the catalog's choice"
        ),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(
            help=f"of every layer: {UNITS_HELP}; default all, or of a catalog entry's own layers "
            "those that were published (0:100 for dino_vits8)"
        ),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="published, random, or a .safetensors, .pt or .pth file")
    ] = "published",
    name: Annotated[
        str | None, typer.Option(help="what the records call the network; default its own name")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="what the network was trained on, for the records")
    ] = None,
    input_size: InputSize = None,
    resize: Resize = None,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    latents: Annotated[
        str | None,
        typer.Option(
            help="for generators: how many latents to draw, or a file of them: .npy, .npz, or a "
            "folder of .pth as the original's biggan-zs-*"
        ),
    ] = None,
    export_latents: Annotated[
        Path | None,
        typer.Option(help="for generators: .npz to write the latents to, which --latents reads"),
    ] = None,
    seed: Annotated[int, typer.Option(help="of the latents")] = 0,
    truncation: Annotated[
        float | None, typer.Option(help="latents beyond it are drawn again; default none")
    ] = None,
    sae: Annotated[
        list[str] | None,
        typer.Option(
            help="LAYER=PATH[?activation=…]: an autoencoder on top of a layer; repeatable"
        ),
    ] = None,
    layout: Annotated[
        list[str] | None,
        typer.Option(
            help="PATTERN=KIND[:HEIGHTxWIDTH[:PREFIX]] where a layer's layout cannot be told; "
            "KIND is spatial, channels_last, tokens or vector; repeatable"
        ),
    ] = None,
    k: Annotated[int, typer.Option(help="exemplars per unit")] = DEFAULT_K,
    quantile: Annotated[
        float, typer.Option(help="activation quantile that is the threshold")
    ] = DEFAULT_QUANTILE,
    size: Annotated[int, typer.Option(help="side of exemplars and masks")] = DEFAULT_SIZE,
    batch_size: Annotated[int, typer.Option(help="images per forward pass")] = 32,
    readers: Annotated[int, typer.Option(help="processes that read images")] = 0,
    dtype: Annotated[
        str, typer.Option(help="what the network computes in: float32, bf16 or fp16")
    ] = "float32",
    channels_last: Annotated[
        bool, typer.Option(help="lay images out channels last: faster on some processors")
    ] = False,
    compile_: Annotated[
        bool, typer.Option("--compile", help="compile the network; pays on long runs only")
    ] = False,
    image_format: Annotated[str, typer.Option(help="jpeg, png or webp (lossless)")] = "jpeg",
    masks: Annotated[
        str | None,
        typer.Option(
            help="bilinear, or original: as the code of the MILAN paper makes them; default: "
            "original for the models of that paper, else bilinear"
        ),
    ] = None,
    in_place: Annotated[
        str | None,
        typer.Option(
            help="whether outputs that a later module changes in place (as AlexNet's ReLUs do) are "
            "read before or after that; default: after, as in the original code, for the models "
            "of the MILAN paper, else before"
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option(help="leave unreadable images out, and report them")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="replace the output folder")] = False,
    resume: Annotated[
        bool, typer.Option(help="go on with unfinished work, or throw it away")
    ] = True,
    checkpoint_every: Annotated[
        float, typer.Option(help="seconds of work that an interruption may cost")
    ] = 60.0,
    shard: Annotated[
        str | None, typer.Option(help="as 3/16: run one part of the images, to be merged later")
    ] = None,
    engine: Annotated[EngineName, typer.Option(help="what runs the pass")] = EngineName.serial,
    workers: Annotated[int, typer.Option(help="for --engine ray: how many")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="for --engine ray: of a running cluster, or auto")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Find the images that activate each unit most, and where, as a dataset folder."""
    from dataclasses import replace

    from milannotations.catalog.models import load_model
    from milannotations.device import resolve_device
    from milannotations.errors import InputError
    from milannotations.exemplars.autoencoder import load_autoencoder
    from milannotations.exemplars.build import build as run
    from milannotations.exemplars.build import build_shard, build_with_torchrun, serial
    from milannotations.exemplars.inputs import InputOptions
    from milannotations.exemplars.latents import write_latents
    from milannotations.exemplars.options import BuildOptions, checked_in_place, checked_mask_rule
    from milannotations.exemplars.ray_engine import ray_engine
    from milannotations.exemplars.request import BuildRequest
    from milannotations.exemplars.shards import parse_shard
    from milannotations.networks.consent import give_consent
    from milannotations.options import split_names
    from milannotations.pictures import utf8
    from milannotations.storage import check_file, check_folder, check_target

    options = BuildOptions(
        k, quantile, size, batch_size, readers, image_format, skip_unreadable, dtype,
        channels_last, compile_, checkpoint_every,
        masks=checked_mask_rule(masks or "bilinear"),
        in_place=checked_in_place(in_place or "before"),
        units=units,
    )  # fmt: skip
    part = parse_shard(shard) if shard else None
    if part and engine is not EngineName.serial:
        raise InputError(f"--shard is one process's part; leave out --engine {engine.value}")
    layouts = dict(_parse_layout(text) for text in layout or ())
    attached = {}
    for text in sae or ():
        layer, equals, path = text.partition("=")
        if not equals:
            raise InputError(f"--sae {text!r}; write it as LAYER=PATH")
        attached[layer] = load_autoencoder(Path(path))
    chosen: Engine | None = serial if engine is EngineName.serial else None
    if engine is EngineName.ray:
        chosen = ray_engine(workers, ray_address)
    processor = resolve_device(device)
    if part:
        check_folder(out)
    else:
        check_target(out, overwrite)
    pictures = None
    if images is not None:  # looked at before a large model is loaded
        pictures = open_images(images, size)
        options.check(len(pictures))
        _refuse_unreadable(pictures.check(), len(pictures), skip_unreadable)
    inputs = InputOptions.parse(input_size, resize, channels, mean, std)
    loaded = load_model(model, weights, dataset, name=name, inputs=inputs)
    give_consent(loaded.spec)
    options = replace(
        options,
        masks=loaded.masks if masks is None else options.masks,
        in_place=loaded.in_place if in_place is None else options.in_place,
        units=loaded.units if units is None and not (layers or sae) else units,
    )
    source: ImageFolder | PictureSource | Latents
    if pictures is None:
        source = latents_of(loaded, latents, seed, truncation, size)
        if export_latents is not None:
            check_file(export_latents, overwrite)
            write_latents(source, export_latents)
    elif latents is not None or export_latents is not None:
        raise InputError("give --images or --latents, not both")
    else:
        pictures.preprocessing = loaded.preprocessing
        source = pictures
    names = split_names(layers)
    # An autoencoder is named in order to be dissected.
    latent = [f"{layer}@sae" for layer in attached]
    names = names or latent or [*loaded.layers]
    names += [name for name in latent if name not in names]
    if not names:
        raise InputError(f"no layers are known for {model!r}; name them with --layers")
    request = BuildRequest(
        module=loaded.module,
        source=source,
        layers=names,
        out=out,
        model=loaded.name,
        dataset=loaded.dataset,
        options=options,
        device=processor,
        overwrite=overwrite,
        resume=resume,
        layouts={**loaded.layouts, **layouts},
        autoencoders=attached,
        # A path need not be UTF-8; what is written has to be.
        provenance={"model": model, "weights": weights, "source": utf8(images or "latents")},
    )
    report: BuildReport | None
    if part:
        report = build_shard(request, part)
    elif chosen is None:
        report = build_with_torchrun(request)
    else:
        report = run(request, engine=chosen)
    if report:
        say_report(report, k)


def open_images(where: str, size: int) -> ImageFolder | PictureSource:
    """Open a folder of images, or ``hf:DATASET[:SPLIT]``.

    Raises:
        InputError: If there is no such folder or data set, or no image in it.
    """
    from milannotations.attach.sources import HubSource
    from milannotations.exemplars.sources import ImageFolder, PictureSource

    if not where.startswith("hf:"):
        return ImageFolder(Path(where), size=size)
    name, _, split = where.removeprefix("hf:").partition(":")
    return PictureSource(HubSource(name, split or "train"), size=size)


def say_report(report: BuildReport, k: int) -> None:
    """Print what a build has done."""
    from milannotations.terminal import Console

    console = Console(markup=False, highlight=False, soft_wrap=True)
    for line in report.unreadable:
        console.print(f"left out: {line}")
    units = sum(shape[0] for shape in report.layers.values())
    console.print(
        f"{units} units of {len(report.layers)} layers, {k} exemplars each of "
        f"{report.images} images ({len(report.unreadable)} left out): {report.folder}"
    )
    warning = report.warning()
    if warning:
        console.print(f"warning: {warning}")


def _refuse_unreadable(unreadable: list[str], images: int, skip: bool) -> None:
    from milannotations.errors import InputError

    if unreadable and not skip:
        raise InputError(
            f"{len(unreadable)} of {images} images cannot be read; the first: {unreadable[0]} "
            "(pass --skip-unreadable to leave such images out)"
        )


def latents_of(
    loaded: LoadedModel, latents: str | None, seed: int, truncation: float | None, size: int
) -> Latents:
    """Return the latents that ``--latents`` names: a number of them to draw, or a file.

    Raises:
        InputError: If the network takes images, nothing is named, or the file cannot be used.
    """
    from milannotations.errors import InputError
    from milannotations.exemplars.generators import Latents
    from milannotations.exemplars.latents import FORMS, read_latents
    from milannotations.numerals import count_of

    if loaded.latents is None:
        raise InputError(f"{loaded.name} takes images: name them with --images")
    if not latents:
        raise InputError(
            f"{loaded.name} is a generator: say with --latents how many to draw, or name {FORMS}"
        )
    generator = loaded.module.eval()
    if (count := count_of(latents)) is not None:
        return Latents(generator, loaded.latents, count, seed, truncation, size)
    if truncation is not None:
        raise InputError(f"--truncation is for latents that are drawn; {latents} has them")
    return read_latents(Path(latents), generator, loaded.latents, seed, size)


def _parse_layout(text: str) -> tuple[str, Layout]:
    import re

    from milannotations.errors import InputError
    from milannotations.exemplars.layout import KINDS, Layout

    match = re.fullmatch(
        rf"(.+)=({'|'.join(KINDS)})(?::([0-9]{{1,9}})x([0-9]{{1,9}})(?::([0-9]{{1,9}})"
        r"(?::([a-z]+(?:=[0-9x.]+)?))?)?)?",
        text,
    )
    if not match:
        raise InputError(
            f"--layout {text!r}; write it as PATTERN=KIND[:HEIGHTxWIDTH[:PREFIX[:ORDER]]], as "
            f"'blocks.*=tokens:14x14:1' (kinds: {', '.join(KINDS)}; orders: rows, columns, "
            "windows=7x7, strides=2x2.2x2)"
        )
    kind: Any
    pattern, kind, height, width, prefix, order = match.groups()
    grid = (int(height), int(width)) if height else None
    return pattern, Layout(kind, grid, int(prefix or 0), order or "rows")

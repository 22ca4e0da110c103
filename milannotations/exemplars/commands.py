"""``milannotations build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.device import DEVICE_HELP
from milannotations.record import DEFAULT_K, DEFAULT_QUANTILE, DEFAULT_SIZE

app = typer.Typer(add_completion=False)


@app.command()
def build(
    model: Annotated[
        str,
        typer.Option(
            help="efficientnet_lite0, a torchvision classifier, or package.module:factory"
        ),
    ],
    images: Annotated[Path, typer.Option(help="folder of images, searched recursively")],
    layers: Annotated[str, typer.Option(help="names or patterns, as 'layer1,layer4*'")],
    out: Annotated[Path, typer.Option(help="dataset folder to write")],
    weights: Annotated[
        str, typer.Option(help="published, random, or a .safetensors, .pt or .pth file")
    ] = "published",
    dataset: Annotated[
        str | None, typer.Option(help="what the network was trained on, for the records")
    ] = None,
    k: Annotated[int, typer.Option(help="exemplars per unit")] = DEFAULT_K,
    quantile: Annotated[
        float, typer.Option(help="activation quantile that is the threshold")
    ] = DEFAULT_QUANTILE,
    size: Annotated[int, typer.Option(help="side of exemplars and masks")] = DEFAULT_SIZE,
    batch_size: Annotated[int, typer.Option(help="images per forward pass")] = 32,
    workers: Annotated[int, typer.Option(help="processes that read images")] = 0,
    image_format: Annotated[str, typer.Option(help="jpeg, png or webp (lossless)")] = "jpeg",
    skip_unreadable: Annotated[
        bool, typer.Option(help="leave unreadable images out, and report them")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="replace the output folder")] = False,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Find the images that activate each unit most, and where, as a dataset folder."""
    from rich.console import Console

    from milannotations.catalog.models import load_model
    from milannotations.device import resolve_device
    from milannotations.errors import InputError
    from milannotations.exemplars.build import BuildOptions
    from milannotations.exemplars.build import build as run
    from milannotations.exemplars.sources import ImageFolder

    console = Console()
    source = ImageFolder(images, size=size)
    options = BuildOptions(k, quantile, size, batch_size, workers, image_format, skip_unreadable)
    options.check(len(source))
    unreadable = source.check()
    if unreadable and not skip_unreadable:
        raise InputError(
            f"{len(unreadable)} of {len(source)} images cannot be read, first {unreadable[0]} "
            "(pass --skip-unreadable to leave such images out)"
        )
    processor = resolve_device(device)
    loaded = load_model(model, weights, dataset)
    source.preprocessing = loaded.preprocessing
    report = run(
        loaded.module,
        source,
        [part.strip() for part in layers.split(",") if part.strip()],
        out,
        model=loaded.name,
        dataset=loaded.dataset,
        options=options,
        device=processor,
        overwrite=overwrite,
        provenance={"model": model, "weights": weights, "source": str(images)},
    )
    for line in report.unreadable:
        console.print(f"left out: {line}", markup=False, highlight=False)
    units = sum(shape[0] for shape in report.layers.values())
    console.print(
        f"{units} units of {len(report.layers)} layers, {options.k} exemplars each of "
        f"{report.images} images ({len(report.unreadable)} left out): {report.folder}",
        markup=False,
        highlight=False,
    )

"""``milannotations experiment spurious-text``, ``spurious-color``, ``trials`` and others."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from milannotations.device import DEVICE_HELP


class CueName(str, Enum):
    """Which spurious cue a network is trained with."""

    text = "text"
    color = "color"


class What(str, Enum):
    """Which application is tried."""

    edit = "edit"
    analyze = "analyze"
    audit = "audit"


def spurious_text(
    images: Annotated[
        Path,
        typer.Argument(
            help="folder of images, a subfolder per class; or of train, validation, "
            "test with such subfolders"
        ),
    ],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    fraction: Annotated[
        float, typer.Option(help="share of training images with their class's name")
    ] = 0.5,
    names: Annotated[
        Path | None, typer.Option(help="JSON or CSV of what is written for each class")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="side that images are resized and cropped to")
    ] = None,
    height: Annotated[float, typer.Option(help="of the letters, as a share of the image's")] = 0.13,
    image_format: Annotated[str, typer.Option(help="png or jpg")] = "png",
    seed: Annotated[int, typer.Option(min=0, help="of splits, texts and places")] = 0,
    overwrite: Annotated[bool, typer.Option(help="replace the folder")] = False,
) -> None:
    """Write images whose training part shows class names, and whose adversarial tests lie."""
    from applications.spurious_data.text_cue import write_spurious_text
    from milannotations.terminal import Console

    folder = write_spurious_text(
        images,
        out,
        fraction=fraction,
        names=names,
        size=size,
        height=height,
        image_format=image_format,
        seed=seed,
        overwrite=overwrite,
    )
    Console().print(f"Images with spurious text: {folder}", markup=False, highlight=False)


def spurious_color(
    images: Annotated[
        Path,
        typer.Argument(
            help="folder of images, a subfolder per class; or of train, validation, "
            "test with such subfolders"
        ),
    ],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    fraction: Annotated[
        float, typer.Option(help="share of training images with their class's colour")
    ] = 0.5,
    style: Annotated[str, typer.Option(help="border, tint or square")] = "border",
    amount: Annotated[
        float | None,
        typer.Option(
            help="width of the border or side of the square, as a share of the image's shorter "
            "side; strength of the tint; default 0.08, 0.25, 0.35"
        ),
    ] = None,
    colors: Annotated[
        Path | None, typer.Option(help="JSON or CSV of each class's colour; default by their order")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="side that images are resized and cropped to")
    ] = None,
    image_format: Annotated[str, typer.Option(help="png or jpg")] = "png",
    seed: Annotated[int, typer.Option(min=0, help="of splits, colours and places")] = 0,
    overwrite: Annotated[bool, typer.Option(help="replace the folder")] = False,
) -> None:
    """Write images whose training part has a colour per class, and whose adversarial tests lie."""
    from applications.spurious_data.color_cue import write_spurious_color
    from milannotations.terminal import Console

    folder = write_spurious_color(
        images,
        out,
        fraction=fraction,
        style=style,
        amount=amount,
        colors=colors,
        size=size,
        image_format=image_format,
        seed=seed,
        overwrite=overwrite,
    )
    Console().print(f"Images with spurious colours: {folder}", markup=False, highlight=False)


def train_classifier(
    images: Annotated[Path, typer.Argument(help="training images, a subfolder per class")],
    out: Annotated[Path, typer.Argument(help="weights to write, a .safetensors file")],
    architecture: Annotated[
        str, typer.Option(help="smallnet, or a classifier of torchvision")
    ] = "smallnet",
    epochs: Annotated[int, typer.Option(min=1, help="passes over the images")] = 20,
    batch_size: Annotated[int, typer.Option(min=2, help="images per step")] = 32,
    learning_rate: Annotated[float, typer.Option(help="of AdamW, at its highest")] = 3e-3,
    seed: Annotated[int, typer.Option(min=0, help="of weights, order and shifts")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Train a classifier from random weights, to have one whose images are known."""
    from applications.classifier import train_classifier as train
    from milannotations.terminal import Console

    found = train(
        images,
        out,
        architecture=architecture,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
    )
    Console().print(
        f"{architecture}: {100 * found.train_accuracy:.1f} % of the training images right: {out}",
        markup=False,
        highlight=False,
    )


def trials(
    what: Annotated[What, typer.Argument(help="which application")],
    out: Annotated[Path, typer.Option(help="folder for trials and their summary")],
    seeds: Annotated[int, typer.Option(min=1, help="how many trials")] = 5,
    first_seed: Annotated[int, typer.Option(min=0, help="the first seed")] = 10,
    method: Annotated[str, typer.Option(help="describer: retrieval or milan")] = "retrieval",
    cue: Annotated[CueName, typer.Option(help="of edit: the spurious cue in training")] = (
        CueName.text
    ),
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Try an application on rendered images, from training on; minutes per seed on a CPU."""
    from applications.trials.trial_runs import file_name, run_trials
    from applications.trials.trial_summary import shown, write_summary
    from milannotations.device import resolve_device
    from milannotations.errors import InputError
    from milannotations.progress import silence_libraries
    from milannotations.terminal import Console

    silence_libraries()
    processor = resolve_device(device)
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    if cue is not CueName.text and what is not What.edit:
        raise InputError(f"--cue {cue.value} is of edit; {what.value} has no spurious cue")
    numbers = list(range(first_seed, first_seed + seeds))
    results = run_trials(what.value, numbers, out, method, processor, say, cue.value)
    note = f"{seeds} trials, seeds {numbers[0]} to {numbers[-1]}; described by {method}."
    if what is What.edit:
        note += f" Spurious cue: {cue.value}."
    name = file_name(what.value, cue.value)
    for row in write_summary(what.value, results, out, note, name).itertuples():
        say(f"{row.what}: {shown(row.mean, row.low, row.high, row.unit)}")
    say(f"Summary: {out / name}.md")

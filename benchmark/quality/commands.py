"""``milannotations quality``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.encoders import ENCODER_HELP
from milannotations.device import DEVICE_HELP

if TYPE_CHECKING:
    from datasets import Dataset

app = typer.Typer(add_completion=False)


@app.command()
def quality(
    data: Annotated[
        str,
        typer.Argument(help="a config, group, folder or hub repository, or a CSV of annotations"),
    ],
    split: Annotated[str | None, typer.Option(help="which, where there are several")] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for quality.json, quality.md and figures")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help=f"encoder of BERTScore and identification, which are left out without one: "
            f"{ENCODER_HELP}"
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=1000, help="bootstrap resamples")] = 1000,
    seed: Annotated[int, typer.Option(help="of the bootstrap, and of dealing annotations out")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Report the quality of annotations and exemplars, per layer, per network, and in total."""
    from benchmark.quality.figures import figures
    from benchmark.quality.measure import measure
    from benchmark.quality.report import for_terminal, to_markdown
    from milannotations.progress import silence_libraries
    from milannotations.storage import atomic_path, check_outputs
    from milannotations.terminal import Console

    silence_libraries()
    check_outputs(out)
    neurons, name = _read(data, split)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    found = measure(
        neurons, encoder=encoder, device=device, resamples=resamples, seed=seed, name=name
    )
    if out is not None:
        figures(found, out)
        with atomic_path(out / "quality.md") as path:
            path.write_text(to_markdown(found), encoding="utf-8")
        found.save(out / "quality.json")  # last: where it is, the rest is too
    console = Console()
    for table in for_terminal(found):
        console.print(table)
    if out is not None:
        console.print(f"Report: {out}", markup=False)


def _read(data: str, split: str | None) -> tuple[Dataset, str]:
    """Return the records, and what to call them: never a path of this machine."""
    from datasets import Dataset

    from milannotations.errors import InputError
    from milannotations.loading import load

    place = Path(data).expanduser()
    loaded = load(data, split, check=False)  # a CSV too; what is wrong is counted here
    if not isinstance(loaded, Dataset):
        raise InputError(f"{data} has the splits {sorted(loaded)}; choose one with --split")
    name = place.resolve().name if place.exists() else data
    return loaded, f"{name}/{split}" if split else name

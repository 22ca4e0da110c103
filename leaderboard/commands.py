"""``milannotations leaderboard``: results in, one page out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from milannotations.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

app = typer.Typer(no_args_is_help=True, help="Turn results into the leaderboard page.")


@app.callback()
def _group() -> None:
    """Keep ``render`` a command of its own: typer folds a group of one into its only command."""


@app.command()
def render(
    results: Annotated[
        Path, typer.Option(help="Folder of <method>.json and <method>.per_neuron.parquet.")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    neurons: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT=PATH",
            help="Neurons that the gallery shows for a split: a folder with a data set, or a "
            "Parquet file. Once per split.",
        ),
    ] = None,
    note: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT=TEXT",
            help="What a reader must know of a split, such as who wrote its references.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    gallery_size: Annotated[int, typer.Option(min=0, help="Neurons per split.")] = 24,
    main_metric: Annotated[str, typer.Option(help="Metric that ranks.")] = "identification",
    main_split: Annotated[
        str | None, typer.Option(help="Split that ranks; default the first with that metric.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the gallery's choice of neurons.")] = 0,
) -> None:
    """Write the leaderboard as one self-contained HTML file."""
    # Imported here: they bring in pyarrow and pandas, which `--help` must not wait for.
    from leaderboard.render import TITLE
    from leaderboard.render import render as render_page

    sources = _assignments("--neurons", neurons or [])
    page = render_page(
        results,
        {split: load_neurons(source, split) for split, source in sources.items()},
        out,
        title=title if title is not None else TITLE,
        gallery_size=gallery_size,
        split_notes=_assignments("--note", note or []),
        main_metric=main_metric,
        main_split=main_split,
        seed=seed,
    )
    typer.echo(f"wrote {page} ({page.stat().st_size / 1e6:.1f} MB)")


def load_neurons(source: str, split: str) -> Dataset:
    """Load the neurons of one split, or the only split there is, whatever its name.

    Raises:
        InputError: If there is nothing to read, or several splits but not this one.
    """
    from datasets import Dataset

    from milannotations.loading import load, load_split

    loaded = load(source)
    return loaded if isinstance(loaded, Dataset) else load_split(source, split)


def _assignments(option: str, values: list[str]) -> dict[str, str]:
    """Split ``NAME=VALUE`` texts.

    >>> _assignments("--note", ["test=written by a grammar, p = 1"])
    {'test': 'written by a grammar, p = 1'}

    Raises:
        InputError: If one has no name or no value, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in values:
        name, _, value = text.partition("=")
        if not name or not value:
            raise InputError(f"{option} {text!r}: write it as SPLIT=VALUE")
        if name in found:
            raise InputError(f"{option} names the split {name!r} twice")
        found[name] = value
    return found

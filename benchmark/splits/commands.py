"""``milannotations splits``: list them, and look for leaks."""

from __future__ import annotations

from typing import Annotated

import typer

from milannotations.errors import InputError
from milannotations.terminal import Console, FittedTable

app = typer.Typer(no_args_is_help=True, help="The splits of the paper, and what they leak.")


@app.command("list")
def list_splits(
    family: Annotated[str | None, typer.Argument(help="only this family")] = None,
) -> None:
    """List the published splits with their numbers of neurons."""
    from benchmark.splits import FAMILIES, published
    from benchmark.splits.released import released

    units = {n.name: sum(map(len, n.layers.values())) for n in released()}
    rows = []
    for one in [family] if family else FAMILIES:
        for split in published(one):
            counts = [
                sum(
                    units[s.config] if s.units is None else sum(map(len, s.units.values()))
                    for s in side
                )
                for side in (split.learn, split.describe)
            ]
            rows.append([one, split.train, split.test, *(f"{count:,}" for count in counts)])
    head = ["family", "train", "test", "neurons to learn", "neurons to describe"]
    Console().print(
        FittedTable("Published splits of MILANNOTATIONS", head, rows, words=(0, 1, 2), keys=3)
    )


@app.command()
def check(
    family: Annotated[str, typer.Argument(help="a family of splits")],
    name: Annotated[str | None, typer.Option(help="only the split of this name")] = None,
) -> None:
    """Say what each split's test neurons share with its training neurons."""
    from benchmark.splits import published
    from benchmark.splits.leakage import leakage
    from benchmark.splits.selecting import select
    from milannotations.loading import load_split

    chosen = [split for split in published(family) if name in (None, split.name)]
    if not chosen:
        names = ", ".join(split.name for split in published(family))
        raise InputError(f"{family} has no split {name!r} (splits: {names})")
    for split in chosen:
        found = leakage(select(split.learn, load_split), select(split.describe, load_split))
        typer.echo(f"{split.name}: " + "; ".join(found.lines()))


@app.command()
def categories(
    references: Annotated[str, typer.Argument(help="annotations: CSV, config, group or folder")],
    split: Annotated[str | None, typer.Option(help="split, where there are several")] = None,
) -> None:
    """Count the annotated neurons of each concept category."""
    from benchmark.splits.categories import by_category
    from benchmark.tasks import load_task

    for name, neurons in by_category(load_task(references, split).neurons).items():
        typer.echo(f"{name}: {len(neurons):,}")

"""``milannotations leaderboard``: submissions in, rows and pages out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard.hub.commands import push
from leaderboard.submission import commands as submission
from milannotations.errors import InputError
from milannotations.options import assignments

if TYPE_CHECKING:
    from datasets import Dataset

app = typer.Typer(no_args_is_help=True, help="Submit, score, verify, compare and show.")


for _command in (
    submission.init,
    submission.validate,
    submission.score,
    submission.verify,
    submission.compare,
    submission.review,
    submission.rows,
    push,
):
    app.command(_command.__name__)(_command)


@app.command()
def render(
    results: Annotated[
        Path | None,
        typer.Option(help="folder of <method>.json and <method>.per_neuron.parquet"),
    ] = None,
    out: Annotated[Path, typer.Option(help="folder to write")] = Path("site"),
    board: Annotated[
        str | None,
        typer.Option(
            help="demo, milannotations, or a folder with board.yaml: gives the neurons, notes, "
            "title and main column, and its own rows unless --results is given"
        ),
    ] = None,
    neurons: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT=PATH",
            help="neurons whose exemplars and references are shown for a split: a folder with a "
            "data set, or a Parquet file; once per split",
        ),
    ] = None,
    note: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT=TEXT",
            help="what a reader must know of a split, such as who wrote its references",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="heading of the pages")] = None,
    gallery_size: Annotated[
        int, typer.Option(min=0, help="neurons on the first page, shared among splits")
    ] = 48,
    pictures: Annotated[
        int, typer.Option(min=0, help="neurons whose exemplars are drawn, shared among splits")
    ] = 300,
    main_metric: Annotated[
        str | None, typer.Option(help="metric that ranks; default the board's, or identification")
    ] = None,
    main_split: Annotated[
        str | None, typer.Option(help="split that ranks; default the first with that metric")
    ] = None,
    seed: Annotated[int, typer.Option(help="of the choice of neurons")] = 0,
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out",
            help="write the site without results that disagree with their tables or cannot be "
            "read, and name them on its first page; otherwise such a result stops the command",
        ),
    ] = False,
) -> None:
    """Write the leaderboard as a static site: a folder of pages for any web server, or a disk."""
    # Imported here: they bring in pyarrow and pandas, which `--help` must not wait for.
    from leaderboard.board_building import MAIN_METRIC
    from leaderboard.definition import read_board
    from leaderboard.render import TITLE
    from leaderboard.render import render as render_site
    from leaderboard.results_folder import splits_in

    if results is None and board is None:
        raise InputError("pass --results FOLDER, --board NAME, or both")
    asked = read_board(board) if board is not None else None
    rows = results if results is not None else asked.results if asked is not None else Path()
    sources = assignments("--neurons", neurons or [])
    data = {split: load_neurons(source, split) for split, source in sources.items()}
    notes = assignments("--note", note or [])
    if asked is not None:
        present = splits_in(rows, usable_only=leave_out)
        for split in asked.splits:
            if split.name in present:
                data.setdefault(split.name, asked.neurons(split.name))
                if split.note:
                    notes.setdefault(split.name, split.note)
        title = title if title is not None else asked.title
        main_metric = main_metric or asked.main_metric
        main_split = main_split or asked.ranking_split(present)
    page = render_site(
        rows,
        data,
        out,
        title=title if title is not None else TITLE,
        gallery_size=gallery_size,
        pictures=pictures,
        split_notes=notes,
        main_metric=main_metric or MAIN_METRIC,
        main_split=main_split,
        seed=seed,
        leave_out=leave_out,
    )
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    typer.echo(f"wrote {page} ({size / 1e6:.1f} MB in all)")


def load_neurons(source: str, split: str) -> Dataset:
    """Load the neurons of one split, or the only split there is, whatever its name.

    Raises:
        InputError: If there is nothing to read, or several splits but not this one.
    """
    from datasets import Dataset

    from milannotations.loading import load, load_split

    loaded = load(source)
    return loaded if isinstance(loaded, Dataset) else load_split(source, split)

"""``milannotations leaderboard``: its subcommands, and those that make rows and the site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard.hub.commands import push
from leaderboard.own_methods import SCENES, TRAIN
from leaderboard.submission import commands as submission
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.options import assignments
from milannotations.progress import silence_libraries
from milannotations.storage import check_folder
from milannotations.terminal import Console

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
    push,
):
    app.command(_command.__name__)(_command)


@app.command()
def rows(
    board: Annotated[
        str, typer.Option(help="demo, milannotations, or a folder with board.yaml")
    ] = "demo",
    out: Annotated[
        Path | None, typer.Option(help="folder for submissions and results; default the board's")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="row to make; repeatable")] = None,
    train: Annotated[
        str, typer.Option(help="training data of methods that learn: config or config/split")
    ] = TRAIN,
    concepts: Annotated[
        str, typer.Option(help="labelled images for the dissection baselines")
    ] = SCENES,
    seed: Annotated[int, typer.Option(help="seed of the methods that take one")] = 0,
    overwrite: Annotated[bool, typer.Option(help="replace existing submissions")] = False,
    device: submission.DeviceOption = "auto",
) -> None:
    """Make this project's own rows: describe with every baseline and control, then score."""
    from leaderboard.definition import read_board
    from leaderboard.own_submissions import write_own_submissions
    from leaderboard.submission.checking import check
    from leaderboard.submission.scoring import score_into

    silence_libraries()
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    processor = resolve_device(device)
    definition = read_board(board)
    folder = out or definition.folder
    check_folder(folder)
    folders, skipped = write_own_submissions(
        definition,
        folder / "submissions",
        only,
        train=train,
        concepts=concepts,
        seed=seed,
        device=device,
        overwrite=overwrite,
        notify=lambda line: say(f"Describing: {line}"),
    )
    checked = [check(path, definition) for path in folders]
    scored, _ = score_into(folder / "results", checked, definition, processor, say)
    for name, reason in skipped.items():
        say(f"Left out: {name}: {reason}")
    say(f"{len(scored)} rows: {folder / 'results'}")


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
            help="demo, milannotations, or a folder with board.yaml; provides the neurons, notes, "
            "title and main column, and its own rows unless --results is given"
        ),
    ] = None,
    neurons: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT=PATH",
            help="neurons whose exemplars and references are shown for a split: a data set folder "
            "or a Parquet file; once per split",
        ),
    ] = None,
    note: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT=TEXT",
            help="what a reader must know about a split, such as who wrote its references",
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
    seed: Annotated[int, typer.Option(help="seed of the choice of neurons")] = 0,
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out",
            help="leave out results that cannot be read or disagree with their tables, and name "
            "them on the first page; otherwise such a result stops the command",
        ),
    ] = False,
) -> None:
    """Write the leaderboard as a static site: pages that work from a web server or a disk."""
    # Imported here, as they need pyarrow and pandas, for which `--help` must not wait.
    from leaderboard.board_building import MAIN_METRIC
    from leaderboard.definition import read_board
    from leaderboard.render import TITLE
    from leaderboard.render import render as render_site
    from leaderboard.results_folder import splits_in

    if results is None and board is None:
        raise InputError("pass --results FOLDER, --board NAME, or both")
    definition = read_board(board) if board is not None else None
    folder = results
    if folder is None:
        folder = definition.results if definition is not None else Path()
    sources = assignments("--neurons", neurons or [])
    data = {split: load_neurons(source, split) for split, source in sources.items()}
    notes = assignments("--note", note or [])
    if definition is not None:
        present = splits_in(folder, usable_only=leave_out)
        for split in definition.splits:
            if split.name in present:
                data.setdefault(split.name, definition.neurons(split.name))
                if split.note:
                    notes.setdefault(split.name, split.note)
        title = title if title is not None else definition.title
        main_metric = main_metric or definition.main_metric
        main_split = main_split or definition.ranking_split(present)
    page = render_site(
        folder,
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
    """Load the neurons of a split, or of the only split if there is just one.

    Raises:
        InputError: If the source cannot be read, or has several splits but not this one.
    """
    from datasets import Dataset

    from milannotations.loading import load, load_split

    loaded = load(source)
    return loaded if isinstance(loaded, Dataset) else load_split(source, split)

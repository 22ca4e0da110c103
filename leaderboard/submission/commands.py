"""``milannotations leaderboard init|validate|score|verify|compare|review``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from milannotations.device import DEVICE_HELP, resolve_device
from milannotations.errors import InputError
from milannotations.progress import silence_libraries
from milannotations.terminal import Console

if TYPE_CHECKING:
    from leaderboard.definition import BoardDefinition

BOARD_HELP = "board: demo, milannotations, or a folder with board.yaml; default the submission's"

BoardOption = Annotated[str | None, typer.Option(help=BOARD_HELP)]
SubmissionArgument = Annotated[
    Path, typer.Argument(metavar="SUBMISSION", help="folder or zip of a submission")
]
DeviceOption = Annotated[str, typer.Option(help=DEVICE_HELP)]


def init(
    method: Annotated[str, typer.Argument(help="short name of your method")],
    board: Annotated[
        str, typer.Option(help="demo, milannotations, or a folder with board.yaml")
    ] = "demo",
    split: Annotated[
        list[str] | None, typer.Option(help="split to describe; repeatable; default all")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder to write; default submissions/METHOD")
    ] = None,
) -> None:
    """Write an empty submission: every field, and every neuron with a blank description."""
    from leaderboard.definition import own_boards, read_board
    from leaderboard.submission.template import write_template

    target = out or Path("submissions") / method
    definition = read_board(board)
    neurons = write_template(method, definition, target, split)
    typer.echo(f"{target}: {neurons:,} neurons to describe")
    if definition.frozen:
        typer.echo(f"{definition.label} takes submissions until {definition.frozen}, 00:00 UTC")
    typer.echo(f"Fill in the column description of {target / 'descriptions.csv'} and the fields of")
    # A submission's board is found by name only if it is one of the project's own.
    named = "" if board in own_boards() else f" --board {board}"
    typer.echo(
        f"{target / 'submission.yaml'}; then: milannotations leaderboard validate {target}{named}"
    )


def validate(
    submission: SubmissionArgument,
    board: BoardOption = None,
    all_problems: Annotated[
        bool, typer.Option("--all", help="list every problem, not a few of each kind")
    ] = False,
) -> None:
    """Check a submission and list everything wrong with it, by line; status 1 if anything is."""
    from leaderboard.submission.checking import check

    definition = board_of(submission, board)
    checked = check(submission, definition)
    if definition.is_frozen():
        typer.echo(f"note: {definition.label} is frozen since {definition.frozen}", err=True)
    if checked.problems:
        for line in checked.problems.lines(100 if all_problems else 5):
            typer.echo(line)
        typer.echo(f"{checked.problems.total:,} problems", err=True)
        raise typer.Exit(1)
    for line in checked.summary():
        typer.echo(line)
    typer.echo(f"valid: {submission}")


def score(
    submission: Annotated[
        list[Path], typer.Argument(metavar="SUBMISSION...", help="folders or zips of submissions")
    ],
    board: BoardOption = None,
    out: Annotated[Path, typer.Option(help="folder for results")] = Path("results"),
    sanity: Annotated[
        bool, typer.Option(help="also check, once per split, which metrics can be fooled")
    ] = True,
    device: DeviceOption = "auto",
) -> None:
    """Score submissions: write each result as JSON, and the scores of its neurons as Parquet."""
    from benchmark.score_tables import terminal_table
    from leaderboard.submission.checking import check
    from leaderboard.submission.scoring import score_into

    silence_libraries()
    definition = board_of(submission[0], board)
    checked = [check(path, definition) for path in submission]
    for submitted in checked:
        if submitted.problems:
            raise InputError(f"{submitted.path}: " + _cannot_score(submitted.problems.lines()))
    processor = resolve_device(device)
    console = Console(stderr=True)
    with console.status("Loading encoders") as status:
        scored, tasks = score_into(out, checked, definition, processor, status.update, sanity)
    results = [own.result for own in scored.values()]
    for task in tasks:
        if len(task.positions) > 1:
            Console().print(terminal_table(results, task.name, f"{definition.label}, {task.name}"))
    for submitted in checked:
        for split, reason in submitted.refused.items():
            typer.echo(f"refused: {split}: {reason}")
    for name in scored:
        typer.echo(f"wrote {out / f'{name}.json'} and {name}.per_neuron.parquet")


def verify(
    result: Annotated[Path, typer.Argument(help="JSON of a row, with its table beside it")],
    submission: Annotated[
        Path | None,
        typer.Argument(
            help="its submission, a folder or zip; default the one in the board's folder"
        ),
    ] = None,
    board: BoardOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Compute a row again from its submission; status 1 on any difference."""
    from benchmark.result import read_result
    from leaderboard.definition import read_board
    from leaderboard.submission.checking import check
    from leaderboard.submission.verifying import differences

    silence_libraries()
    if not result.is_file():
        raise InputError(f"{result} does not exist; name the JSON of a row")
    recorded = read_result(result)
    label = board or recorded.board.partition("@")[0]
    if not label:
        raise InputError(f"{result} does not say which board it is of; pass --board")
    definition = read_board(label)
    source = submission or definition.submissions / recorded.method.name
    checked = check(source, definition)
    if checked.problems:
        raise InputError(f"{source}: " + _cannot_score(checked.problems.lines()))
    with Console(stderr=True).status("Loading encoders") as status:
        differing, remarks = differences(
            result, checked, definition, resolve_device(device), lambda line: status.update(line)
        )
    for line in remarks:
        typer.echo(f"note: {line}")
    for line in differing:
        typer.echo(f"differs: {line}")
    if differing:
        typer.echo(f"{result}: {len(differing)} differences from {source}", err=True)
        raise typer.Exit(1)
    typer.echo(f"verified: {result} is what {source} scores on {definition.label}")


def compare(
    first: Annotated[Path, typer.Argument(help="JSON of a row")],
    second: Annotated[Path, typer.Argument(help="JSON of another")],
    split: Annotated[
        str | None, typer.Option(help="split; default the first that both were scored on")
    ] = None,
    metric: Annotated[str, typer.Option(help="metric")] = "identification",
    neurons: Annotated[int, typer.Option(min=0, help="how many neurons to list each way")] = 5,
    out: Annotated[Path | None, typer.Option(help="CSV file for every neuron's difference")] = None,
) -> None:
    """Compare two rows: the paired test, and the neurons on which they differ most."""
    from leaderboard.method_comparison import compare as run
    from leaderboard.method_comparison import comparison_lines, write_csv
    from leaderboard.results_folder import load_result

    one_result, other_result = load_result(first), load_result(second)
    shared = [
        name
        for name, scored in one_result.result.splits.items()
        if metric in scored.scores
        and name in other_result.result.splits
        and metric in other_result.result.splits[name].scores
    ]
    if split is None and not shared:
        raise InputError(f"{first} and {second} have no split on which both have {metric}")
    comparison = run(one_result, other_result, split or shared[0], metric)
    if out is not None:
        write_csv(comparison, out)
    for line in comparison_lines(comparison, one_result.method, other_result.method, neurons):
        typer.echo(line)
    if out is not None:
        typer.echo(f"wrote {out}")


def review(
    checkout: Annotated[Path, typer.Argument(help="git checkout of a change")],
    base: Annotated[str, typer.Option(help="the commit that it is based on")] = "origin/main",
    out: Annotated[Path, typer.Option(help="folder for results and summary.md")] = Path("review"),
    device: DeviceOption = "auto",
) -> None:
    """Check and score the submissions that a change adds; status 1 if any is invalid."""
    from leaderboard.submission.review import review as run
    from leaderboard.submission.review import summary

    silence_libraries()
    with Console(stderr=True).status("Reading the change") as status:
        outcome = run(checkout, base, out, resolve_device(device), lambda line: status.update(line))
    typer.echo(summary(outcome))
    if not outcome.good:
        raise typer.Exit(1)


def board_of(submission: Path, name: str | None) -> BoardDefinition:
    """Return the named board; without a name, the one that a submission names."""
    from leaderboard.definition import DEFAULT, own_boards, read_board
    from leaderboard.strict_yaml import read_mapping
    from leaderboard.submission.package import open_package
    from leaderboard.submission.problems import Problems

    if name is not None:
        return read_board(name)
    data = open_package(submission, Problems()).metadata
    try:
        label = read_mapping(data)[0].get("board") if data is not None else None
    except InputError:
        label = None  # checking the submission reports what is wrong
    own = str(label).partition("@")[0]
    return read_board(own if own in own_boards() else DEFAULT)


def _cannot_score(lines: list[str]) -> str:
    return "\n  ".join(["it cannot be scored:", *lines])

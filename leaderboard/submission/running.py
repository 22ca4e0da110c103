"""What the commands on submissions do: begin, check, score, verify, compare and review them."""

from __future__ import annotations

from pathlib import Path

import typer

from benchmark.result import read_result
from benchmark.score_tables import terminal_table
from leaderboard import method_comparison
from leaderboard.config import (
    CompareConfig,
    InitConfig,
    ReviewConfig,
    ScoreSubmissionsConfig,
    ValidateConfig,
    VerifyConfig,
)
from leaderboard.definition import DEFAULT, BoardDefinition, own_boards, read_board
from leaderboard.results_folder import load_result
from leaderboard.strict_yaml import read_mapping
from leaderboard.submission import review as reviewing
from leaderboard.submission.checking import check
from leaderboard.submission.package import open_package
from leaderboard.submission.problems import Problems
from leaderboard.submission.scoring import score_into
from leaderboard.submission.template import write_template
from leaderboard.submission.verifying import differences
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.terminal import Console


def init(config: InitConfig) -> None:
    """Write an empty submission, and print what to fill in."""
    target = config.out or Path("submissions") / config.method
    definition = read_board(config.board)
    neurons = write_template(config.method, definition, target, config.split or None)
    typer.echo(f"{target}: {neurons:,} neurons to describe")
    if definition.frozen:
        typer.echo(f"{definition.label} takes submissions until {definition.frozen}, 00:00 UTC")
    typer.echo(f"Fill in the column description of {target / 'descriptions.csv'} and the fields of")
    # A submission's board is found by name only if it is one of the project's own.
    named = "" if config.board in own_boards() else f" --board {config.board}"
    typer.echo(
        f"{target / 'submission.yaml'}; then: milannotations leaderboard validate {target}{named}"
    )


def validate(config: ValidateConfig) -> None:
    """Check a submission and print everything wrong with it.

    Raises:
        typer.Exit: With status 1 if anything is wrong.
    """
    definition = board_of(config.submission, config.board)
    checked = check(config.submission, definition)
    if definition.is_frozen():
        typer.echo(f"note: {definition.label} is frozen since {definition.frozen}", err=True)
    if checked.problems:
        for line in checked.problems.lines(100 if config.all_problems else 5):
            typer.echo(line)
        typer.echo(f"{checked.problems.total:,} problems", err=True)
        raise typer.Exit(1)
    for line in checked.summary():
        typer.echo(line)
    typer.echo(f"valid: {config.submission}")


def score(config: ScoreSubmissionsConfig) -> None:
    """Score submissions, write the results, and print tables.

    Raises:
        InputError: If a submission is invalid.
    """
    definition = board_of(config.submissions[0], config.board)
    checked = [check(path, definition) for path in config.submissions]
    for submitted in checked:
        if submitted.problems:
            raise InputError(f"{submitted.path}: " + _cannot_score(submitted.problems.lines()))
    device = resolve_device(config.device)
    with Console(stderr=True).status("Loading encoders") as status:
        scored, tasks = score_into(
            config.out, checked, definition, device, status.update, config.sanity
        )
    results = [own.result for own in scored.values()]
    for task in tasks:
        if len(task.positions) > 1:
            Console().print(terminal_table(results, task.name, f"{definition.label}, {task.name}"))
    for submitted in checked:
        for split, reason in submitted.refused.items():
            typer.echo(f"refused: {split}: {reason}")
    for name in scored:
        typer.echo(f"wrote {config.out / f'{name}.json'} and {name}.per_neuron.parquet")


def verify(config: VerifyConfig) -> None:
    """Compute a row again from its submission, and print what differs.

    Raises:
        InputError: If the row or the submission cannot be used.
        typer.Exit: With status 1 if anything differs.
    """
    result = config.result
    if not result.is_file():
        raise InputError(f"{result} does not exist; name the JSON of a row")
    recorded = read_result(result)
    label = config.board or recorded.board.partition("@")[0]
    if not label:
        raise InputError(f"{result} does not say which board it is of; pass --board")
    definition = read_board(label)
    source = config.submission or definition.submissions / recorded.method.name
    checked = check(source, definition)
    if checked.problems:
        raise InputError(f"{source}: " + _cannot_score(checked.problems.lines()))
    device = resolve_device(config.device)
    with Console(stderr=True).status("Loading encoders") as status:
        differing, remarks = differences(
            result, checked, definition, device, lambda line: status.update(line)
        )
    for line in remarks:
        typer.echo(f"note: {line}")
    for line in differing:
        typer.echo(f"differs: {line}")
    if differing:
        typer.echo(f"{result}: {len(differing)} differences from {source}", err=True)
        raise typer.Exit(1)
    typer.echo(f"verified: {result} is what {source} scores on {definition.label}")


def compare(config: CompareConfig) -> None:
    """Compare two rows and print the test, and the neurons on which they differ most.

    Raises:
        InputError: If a row cannot be used, or they share no split with that metric.
    """
    first, second = load_result(config.first), load_result(config.second)
    others = second.result.splits
    shared = [
        name
        for name, scored in first.result.splits.items()
        if config.metric in scored.scores
        and name in others
        and config.metric in others[name].scores
    ]
    if config.split is None and not shared:
        raise InputError(
            f"{config.first} and {config.second} have no split on which both have {config.metric}"
        )
    split = config.split or shared[0]
    comparison = method_comparison.compare(first, second, split, config.metric)
    if config.out is not None:
        method_comparison.write_csv(comparison, config.out)
    for line in method_comparison.comparison_lines(
        comparison, first.method, second.method, config.neurons
    ):
        typer.echo(line)
    if config.out is not None:
        typer.echo(f"wrote {config.out}")


def review(config: ReviewConfig) -> None:
    """Check and score the submissions that a change adds, and print a summary.

    Raises:
        typer.Exit: With status 1 if any is invalid.
    """
    device = resolve_device(config.device)
    with Console(stderr=True).status("Reading the change") as status:
        outcome = reviewing.review(
            config.checkout, config.base, config.out, device, lambda line: status.update(line)
        )
    typer.echo(reviewing.summary(outcome))
    if not outcome.good:
        raise typer.Exit(1)


def board_of(submission: Path, name: str | None) -> BoardDefinition:
    """Return the named board; without a name, the one that a submission names."""
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

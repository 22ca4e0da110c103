"""``milannotations demo``: describe, score and show the embedded neurons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.references import HELD_OUT, PROTOCOL_HELP, check_protocol
from milannotations.device import DEVICE_HELP, resolve_device
from milannotations.progress import silence_libraries
from milannotations.storage import check_folder
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for submissions, results and the site")] = Path(
        "demo-out"
    ),
    encoder: Annotated[
        str | None, typer.Option(help="encoder of identification and BERTScore")
    ] = None,
    protocol: Annotated[str, typer.Option(help=PROTOCOL_HELP)] = HELD_OUT,
    seed: Annotated[int, typer.Option(help="seed of controls and bootstrap")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Describe the embedded neurons with every baseline, score them and write a site."""
    from benchmark.sanity.check_results import read_reports
    from benchmark.sanity.check_tables import terminal_table as sanity_table
    from benchmark.score_tables import terminal_table
    from leaderboard.definition import read_board
    from leaderboard.own_methods import DEMO_METHODS
    from leaderboard.own_submissions import write_own_submissions
    from leaderboard.render import render
    from leaderboard.submission.checking import check
    from leaderboard.submission.scoring import score_into

    silence_libraries()
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    check_folder(out)
    processor = resolve_device(device)
    rule = check_protocol(protocol)
    board = read_board("demo").model_copy(update={"seed": seed, "protocol": rule})
    if encoder is not None:
        update = {"sentence_encoder": encoder, "bertscore_encoder": encoder}
        board = board.model_copy(update=update)
    folders, skipped = write_own_submissions(
        board,
        out / "submissions",
        DEMO_METHODS,
        seed=seed,
        device=device,
        overwrite=True,
        notify=lambda line: say(f"Describing: {line}"),
    )
    for name, reason in skipped.items():
        say(f"Left out: {name}: {reason}")
    results = out / "results"
    checked = [check(folder, board) for folder in folders]
    scored, tasks = score_into(results, checked, board, processor, say)
    page = render(
        results,
        {task.name: task.neurons for task in tasks},
        out / "site",
        title=board.title,
        split_notes=board.notes,
    )
    scored_results = [own.result for own in scored.values()]
    console.print(terminal_table(scored_results, "test", "Synthetic neurons, test split"))
    reports = read_reports(results)
    if "test" in reports:
        console.print(sanity_table(reports["test"]))
    console.print(f"Page: {page.resolve()}", markup=False, highlight=False, soft_wrap=True)

"""What the commands on boards do: make rows, render and upload boards, run the demo."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset

from benchmark.references import check_protocol
from benchmark.sanity.check_results import read_reports
from benchmark.sanity.check_tables import terminal_table as sanity_table
from benchmark.score_tables import terminal_table
from leaderboard.board_building import MAIN_METRIC
from leaderboard.config import DemoConfig, PushBoardConfig, RenderConfig, RowsConfig
from leaderboard.definition import read_board
from leaderboard.hub.push import Pushed, push
from leaderboard.own_methods import DEMO_METHODS
from leaderboard.own_submissions import write_own_submissions
from leaderboard.render import TITLE, render
from leaderboard.results_folder import splits_in
from leaderboard.submission.checking import check
from leaderboard.submission.scoring import score_into
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.loading import load, load_split
from milannotations.storage import check_folder
from milannotations.terminal import Console


def _say(line: str) -> None:
    Console().print(line, markup=False, highlight=False)


def make_rows(config: RowsConfig) -> None:
    """Describe a board's neurons with this project's methods, score them, and print how many.

    Raises:
        InputError: If there is no such board, row or dataset, or the folder cannot be written.
    """
    device = resolve_device(config.device)
    definition = read_board(config.board)
    folder = config.out or definition.folder
    check_folder(folder)
    folders, skipped = write_own_submissions(
        definition,
        folder / "submissions",
        config.only or None,
        train=config.train,
        concepts=config.concepts,
        seed=config.seed,
        device=config.device,
        overwrite=config.overwrite,
        notify=lambda line: _say(f"Describing: {line}"),
    )
    checked = [check(path, definition) for path in folders]
    scored, _ = score_into(folder / "results", checked, definition, device, _say)
    for name, reason in skipped.items():
        _say(f"Left out: {name}: {reason}")
    _say(f"{len(scored)} rows: {folder / 'results'}")


def render_board(config: RenderConfig) -> Path:
    """Write the site of a board, or of a folder of results; return its first page.

    Raises:
        InputError: If nothing is named, or the results or neurons cannot be used.
    """
    if config.results is None and config.board is None:
        raise InputError("pass --results FOLDER, --board NAME, or both")
    definition = read_board(config.board) if config.board is not None else None
    folder = config.results
    if folder is None:
        folder = definition.results if definition is not None else Path()
    neurons = {split: load_neurons(source, split) for split, source in config.neurons.items()}
    notes, title = dict(config.notes), config.title
    main_metric, main_split = config.main_metric, config.main_split
    if definition is not None:
        present = splits_in(folder, usable_only=config.leave_out)
        for split in definition.splits:
            if split.name in present:
                neurons.setdefault(split.name, definition.neurons(split.name))
                if split.note:
                    notes.setdefault(split.name, split.note)
        title = title if title is not None else definition.title
        main_metric = main_metric or definition.main_metric
        main_split = main_split or definition.ranking_split(present)
    return render(
        folder,
        neurons,
        config.out,
        title=title if title is not None else TITLE,
        gallery_size=config.gallery_size,
        pictures=config.pictures,
        split_notes=notes,
        main_metric=main_metric or MAIN_METRIC,
        main_split=main_split,
        seed=config.seed,
        leave_out=config.leave_out,
    )


def load_neurons(source: str, split: str) -> Dataset:
    """Load the neurons of a split, or of the only split if there is just one.

    Raises:
        InputError: If the source cannot be read, or has several splits but not this one.
    """
    loaded = load(source)
    return loaded if isinstance(loaded, Dataset) else load_split(source, split)


def push_board(config: PushBoardConfig) -> list[Pushed]:
    """Upload a board; return what was uploaded, one entry per repository.

    Raises:
        InputError: If nothing is named, or as ``push`` does.
    """
    if config.results is None and config.board is None:
        raise InputError("pass --results FOLDER, --board NAME, or both")
    definition = read_board(config.board) if config.board is not None else None
    folder = config.results or (definition.results if definition is not None else Path())
    return push(
        folder,
        definition=definition,
        repo_id=config.repo,
        site=config.site,
        space=config.space,
        models=config.models,
        private=config.private,
        dry_run=config.dry_run,
    )


def run_demo(config: DemoConfig) -> None:
    """Describe the embedded neurons with every baseline, score them, and write a site.

    Raises:
        InputError: If the folder cannot be written, or there is no such encoder or protocol.
    """
    check_folder(config.out)
    device = resolve_device(config.device)
    protocol = check_protocol(config.protocol)
    board = read_board("demo").model_copy(update={"seed": config.seed, "protocol": protocol})
    if config.encoder is not None:
        encoders = {"sentence_encoder": config.encoder, "bertscore_encoder": config.encoder}
        board = board.model_copy(update=encoders)
    folders, skipped = write_own_submissions(
        board,
        config.out / "submissions",
        DEMO_METHODS,
        seed=config.seed,
        device=config.device,
        overwrite=True,
        notify=lambda line: _say(f"Describing: {line}"),
    )
    for name, reason in skipped.items():
        _say(f"Left out: {name}: {reason}")
    results = config.out / "results"
    checked = [check(folder, board) for folder in folders]
    scored, tasks = score_into(results, checked, board, device, _say)
    page = render(
        results,
        {task.name: task.neurons for task in tasks},
        config.out / "site",
        title=board.title,
        split_notes=board.notes,
    )
    console = Console()
    scored_results = [own.result for own in scored.values()]
    console.print(terminal_table(scored_results, "test", "Synthetic neurons, test split"))
    reports = read_reports(results)
    if "test" in reports:
        console.print(sanity_table(reports["test"]))
    console.print(f"Page: {page.resolve()}", markup=False, highlight=False, soft_wrap=True)

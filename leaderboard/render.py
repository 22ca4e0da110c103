"""Renders a board as a site: a folder of pages that loads nothing from anywhere else.

Everything in a result was written by others; ``milannotations.page`` makes it harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.sanity.check_results import read_reports
from leaderboard.board import Board
from leaderboard.board_building import MAIN_METRIC, build_board, check_main
from leaderboard.config import GALLERY_SIZE, PICTURES
from leaderboard.downloads import write_downloads
from leaderboard.gallery import (
    build_gallery,
    check_neurons,
    choose_pictures,
    draw_pictures,
)
from leaderboard.neuron_tables import NeuronTable, neuron_tables
from leaderboard.pages import GENERATOR, INDEX, BoardPages
from leaderboard.results_folder import LoadedResult, RejectedResult, read_folder
from leaderboard.site_data import write_split
from leaderboard.view import BoardView
from milannotations.errors import InputError, did_you_mean
from milannotations.progress import note, progress_bar
from milannotations.storage import atomic_folder, check_target

if TYPE_CHECKING:
    from datasets import Dataset

TITLE = "What does a vision neuron respond to, in words?"


def render(
    results: Path,
    neurons: Mapping[str, Dataset],
    out: Path,
    *,
    title: str = TITLE,
    gallery_size: int = GALLERY_SIZE,
    pictures: int = PICTURES,
    split_notes: Mapping[str, str] | None = None,
    main_metric: str = MAIN_METRIC,
    main_split: str | None = None,
    seed: int = 0,
    leave_out: bool = False,
) -> Path:
    """Write the leaderboard as a folder of pages that works from a server and from a disk.

    Args:
        results: Folder of ``<method>.json`` and ``<method>.per_neuron.parquet``, and of
            ``sanity/<split>.json`` where metrics were checked.
        neurons: The data set of each split whose references and exemplars are shown.
        out: The folder to write; an existing site is replaced once the new one is complete.
        title: Heading of the pages.
        gallery_size: Number of neurons on the first page, divided among the splits.
        pictures: Number of neurons whose exemplars are drawn, divided among the splits.
        split_notes: What a reader must know about a split, such as who wrote its references.
        main_metric: Metric that ranks the methods.
        main_split: Split that ranks them; default the first one with that metric.
        seed: Seed of the choice of neurons.
        leave_out: Write the site without results that cannot be used or disagree with their
            tables; the first page names each, with the reason.

    Returns:
        The first page, ``out / "index.html"``. The same input gives the same bytes.

    Raises:
        InputError: If a result is invalid or disagrees with its table and is not left out, or if
            none remains; if a sanity report is invalid, a split or metric is in no result, the
            metric that ranks is known to fail the sanity checks on its split, or ``out`` holds
            something other than a site.
    """
    _check_target(out)
    loaded, rejected = _usable_results(results, leave_out)
    board = build_board(loaded, main_metric, main_split)
    reports = read_reports(results)
    check_main(board, reports)
    notes = dict(split_notes or {})
    _check_notes(board, notes)
    tables = neuron_tables(board, neurons)
    check_neurons(tables, neurons)
    with atomic_folder(out, overwrite=True) as folder:
        drawn = choose_pictures(tables, max(pictures, gallery_size), seed)
        layouts = _draw(tables, neurons, drawn, folder)
        view = BoardView(
            title,
            board,
            tables,
            layouts,
            build_gallery(board, tables, main_metric, layouts, gallery_size, seed),
            notes,
            [reports[split] for split in board.splits if split in reports],
            # Reasons name whole paths, which should not be published.
            [(r.path.name, r.reason.replace(f"{r.path.parent}/", "")) for r in rejected],
        )
        _write(view, main_metric, folder)
    return out / INDEX


def _usable_results(
    results: Path, leave_out: bool
) -> tuple[list[LoadedResult], list[RejectedResult]]:
    loaded, rejected = read_folder(results)
    if rejected and not (leave_out and loaded):
        lines = "".join(f"\n  {result.reason}" for result in rejected)
        hint = "; --leave-out writes the site without them, and says so on its first page"
        raise InputError(
            f"{len(rejected)} of the results in {results} cannot be shown{hint * bool(loaded)}:"
            f"{lines}"
        )
    for result in rejected:
        note(f"left out: {result.reason}")
    return loaded, rejected


def _check_notes(board: Board, notes: Mapping[str, str]) -> None:
    for split in notes:
        if split not in board.splits:
            hint = did_you_mean(split, board.splits)
            raise InputError(f"a note is for split {split!r}, which is in no result{hint}")


def _draw(
    tables: Sequence[NeuronTable],
    neurons: Mapping[str, Dataset],
    drawn: Mapping[int, Sequence[int]],
    folder: Path,
) -> dict[int, dict[int, dict[str, Any]]]:
    with progress_bar() as progress:
        task = progress.add_task("Drawing neurons", total=sum(map(len, drawn.values())))

        def advance(count: int) -> None:
            progress.advance(task, count)

        return {
            table.number: draw_pictures(
                table, neurons[table.name], drawn[table.number], folder, advance
            )
            for table in tables
            if drawn[table.number]
        }


def _write(view: BoardView, main_metric: str, folder: Path) -> None:
    with progress_bar() as progress:
        total = len(view.tables) + len(view.board.rows) + 1
        task = progress.add_task("Writing pages", total=total)
        for table in view.tables:
            write_split(folder / "data", table, main_metric, view.pictures.get(table.number, {}))
            progress.advance(task)
        with_json = write_downloads(folder / "data", view.board, view.tables)
        progress.advance(task)
        site = BoardPages(view, with_json)
        (folder / "style.css").write_bytes(site.style.encode("utf-8"))
        for name, html in site.pages():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(html.encode("utf-8"))  # bytes: the hashes hold for these line ends
            if name.startswith("methods/"):
                progress.advance(task)


def is_site(folder: Path) -> bool:
    """Return whether a folder is a site that ``render`` wrote."""
    index = folder / INDEX
    if not index.is_file():
        return False
    with index.open("rb") as file:
        return f'name="generator" content="{GENERATOR}"'.encode() in file.read(4096)


def _check_target(out: Path) -> None:
    """Refuse a target that cannot be written, or holds something other than a board's site."""
    check_target(out, overwrite=True)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not is_site(out):
        raise InputError(f"{out} is not empty and no leaderboard site; choose another folder")

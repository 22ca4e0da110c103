"""Renders results as a site: a folder of pages, no request to anywhere, no script but its own.

Everything in a result was written by others; ``milannotations.page`` sees to it that it does no
harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.references import RULES, signed
from benchmark.sanity.checks import CHECKS
from benchmark.sanity.report import SanityReport, cell, read_reports
from leaderboard.board import (
    MAIN_METRIC,
    Board,
    LoadedResult,
    Refused,
    build_board,
    sort_out,
)
from leaderboard.cells import (
    BAR_WIDTH,
    as_link,
    as_number,
    best_values,
    decimals_of,
    draw_bars,
    scores_by_column,
)
from leaderboard.downloads import write_downloads
from leaderboard.gallery import (
    GALLERY_SIZE,
    Card,
    build_gallery,
    check_neurons,
    choose_pictures,
    draw_pictures,
)
from leaderboard.packing import CHUNK, write_split
from leaderboard.profiles import ALL_EXAMPLES, EXAMPLES, WIDTH, Profile, profile
from leaderboard.tables import SplitTable, split_tables
from milannotations.errors import InputError, did_you_mean
from milannotations.page import PageKit
from milannotations.progress import note, progress_bar
from milannotations.storage import atomic_folder, check_target
from milannotations.untrusted_text import MAX_TEXT, clean, clip

if TYPE_CHECKING:
    from datasets import Dataset

TITLE = "What does a vision neuron respond to, in words?"
SITE = Path(__file__).parent / "site"
INDEX = "index.html"
STYLE = "style.css"
GENERATOR = "milannotations leaderboard"
PICTURES = 300  # neurons whose exemplars are drawn, of all splits


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
        neurons: The data set of each split of which references and exemplars are shown.
        out: The folder to write; a site that is there is replaced when the new one is whole.
        title: Heading of the pages.
        gallery_size: Neurons on the first page, shared among the splits.
        pictures: Neurons whose exemplars are drawn, shared among the splits.
        split_notes: What a reader must know of a split, such as who wrote its references.
        main_metric: Metric that ranks the methods.
        main_split: Split that ranks them; default the first one with that metric.
        seed: Of the choice of neurons.
        leave_out: Write the site without results that cannot be used or disagree with their
            tables; the first page names each, with the reason.

    Returns:
        The first page, ``out / "index.html"``. The same input gives the same bytes.

    Raises:
        InputError: If a result is invalid or disagrees with its table and is not left out, or if
            none is left; if a sanity report is invalid, a split or metric is in no result,
            the metric that ranks is known to fail the sanity checks on its split, or ``out`` holds
            something that is no such site.
    """
    _check_target(out)
    loaded, refused = sort_out(results)
    if refused and not (leave_out and loaded):
        raise InputError(_cannot_stand(results, refused, bool(loaded)))
    for one in refused:
        note(f"left out: {one.reason}")
    board = build_board(loaded, main_metric, main_split)
    reports = read_reports(results)
    check_main(board, reports)
    notes = dict(split_notes or {})
    for split in notes:
        if split not in board.splits:
            hint = did_you_mean(split, board.splits)
            raise InputError(f"a note is for split {split!r}, which is in no result{hint}")
    tables = split_tables(board, loaded, neurons)
    check_neurons(tables, neurons)
    drawn = choose_pictures(tables, max(pictures, gallery_size), seed)
    with atomic_folder(out, overwrite=True) as folder, progress_bar() as progress:
        task = progress.add_task("Drawing neurons", total=sum(map(len, drawn.values())))
        sheets = {
            table.number: draw_pictures(
                table, neurons[table.name], drawn[table.number], folder,
                lambda count: progress.advance(task, count),
            )
            for table in tables
            if drawn[table.number]
        }  # fmt: skip
        task = progress.add_task("Writing pages", total=len(tables) + len(board.rows) + 1)
        for table in tables:
            write_split(folder / "data", table, main_metric, sheets.get(table.number, {}))
            progress.advance(task)
        with_json = write_downloads(folder / "data", board, loaded, tables)
        progress.advance(task)
        cards = build_gallery(board, tables, main_metric, sheets, gallery_size, seed)
        shown = [reports[split] for split in board.splits if split in reports]
        site = _Site(title, board, loaded, tables, sheets, cards, notes, shown, with_json, refused)
        (folder / STYLE).write_bytes(site.style.encode("utf-8"))
        for name, text in site.pages():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8"))  # bytes: the hashes hold for these line ends
            if name.startswith("methods/"):
                progress.advance(task)
    return out / INDEX


def _cannot_stand(results: Path, refused: Sequence[Refused], others: bool) -> str:
    lines = "".join(f"\n  {one.reason}" for one in refused)
    rest = "; --leave-out writes the site without them, and says so on its first page"
    return f"{len(refused)} of the results in {results} cannot be shown{rest * others}:{lines}"


def is_site(folder: Path) -> bool:
    """Say whether a folder is a site that ``render`` wrote."""
    index = folder / INDEX
    if not index.is_file():
        return False
    with index.open("rb") as file:
        return f'name="generator" content="{GENERATOR}"'.encode() in file.read(4096)


def _check_target(out: Path) -> None:
    """Refuse what cannot be written, and to replace what is no site of ours."""
    check_target(out, overwrite=True)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not is_site(out):
        raise InputError(f"{out} is not empty and no leaderboard site; choose another folder")


def check_main(board: Board, reports: Mapping[str, SanityReport]) -> None:
    """Refuse to rank by a metric that can be fooled.

    Raises:
        InputError: If a report on the very split and metric says so; it says what fails.
    """
    if board.main is None:
        return
    key = board.columns[board.main].key
    report = reports.get(key.split)
    if report is None or key.metric not in report.metrics:
        return
    found = report.metrics[key.metric]
    # The checks hold an annotation out; what they find of a metric holds under every protocol.
    checked = {signed(found.signature, protocol) for protocol in RULES}
    if key.signature not in checked or report.fingerprint != key.fingerprint or found.passed:
        return
    checks = ((check.name, found.checks.get(check.name)) for check in CHECKS if check.required)
    failed = [name for name, outcome in checks if outcome is None or not outcome.passed]
    good = [name for name, metric in report.metrics.items() if metric.passed]
    raise InputError(
        f"{found.title} may not rank on {key.split!r}: it fails "
        f"{', '.join(failed) if found.tells_people else 'to tell people from chance'}; choose "
        f"another main metric ({', '.join(good) or 'none of those checked passes'})"
    )


class _Site:
    """Renders the pages of one site."""

    def __init__(
        self,
        title: str,
        board: Board,
        loaded: Sequence[LoadedResult],
        tables: Sequence[SplitTable],
        sheets: Mapping[int, Mapping[int, Any]],
        cards: Sequence[Card],
        notes: Mapping[str, str],
        sanity: Sequence[SanityReport],
        with_json: bool,
        left_out: Sequence[Refused] = (),
    ) -> None:
        self._board = board
        self._loaded = loaded
        self._tables = [table for table in tables if table.keys]
        self._sheets = sheets
        self._cards = cards
        self._notes = notes
        self._sanity = sanity
        # Reasons name whole paths, which are nobody's business on a page.
        self._left_out = [
            (one.path.name, one.reason.replace(f"{one.path.parent}/", "")) for one in left_out
        ]
        self._main = board.columns[board.main] if board.main is not None else None
        self._digits = [decimals_of(scores) for scores in scores_by_column(board)]
        self._kit = PageKit(
            SITE,
            site=True,
            linked_style=True,
            generator=GENERATOR,
            filters={"link": as_link, "number": as_number, "outcome": cell},
            tests={"link": lambda text: bool(as_link(text))},
        )
        self.style = self._kit.style
        self._shared: dict[str, Any] = {
            "title": title,
            "board": board,
            "digits": self._digits,
            "tables": self._tables,
            "with_json": with_json,
        }

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield the name and text of each page, the first page last."""
        board = self._board
        by_name = {result.method.name: result.result for result in self._loaded}
        for at, row in enumerate(board.rows):
            yield (
                f"methods/{row.method.name}.html",
                self._render(
                    "method.html.j2", (), None,
                    row=row, method=row.method, result=by_name[row.method.name], main=self._main,
                    profiles=self._profiles(at), drawing=WIDTH, others=len(board.rows) > 1,
                ),
            )  # fmt: skip
        yield "neuron.html", self._render("neuron.html.j2", ("common", "neuron"), self._facts())
        yield "compare.html", self._render("compare.html.j2", ("common", "compare"), self._facts())
        trusted = any(
            report.split == self._main.key.split and self._main.key.metric in report.metrics
            for report in self._sanity
            if self._main
        )
        versions = sorted({loaded.result.board for loaded in self._loaded} - {""})
        yield (
            "rules.html",
            self._render("rules.html.j2", (), None, trusted=trusted, versions=versions),
        )
        yield INDEX, self._index()

    def _index(self) -> str:
        board = self._board
        names = list(board.splits)
        return self._render(
            "index.html.j2", ("index",), _data(board, self._cards),
            bars=draw_bars(board),
            split_of=[names.index(column.key.split) for column in board.columns],
            counts=[sorted({score.n for score in scores}) for scores in scores_by_column(board)],
            best=best_values(board),
            splits=[_split(name, self._loaded, self._notes.get(name, "")) for name in names],
            cards=self._cards,
            left_out=self._left_out,
            sanity=self._sanity,
            checks=CHECKS,
            bar_width=BAR_WIDTH,
        )  # fmt: skip

    def _profiles(self, at: int) -> list[Profile]:
        if self._main is None:
            return []
        metric = self._main.metric
        examples = min(EXAMPLES, max(2, ALL_EXAMPLES // max(1, len(self._tables))))
        found = (
            profile(t, self._main.key.metric, at, metric.chance, metric.higher_is_better, examples)
            for t in self._tables
        )
        return [one for one in found if one is not None]

    def _facts(self) -> dict[str, Any]:
        """Return what the pages that load data know from the start."""
        board, main = self._board, self._main
        return {
            "title": clean(str(self._shared["title"])),
            "chunk": CHUNK,
            "main": clean(main.key.metric) if main else None,
            "metric": clean(main.metric.title) if main else "Score",
            "higherIsBetter": main.metric.higher_is_better if main else True,
            "pictures": any(self._sheets.values()),
            "metrics": {
                clean(column.key.metric): {
                    "title": clean(column.metric.title),
                    "higherIsBetter": column.metric.higher_is_better,
                }
                for column in board.columns
            },
            "methods": [
                {
                    "name": row.method.name,
                    "title": clean(row.method.title),
                    "kind": row.method.kind,
                }
                for row in board.rows
            ],
            "splits": [
                {"number": table.number, "title": clean(table.name)} for table in self._tables
            ],
            "scored": {
                str(table.number): [
                    at
                    for at in range(len(board.rows))
                    if any(own[at] is not None for own in table.values.values())
                ]
                for table in self._tables
            },
        }

    def _render(
        self, template: str, scripts: Sequence[str], data: dict[str, Any] | None, **values: Any
    ) -> str:
        return self._kit.render(
            template,
            scripts=[f"{name}.js" for name in scripts],
            data=data,
            loads_scripts="common" in scripts,
            root="../" * (template == "method.html.j2"),
            **self._shared,
            **values,
        )


def _data(board: Board, cards: Sequence[Card]) -> dict[str, Any]:
    """Return what the script sorts and filters by, so that it need not read it off the page."""
    splits = list(dict.fromkeys(card.split for card in cards))
    return {
        "columns": [{"higherIsBetter": column.metric.higher_is_better} for column in board.columns],
        "main": board.main,
        "methods": [
            {
                "title": clean(row.method.title),
                "search": clean(" ".join((row.method.title, row.method.name, row.method.authors))),
                "kind": row.method.kind,
                "values": [None if score is None else score.value for score in row.cells],
            }
            for row in board.rows
        ],
        "scored": [
            {"split": number, "title": clean(split)}
            for number, split in enumerate(board.splits)
            if any(column.key.split == split for column in board.columns)
        ],
        "splits": [clean(split) for split in splits],
        "neurons": [
            {
                "split": splits.index(card.split),
                "layer": clean(f"{card.key.model} · {card.key.layer}"),
                "search": clean(
                    " ".join(
                        clip(text)
                        for text in (
                            str(card.key),
                            *card.references,
                            *(line.text for line in card.said),
                        )
                    ),
                    limit=10 * MAX_TEXT,
                ),
            }
            for card in cards
        ],
    }


def _split(name: str, loaded: Sequence[LoadedResult], note: str) -> dict[str, Any]:
    """Gather what the results say of a split; they may differ, so each fact is a list."""
    found = [result.result.splits[name] for result in loaded if name in result.result.splits]
    return {
        "name": name,
        "note": note,
        "neurons": sorted({split.neurons for split in found}),
        "scored": sorted({split.scored for split in found}),
        "references": sorted({split.references for split in found if split.references}),
        "fingerprints": sorted({split.fingerprint for split in found}),
    }

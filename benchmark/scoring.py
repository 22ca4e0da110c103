"""Scores files of descriptions against a file of annotations, and writes the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.config import ScoreConfig
from benchmark.harness import Scored
from benchmark.metrics.registry import USUAL, MetricSettings, check_names, make_metrics
from benchmark.references import HELD_OUT, check_protocol
from benchmark.sanity.check_results import SanityReport
from benchmark.sanity.check_tables import markdown_table as sanity_markdown
from benchmark.sanity.check_tables import terminal_table as sanity_table
from benchmark.sanity.suite import check_metrics
from benchmark.score_files import differences, lines, score_files
from benchmark.score_tables import markdown_table, terminal_table
from milannotations.device import resolve_device
from milannotations.storage import atomic_path, check_outputs
from milannotations.terminal import Console
from milannotations.untrusted_text import as_markdown

_CONSTANTS = ("objects", "depictions", "animals and objects")


@dataclass(frozen=True)
class FileScores:
    """The scores of files of descriptions.

    Attributes:
        scored: Scores of methods, people and controls, by name.
        split: Name of the annotation file.
        comparisons: One row for each pair of methods.
        remarks: The comparisons as sentences.
        sanity: Results of the sanity checks of the metrics; None if they were not run.
    """

    scored: dict[str, Scored]
    split: str
    comparisons: pd.DataFrame
    remarks: Sequence[str]
    sanity: SanityReport | None


def score(config: ScoreConfig) -> None:
    """Score description files, write the results, and print a table.

    Raises:
        InputError: If a file cannot be used, or there is no such metric, encoder or protocol.
    """
    check_outputs(config.out, config.markdown)
    scores = _scores(config)
    if config.out is not None:
        _save(scores, config.out)
    if config.markdown is not None:
        with atomic_path(config.markdown) as path:
            path.write_text(_markdown(scores), encoding="utf-8")
    results = [scored.result for scored in scores.scored.values()]
    title = f"Scores against {config.references.name}"
    Console().print(terminal_table(results, scores.split, title))
    for line in scores.remarks:
        Console().print(line, highlight=False, markup=False)
    if scores.sanity is not None:
        Console().print(sanity_table(scores.sanity))
    elif config.sanity:
        Console(stderr=True).print(
            "The sanity checks and the human row need an annotation held out; they are left out "
            f"under the protocol {config.references_protocol.protocol}.",
            highlight=False,
        )
    if config.out is not None:
        Console().print(f"Results: {config.out}", highlight=False, markup=False)


def _scores(config: ScoreConfig) -> FileScores:
    protocol = check_protocol(config.references_protocol.protocol)
    names = check_names(config.metrics or USUAL, protocol)
    settings = MetricSettings.of(config.encoders, resolve_device(config.device))
    resamples, seed = config.resamples, config.seed
    with Console(stderr=True).status("Reading files") as status:
        scored, metrics, task = score_files(
            config.references,
            config.descriptions,
            lambda: make_metrics(names, settings),
            constants=config.constants or _CONSTANTS,
            only_described=config.only_described,
            resamples=resamples,
            seed=seed,
            notify=lambda line: status.update(line),
            stratify=config.stratify,
            protocol=protocol,
        )
        report = None
        if config.sanity and protocol == HELD_OUT:
            report = check_metrics(
                task, metrics, resamples, seed, lambda line: status.update(f"Sanity: {line}")
            )
        status.update("Comparing")
        compared = differences(scored, metrics[0], task.name, resamples, seed)
    return FileScores(scored, task.name, compared, lines(compared, scored, metrics[0]), report)


def _save(scores: FileScores, out: Path) -> None:
    for scored in scores.scored.values():
        scored.save(out)
    if scores.sanity is not None:
        scores.sanity.save(out)
    folder = out / "comparisons"
    folder.mkdir(exist_ok=True)
    with atomic_path(folder / f"{scores.split}.csv") as path:
        scores.comparisons.to_csv(path, index=False)


def _markdown(scores: FileScores) -> str:
    results = [scored.result for scored in scores.scored.values()]
    remarks = "\n".join(f"- {as_markdown(line)}" for line in scores.remarks)
    text = f"{markdown_table(results, scores.split)}\n{remarks}"
    if scores.sanity is not None:
        text += "\n\n" + sanity_markdown(scores.sanity)
    return text.rstrip() + "\n"

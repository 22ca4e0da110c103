"""``milannotations score``: any method's file against any annotation file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.encoders import DEFAULT_BERTSCORE_ENCODER, DEFAULT_SENTENCE_ENCODER, ENCODER_HELP
from milannotations.device import DEVICE_HELP

app = typer.Typer(add_completion=False)

_CONSTANTS = ("objects", "depictions", "animals and objects")


@app.command()
def score(
    references: Annotated[Path, typer.Option(help="CSV with layer, unit, summary")],
    descriptions: Annotated[
        list[Path], typer.Option(help="CSV with layer, unit, description; may be repeated")
    ],
    out: Annotated[Path | None, typer.Option(help="folder for results as JSON and Parquet")] = None,
    markdown: Annotated[Path | None, typer.Option(help="file for the table as Markdown")] = None,
    encoder: Annotated[
        str | None, typer.Option(help=f"one encoder for both metrics below: {ENCODER_HELP}")
    ] = None,
    bertscore_encoder: Annotated[
        str, typer.Option(help="encoder of BERTScore")
    ] = DEFAULT_BERTSCORE_ENCODER,
    sentence_encoder: Annotated[
        str, typer.Option(help="encoder of identification")
    ] = DEFAULT_SENTENCE_ENCODER,
    constant: Annotated[
        list[str] | None, typer.Option(help="constant string to score as a control; repeatable")
    ] = None,
    only_described: Annotated[
        bool, typer.Option(help="score only the neurons that all files describe")
    ] = False,
    resamples: Annotated[int, typer.Option(min=1000, help="bootstrap resamples")] = 1000,
    seed: Annotated[int, typer.Option(help="seed of the bootstrap and the shuffled control")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Score descriptions against human annotations, beside people and controls."""
    from rich.console import Console

    from benchmark.metrics.base import Metric
    from benchmark.metrics.bertscore import BertScore
    from benchmark.metrics.bleu import Bleu
    from benchmark.metrics.identification import Identification
    from benchmark.report import markdown_table, terminal_table
    from benchmark.score_files import differences, score_files
    from milannotations.device import resolve_device
    from milannotations.progress import silence_libraries
    from milannotations.storage import atomic_path

    silence_libraries()
    console = Console(stderr=True)
    processor = resolve_device(device)

    def metrics() -> list[Metric]:
        return [
            Identification(encoder or sentence_encoder, processor),
            Bleu(),
            BertScore(encoder or bertscore_encoder, processor),
        ]

    with console.status("Reading files") as status:
        scored, main = score_files(
            references,
            descriptions,
            metrics,
            constants=constant or _CONSTANTS,
            only_described=only_described,
            resamples=resamples,
            seed=seed,
            notify=lambda line: status.update(line),
        )
    results = [one.result for one in scored.values()]
    split = references.stem
    pairs = differences(scored, main, split, resamples, seed)
    Console().print(terminal_table(results, split, f"Scores against {references.name}"))
    for line in pairs:
        Console().print(line, highlight=False, markup=False)
    if out is not None:
        for one in scored.values():
            one.result.save(out, one.per_neuron)
        Console().print(f"Results: {out}", highlight=False)
    if markdown is not None:
        text = markdown_table(results, split) + "\n" + "\n".join(f"- {line}" for line in pairs)
        with atomic_path(markdown) as path:
            path.write_text(text + "\n", encoding="utf-8")

"""``milannotations sanity``: which metrics can be fooled on these annotations?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.text_encoders import (
    DEFAULT_BERTSCORE_ENCODER,
    DEFAULT_SENTENCE_ENCODER,
    ENCODER_HELP,
)
from milannotations.device import DEVICE_HELP, resolve_device
from milannotations.progress import silence_libraries
from milannotations.storage import atomic_path, check_outputs
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@app.command()
def sanity(
    references: Annotated[
        str, typer.Argument(help="CSV of annotations, a config, a group, or a dataset folder")
    ],
    split: Annotated[str | None, typer.Option(help="split, where there are several")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="metric to check, or all; repeatable; each also as NAME-corrected"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of results to write sanity/<split>.json into")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="file for the table as Markdown")] = None,
    encoder: Annotated[
        str | None, typer.Option(help=f"one encoder for both options below: {ENCODER_HELP}")
    ] = None,
    bertscore_encoder: Annotated[
        str, typer.Option(help="encoder of BERTScore")
    ] = DEFAULT_BERTSCORE_ENCODER,
    sentence_encoder: Annotated[
        str, typer.Option(help="encoder of identification and similarity")
    ] = DEFAULT_SENTENCE_ENCODER,
    resamples: Annotated[int, typer.Option(min=1000, help="bootstrap resamples")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="seed of all that is drawn")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Ask of every metric whether a constant, a list of words or worse can win it."""
    from benchmark.metrics.registry import MetricSettings, check_names, make_metrics
    from benchmark.sanity.check_tables import markdown_table, terminal_table
    from benchmark.sanity.suite import check_metrics
    from benchmark.tasks import load_task

    silence_libraries()
    check_outputs(out, markdown)
    console = Console(stderr=True)
    wanted = check_names(metric or ["all"])
    settings = MetricSettings(
        encoder or bertscore_encoder, encoder or sentence_encoder, resolve_device(device)
    )
    with console.status("Reading annotations") as status:
        task = load_task(references, split)
        status.update("Loading encoders")
        metrics = make_metrics(wanted, settings)
        report = check_metrics(task, metrics, resamples, seed, lambda line: status.update(line))
    saved = report.save(out) if out is not None else None
    if markdown is not None:
        with atomic_path(markdown) as path:
            path.write_text(markdown_table(report), encoding="utf-8")
    Console().print(terminal_table(report))
    if saved is not None:
        Console().print(f"Report: {saved}", highlight=False, markup=False, soft_wrap=True)

"""``milannotations score``: any method's file against any annotation file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.references import HELD_OUT, PROTOCOL_HELP, check_protocol
from benchmark.text_encoders import (
    DEFAULT_BERTSCORE_ENCODER,
    DEFAULT_SENTENCE_ENCODER,
    ENCODER_HELP,
)
from milannotations.device import DEVICE_HELP, resolve_device
from milannotations.progress import silence_libraries
from milannotations.storage import atomic_path, check_outputs
from milannotations.terminal import Console
from milannotations.untrusted_text import as_markdown

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
    metric: Annotated[
        list[str] | None,
        typer.Option(help="metric, the main one first, or all; repeatable; also NAME-corrected"),
    ] = None,
    protocol: Annotated[str, typer.Option(help=PROTOCOL_HELP)] = HELD_OUT,
    stratify: Annotated[
        bool, typer.Option(help="bootstrap within the layers of each model")
    ] = False,
    sanity: Annotated[
        bool, typer.Option(help="also check whether these metrics can be fooled here")
    ] = True,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Score descriptions against human annotations, beside people and controls."""
    from benchmark.metrics.registry import USUAL, MetricSettings, check_names, make_metrics
    from benchmark.sanity.check_tables import markdown_table as sanity_markdown
    from benchmark.sanity.check_tables import terminal_table as sanity_table
    from benchmark.sanity.suite import check_metrics
    from benchmark.score_files import differences, lines, score_files
    from benchmark.score_tables import markdown_table, terminal_table

    silence_libraries()
    check_outputs(out, markdown)
    console = Console(stderr=True)
    rule = check_protocol(protocol)
    wanted = check_names(metric or USUAL, rule)
    settings = MetricSettings(
        encoder or bertscore_encoder, encoder or sentence_encoder, resolve_device(device)
    )
    with console.status("Reading files") as status:
        scored, metrics, task = score_files(
            references,
            descriptions,
            lambda: make_metrics(wanted, settings),
            constants=constant or _CONSTANTS,
            only_described=only_described,
            resamples=resamples,
            seed=seed,
            notify=lambda line: status.update(line),
            stratify=stratify,
            protocol=rule,
        )
        report = None
        if sanity and rule == HELD_OUT:
            report = check_metrics(
                task, metrics, resamples, seed, lambda line: status.update(f"Sanity: {line}")
            )
        status.update("Comparing")
        compared = differences(scored, metrics[0], task.name, resamples, seed)
    results = [one.result for one in scored.values()]
    pairs = lines(compared, scored, metrics[0])
    if out is not None:
        for one in scored.values():
            one.save(out)
        if report is not None:
            report.save(out)
        compared_in = out / "comparisons"
        compared_in.mkdir(exist_ok=True)
        with atomic_path(compared_in / f"{task.name}.csv") as path:
            compared.to_csv(path, index=False)
    if markdown is not None:
        text = (
            markdown_table(results, task.name)
            + "\n"
            + "\n".join(f"- {as_markdown(line)}" for line in pairs)
        )
        if report is not None:
            text += "\n\n" + sanity_markdown(report)
        with atomic_path(markdown) as path:
            path.write_text(text.rstrip() + "\n", encoding="utf-8")
    Console().print(terminal_table(results, task.name, f"Scores against {references.name}"))
    for line in pairs:
        Console().print(line, highlight=False, markup=False)
    if report is not None:
        Console().print(sanity_table(report))
    elif sanity:
        console.print(
            "The sanity checks and the human row need an annotation held out; they are left out "
            f"under the protocol {rule}.",
            highlight=False,
        )
    if out is not None:
        Console().print(f"Results: {out}", highlight=False, markup=False)

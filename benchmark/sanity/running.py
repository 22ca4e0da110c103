"""Runs the sanity checks of metrics on annotations, and writes the report."""

from __future__ import annotations

from benchmark.metrics.registry import MetricSettings, check_names, make_metrics
from benchmark.sanity.check_tables import markdown_table, terminal_table
from benchmark.sanity.config import SanityConfig
from benchmark.sanity.suite import check_metrics
from benchmark.tasks import load_task
from milannotations.device import resolve_device
from milannotations.storage import atomic_path, check_outputs
from milannotations.terminal import Console


def check_sanity(config: SanityConfig) -> None:
    """Check metrics, write the report, and print a table.

    Raises:
        InputError: If the annotations cannot be used, or there is no such metric or encoder.
    """
    check_outputs(config.out, config.markdown)
    names = check_names(config.metrics or ["all"])
    settings = MetricSettings.of(config.encoders, resolve_device(config.device))
    with Console(stderr=True).status("Reading annotations") as status:
        task = load_task(config.references, config.split)
        status.update("Loading encoders")
        metrics = make_metrics(names, settings)
        report = check_metrics(
            task, metrics, config.resamples, config.seed, lambda line: status.update(line)
        )
    saved = report.save(config.out) if config.out is not None else None
    if config.markdown is not None:
        with atomic_path(config.markdown) as path:
            path.write_text(markdown_table(report), encoding="utf-8")
    Console().print(terminal_table(report))
    if saved is not None:
        Console().print(f"Report: {saved}", highlight=False, markup=False, soft_wrap=True)

"""Measures the quality of a dataset and writes the report."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset

from benchmark.quality.config import QualityConfig
from benchmark.quality.figures import figures
from benchmark.quality.measure import measure
from benchmark.quality.rendering import for_terminal, to_markdown
from benchmark.quality.schema import Quality
from milannotations.errors import InputError
from milannotations.loading import load
from milannotations.storage import atomic_path, check_outputs
from milannotations.terminal import Console


def report_quality(config: QualityConfig) -> Quality:
    """Measure the quality of a dataset, and write it to the folder ``config.out`` if that is given.

    Raises:
        InputError: If the dataset cannot be read or has no neurons, it has several splits and none
            is named, the encoder cannot be loaded, or the folder cannot be written.
    """
    check_outputs(config.out)
    neurons, name = _read(config.data, config.split)
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
    quality = measure(
        neurons,
        encoder=config.encoder,
        device=config.device,
        resamples=config.resamples,
        seed=config.seed,
        name=name,
    )
    if config.out is not None:
        figures(quality, config.out)
        with atomic_path(config.out / "quality.md") as path:
            path.write_text(to_markdown(quality), encoding="utf-8")
        quality.save(config.out / "quality.json")  # last: its presence marks a complete report
    return quality


def print_quality(config: QualityConfig) -> None:
    """Report the quality of a dataset, and print it."""
    quality = report_quality(config)
    console = Console()
    for table in for_terminal(quality):
        console.print(table)
    if config.out is not None:
        console.print(f"Report: {config.out}", markup=False)


def _read(data: str, split: str | None) -> tuple[Dataset, str]:
    """Return the records, and a name for them that never shows a path of this machine."""
    folder = Path(data).expanduser()
    loaded = load(data, split, check=False)  # a CSV too; faults in it are counted, not refused
    if not isinstance(loaded, Dataset):
        raise InputError(f"{data} has the splits {sorted(loaded)}; choose one with --split")
    name = folder.resolve().name if folder.exists() else data
    return loaded, f"{name}/{split}" if split else name

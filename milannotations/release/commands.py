"""``milannotations import-release``: the original release, or annotations alone, into records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from milannotations.command_options import command
from milannotations.data_home import config_folder
from milannotations.release.config import ImportReleaseConfig
from milannotations.terminal import Console

if TYPE_CHECKING:
    from milannotations.release.facts import ImportReport

app = typer.Typer(add_completion=False)


@command(app, ImportReleaseConfig, "milannotations.release.running:run_import_release")
def import_release(config: ImportReleaseConfig, report: ImportReport) -> None:
    """Convert a release into Parquet shards; run it again to continue after an interruption."""
    lines = [
        f"{report.config}: {report.neurons} neurons, layers {', '.join(report.layers)}; "
        f"{report.annotated} of them with {report.annotations} annotations; "
        f"images: {'yes' if report.images else 'no'}; fingerprint {report.fingerprint}",
        *(f"differs from what was published: {difference}" for difference in report.differences),
    ]
    if report.ignored:
        lines.append(f"not read: {', '.join(report.ignored[:5])} ({len(report.ignored)} in all)")
    if report.dropped:
        lines.append(f"left out annotations of: {', '.join(report.dropped[:5])}")
    lines.append(f"written to {config.out or config_folder(report.config)}")
    console = Console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

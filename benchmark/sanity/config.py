"""What ``milannotations sanity`` checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.config import BootstrapConfig, EncodersConfig
from milannotations.shared_options import DeviceConfig


class SanityConfig(BootstrapConfig, DeviceConfig):
    """Which metrics are checked, and on which annotations.

    Attributes:
        references: CSV of annotations, a config, a group, or a dataset folder.
        split: Split, where there are several.
        metrics: Metric to check, or all; repeatable; each also as NAME-corrected.
        out: Folder of results to write sanity/<split>.json into.
        markdown: File for the table as Markdown.
    """

    references: Annotated[str, typer.Argument()]
    split: str | None = None
    metrics: Annotated[tuple[str, ...], typer.Option("--metric")] = ()
    out: Path | None = None
    markdown: Path | None = None
    encoders: EncodersConfig = EncodersConfig()

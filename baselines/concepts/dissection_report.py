"""What the reports of Network Dissection and Compositional Explanations share."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from milannotations.json_files import read_model
from milannotations.storage import atomic_path

# Units with an IoU above it are detectors (Bau et al., CVPR 2017, section 2.2).
DETECTOR_IOU = 0.04
_MAX_REPORT = 1 << 30  # bytes
_Report = TypeVar("_Report", bound="ReportProvenance")


class ReportProvenance(BaseModel):
    """How a report was made.

    Attributes:
        layout: Version of the report's layout.
        method: ``netdissect`` or ``compexp``.
        model: Name of the network.
        concepts: Name of the labelled images.
        labels: Hash of all labels; see ``PackedConcepts.content``.
        images: How many labelled images there are.
        shape: Height and width of the label maps.
        frame: How pictures that are not square were used.
        maps: Identity of the activation maps: weights, images, layouts.
        settings: Settings of the method.
        software: Version of this package.
    """

    model_config = ConfigDict(extra="forbid")

    layout: Literal[1] = 1
    method: str
    model: str
    concepts: str
    labels: str
    images: int
    shape: tuple[int, int]
    frame: str
    maps: dict[str, Any]
    settings: dict[str, Any]
    software: str = metadata.version("milannotations")

    def shown(self) -> dict[str, str]:
        """Return the facts as a page shows them."""
        settings = {name: str(value) for name, value in self.settings.items() if value is not None}
        return {
            "network": self.model,
            "weights": str(self.maps.get("weights", "recorded activations")),
            "labelled images": f"{self.images:,} of {self.concepts}",
            "labels": self.labels,
            "label maps": f"{self.shape[0]} × {self.shape[1]}, {self.frame}",
            **settings,
            "milannotations": self.software,
        }


class LayerReport(BaseModel):
    """One layer of a report."""

    model_config = ConfigDict(extra="forbid")

    layer: str


def save_report(report: BaseModel, path: Path) -> None:
    """Write a report as JSON, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(report.model_dump_json(indent=1), encoding="utf-8")


def load_report(kind: type[_Report], path: Path) -> _Report:
    """Read a report.

    Raises:
        InputError: If it cannot be read, or is no report of that kind.
    """
    return read_model(path, kind, whole=f"report of {kind.__name__}", limit=_MAX_REPORT)


def save_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file, atomically; cells that a row lacks are empty."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def file_names(layers: Sequence[str]) -> dict[str, str]:
    """Return a distinct file name, without an extension, for each layer.

    >>> file_names(["layer4", "blocks.3@in", "a/b"])
    {'layer4': 'layer4', 'blocks.3@in': 'blocks.3@in', 'a/b': 'a-b'}
    """
    names: dict[str, str] = {}
    for layer in layers:
        plain = "".join(c if c.isalnum() or c in "._-@=" else "-" for c in layer).lstrip(".") or "-"
        while plain in names.values():
            plain += "-"
        names[layer] = plain
    return names

"""``release.json``: what an import, and any later step, records about a dataset folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from milannotations.errors import InputError
from milannotations.json_files import read_json
from milannotations.reading import is_there
from milannotations.storage import atomic_path

FACTS = "release.json"


@dataclass
class ImportReport:
    """What an import did; also kept as ``release.json`` in the folder.

    Attributes:
        config: ``<model>-<dataset>``.
        layers: Units of each layer.
        neurons: Units in all.
        annotations: Annotations in all.
        annotated: Units with at least one.
        images: Whether every record has its images.
        masks: For each layer, the type of the original masks and the value of "activated", which
            an export uses again.
        fingerprint: See ``milannotations.fingerprints``.
        differences: How it differs from what was published for this config.
        ignored: Files that do not belong to a release; they were not read.
        dropped: Annotated units that do not exist, if the user asked to leave them out.
        image_format: How images were encoded.
        geometry: How images were cut, if they were attached afterwards.
    """

    config: str
    model: str
    dataset: str
    layers: dict[str, int]
    neurons: int
    annotations: int
    annotated: int
    images: bool
    masks: dict[str, tuple[str, int]]
    fingerprint: str
    differences: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    image_format: str = ""
    geometry: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def write_facts(folder: Path, report: ImportReport) -> None:
    """Write ``release.json``."""
    with atomic_path(folder / FACTS) as path:
        path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def read_raw_facts(folder: Path) -> dict[str, Any]:
    """Read all of ``release.json``, with unknown fields; empty if there is no such file.

    Raises:
        InputError: If it is damaged.
    """
    path = folder / FACTS
    if not is_there(path):
        return {}
    facts: dict[str, Any] = read_json(path, dict, remedy="import the release again")
    return facts


def read_facts(folder: Path) -> ImportReport | None:
    """Read the ``release.json`` of a dataset folder; None if it has none.

    Raises:
        InputError: If it is damaged.
    """
    facts = read_raw_facts(folder)
    if not facts:
        return None
    try:
        fields = {name: facts[name] for name in ImportReport.__dataclass_fields__ if name in facts}
        fields["masks"] = {
            name: (kind, int(high)) for name, (kind, high) in fields["masks"].items()
        }
        return ImportReport(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{folder / FACTS} is damaged ({error}); import the release again"
        ) from error

"""What a dataset folder says of its images: in ``release.json`` and on its card."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milannotations.folder import renew_checksum
from milannotations.release.facts import FACTS
from milannotations.release.importer import WITHOUT_IMAGES
from milannotations.storage import atomic_path

if TYPE_CHECKING:
    from milannotations.attach.attach import AttachReport

CARD = "README.md"
_LINE = "Images attached from"


def write_card_and_facts(
    folder: Path, work: Path, facts: dict[str, Any], report: AttachReport
) -> None:
    """Write into a working folder what the dataset folder said, brought up to date.

    Args:
        folder: The dataset folder.
        work: Where the new files go; a file that the folder lacks is not made.
        facts: What ``read_raw_facts`` gave.
        report: What was attached.
    """
    if facts:
        facts = {
            **facts,
            "images": True,
            "image_format": report.image_format if not report.unchanged else "mixed",
            "geometry": report.geometry,
            "attached": {
                "source": report.source,
                "order": report.order,
                "images": report.images,
                "records": report.attached,
                "versions": {name: version(name) for name in ("milannotations", "pillow")},
            },
        }
        with atomic_path(work / FACTS) as path:
            path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if (folder / CARD).is_file():
        text = (folder / CARD).read_text(encoding="utf-8")
        text = text.replace(WITHOUT_IMAGES, "with the exemplars' images")
        lines = [line for line in text.splitlines() if not line.startswith(_LINE)]
        line = (
            f"{_LINE} {report.source}: {report.images} distinct ones, geometry "
            f"`{report.geometry}`, {report.image_format}."
        )
        with atomic_path(work / CARD) as path:
            path.write_text("\n".join(lines).rstrip() + f"\n\n{line}\n", encoding="utf-8")
        renew_checksum(work)

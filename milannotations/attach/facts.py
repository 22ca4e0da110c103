"""What a dataset folder records about its images, in ``release.json`` and on its card."""

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
    """Write the dataset folder's facts, brought up to date, into a working folder.

    Args:
        folder: The dataset folder.
        work: Folder for the new files; a file that the dataset folder lacks is not written.
        facts: The result of ``read_raw_facts``.
        report: The result of attaching the images.
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

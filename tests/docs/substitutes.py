"""What takes the place of things that cannot be had in a test, and what is not run at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from milannotations.release.importer import import_release
from milannotations.store import config_folder

# Commands that are not run, and why. Their options are checked all the same.
NOT_RUN = {
    r"^make ": "the targets of CI itself",
    r"^pip install": "the package is installed already",
    r"^torchrun": "starts several processes on several machines",
}

# Page (or * for all), pattern, replacement.
STAND_INS: list[tuple[str, str, str]] = [
    # What is downloaded is a release of the same layout, with 20 units.
    (
        "*",
        r"download alexnet-places365( --from-zip alexnet-places365.zip)?",
        "import-release alexnet-places365.zip",
    ),
    ("*", r"(milannotations import-release .*)", r"\1 --overwrite"),
    ("*", r"(milannotations attach-images .*)", r"\1 --allow-other-source --overwrite"),
    ("*", "USER/IMAGENET", "./imagenet"),
    ("docs/dataset.md", r"hub = .*", ""),
    ("README.md", r'"neuron.png"', 'os.devnull, format="png"'),
    # Fewer exemplars and epochs, and a smaller encoder.
    ("*", r"(milannotations build .*)", r"\1 --k 2"),
    ("*", r"(milannotations train .*)", r"\1 --hidden 16 --option epochs=1"),
    ("*", r"--encoder resnet101", "--encoder efficientnet_lite0"),
    ("*", r"--data base", "--data demo"),
    ("docs/models.md", r"(my.package:make)( --input-size)", r"\1_grey\2"),
]
BASE = [
    f"{model}-{data}"
    for model in ("alexnet", "resnet152", "biggan")
    for data in ("imagenet", "places365")
]
# Files that pages name, and what they are copies of.
COPIES = {
    "README.md": {"mine.csv": "demo.csv"},
    "docs/metrics.md": {"mine.csv": "demo.csv"},
    "docs/dataset.md": {
        "mine.csv": "release.csv",
        "milannotations_resnet152_imagenet.csv": "annotations.csv",
    },
    "docs/real-annotations.md": {
        "milannotations_resnet152_imagenet.csv": "annotations.csv",
        "milan_places365_on_resnet152_imagenet.csv": "demo.csv",
    },
    "docs/viewer.md": {"milan.csv": "network.csv", "clip.csv": "network.csv"},
}


def prepare(page: str, number: int, place: Path, names: dict[str, Any]) -> None:
    """Put in place what a page's block needs that an earlier block has not made."""
    if number == 0:
        for name, source in COPIES.get(page, {}).items():
            shutil.copy(place / source, place / name)
    if (page, number) in (("README.md", 3), ("docs/dataset.md", 0), ("docs/viewer.md", 0)):
        for config in BASE:
            if not config_folder(config).exists():
                import_release(place / "alexnet-places365", config_folder(config), config=config)

"""What takes the place of things that cannot be had in a test, and what is not run at all."""

from __future__ import annotations

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
    # What is downloaded is a release of the same layout, with 16 units and without images.
    ("*", r"download alexnet-places365(?! --)", "import-release alexnet-imagenet.zip --config alexnet-places365"),
    ("*", r"(attach-images alexnet-imagenet --source imagenet/val)", r"\1 --allow-other-source"),
    ("README.md", r'"neuron.png"', 'os.devnull, format="png"'),
    # Fewer exemplars and epochs, and a smaller encoder.
    ("*", r"(milannotations build .*)", r"\1 --k 2"),
    ("*", r"(milannotations train .*)", r"\1 --hidden 16 --option epochs=1"),
    ("*", r"--encoder resnet101", "--encoder efficientnet_lite0"),
    ("*", r"--data base", "--data demo"),
]
BASE = [f"{model}-{data}" for model in ("alexnet", "resnet152", "biggan") for data in ("imagenet", "places365")]


def prepare(page: str, number: int, place: Path, names: dict[str, Any]) -> None:
    """Put in place what a page's block needs that an earlier block has not made."""
    if (page, number) in (("README.md", 3), ("docs/dataset.md", 0)):
        for config in BASE:
            if not config_folder(config).exists():
                import_release(place / "alexnet-imagenet", config_folder(config), config=config)

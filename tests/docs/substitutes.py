"""What takes the place of things that cannot be had in a test, and what is not run at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Commands that are not run, and why. Their options are checked all the same.
NOT_RUN = {
    r"^make ": "the targets of CI itself",
    r"^pip install": "the package is installed already",
    r"^torchrun": "starts several processes on several machines",
}

# Page (or * for all), pattern, replacement.
STAND_INS: list[tuple[str, str, str]] = [
    ("*", r"download alexnet-places365(?! --)", "import-release alexnet-imagenet.zip --config alexnet-places365"),
    ("*", r"--encoder resnet101", "--encoder efficientnet_lite0"),
    ("*", r"--data base", "--data demo"),
    ("*", r"(milannotations train .*)", r"\1 --hidden 16 --option epochs=1"),
    ("README.md", r'"neuron.png"', 'os.devnull, format="png"'),
]


def prepare(page: str, number: int, place: Path, names: dict[str, Any]) -> None:
    """Put in place what a page's block needs that an earlier block has not made."""

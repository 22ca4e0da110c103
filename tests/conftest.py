"""Shared by all tests: no hub is asked, and the real annotations are found where they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first, so that no process waits long for another's last file."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Twenty noisy photographs in two subfolders, of differing sizes."""
    rng = np.random.default_rng(0)
    for index in range(20):
        folder = tmp_path / "images" / ("a" if index % 2 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (8, 10, 3)).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((300 + index, 260))
        picture.save(folder / f"{index:02d}.jpg")
    return tmp_path / "images"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real human annotations; its place is read from MILANNOTATIONS_SHARED."""
    place = os.environ.get("MILANNOTATIONS_SHARED")
    if not place or not (Path(place) / "milannotations_resnet152_imagenet.csv").is_file():
        pytest.skip("the real annotations are not here: set MILANNOTATIONS_SHARED to their folder")
    return Path(place)

"""Images for networks whose units are certain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Thirty dark images; images 3 and 7 hold a red square, 5 a green one."""
    folder = tmp_path / "squares"
    folder.mkdir()
    for index in range(30):
        pixels = np.full((64, 64, 3), 10, np.uint8)
        if index in (3, 7):
            pixels[8:24, 8:24] = (255 - index, 0, 0)
        if index == 5:
            pixels[40:56, 32:48] = (0, 255, 0)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return folder

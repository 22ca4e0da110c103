"""Debian's Chromium for tests of pages, and text that attacks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

HOSTILE = (
    "</script><script>window.hacked = 1</script>"
    "<img src=x onerror='window.hacked = 1'><svg onload='window.hacked = 1'>"
    "\"' onfocus='window.hacked = 1' autofocus x='"
)


def find_chromium() -> str:
    """Return the path of an installed Chromium or skip; in CI its absence is a failure."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    if os.environ.get("CI"):
        pytest.fail("no chromium is installed; CI must test the page in one")
    pytest.skip("no chromium is installed")


def printed(page: Any) -> list[Any]:
    """Return a page's sheets of paper as RGB arrays, as browsers print: without backgrounds.

    The test is skipped where Poppler, which draws PDFs, is not installed; in CI it fails.
    """
    if shutil.which("pdftoppm") is None:
        if os.environ.get("CI"):
            pytest.fail("pdftoppm is not installed; CI must look at printed pages")
        pytest.skip("pdftoppm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = ["pdftoppm", "-r", "36", "-png", "-", f"{folder}/sheet"]
        subprocess.run(command, input=page.pdf(), check=True)
        return [
            np.asarray(Image.open(path).convert("RGB")) for path in sorted(Path(folder).iterdir())
        ]


def colourful(sheets: list[Any]) -> float:
    """Return the share of pixels that are neither grey nor nearly so: those of pictures."""
    spread = [np.ptp(sheet.astype(int), axis=2) > 60 for sheet in sheets]
    return float(np.mean(np.concatenate([one.ravel() for one in spread])))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by playwright."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    with sync_playwright() as playwright:
        # Containers lack the user namespaces and the large /dev/shm that Chromium wants.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()

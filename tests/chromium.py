"""Debian's Chromium for tests of pages, and text that attacks them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

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

"""The page of a dissection, in a browser."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from baselines.concepts.figures import iou_by_length, unique_detectors, units_per_label
from baselines.concepts.page import UnitRow, render
from tests.chromium import HOSTILE, browser

__all__ = ["browser"]  # a fixture, found by its name

pytestmark = pytest.mark.browser


def pixel() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def written(folder: Path, units: int = 300) -> Path:
    figure = unique_detectors({"conv": {"object": 3, "part": 0}}, 0.04, folder / "detectors")[1]
    rows = [
        UnitRow(i, f"label {i % 7}", "object", i / (2 * units), [("other", 0.01)])
        for i in range(units)
    ]
    rows[4] = UnitRow(4, "with a picture", "part", 0.95, picture=pixel())
    rows[5] = UnitRow(5, HOSTILE, HOSTILE, 0.9, [(HOSTILE, 0.2)])
    rows[6] = UnitRow(6, "nothing", "", 0.0, note="dead")
    render(
        folder / "index.html", title=f"A network {HOSTILE}", method="Network Dissection",
        lead="What its units detect.", facts={"labels": HOSTILE},
        layers={"conv": rows, "fc": rows[:2]}, figures={"Detectors": figure}, bar=0.04,
    )  # fmt: skip
    return folder / "index.html"


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str], list[str]]:
    page = browser.new_page(**options)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.goto(path.as_uri())
    return page, asked, complaints


def test_units_can_be_searched_and_sorted(browser: Any, tmp_path: Path) -> None:
    page, asked, complaints = opened(browser, written(tmp_path))
    assert page.locator("#list > li").count() == 120
    page.get_by_role("button", name="Show more").click()
    assert page.locator("#list > li").count() == 240
    page.get_by_label("Search").fill("label 3")
    assert "43 of 300 units" in page.locator("#count").inner_text()
    page.get_by_label("Search").fill("17")
    assert page.locator("#list .unit").all_inner_texts() == ["unit 17 · object"]
    page.get_by_label("Search").fill("dead")
    assert page.locator("#list strong").all_inner_texts() == ["nothing"]
    page.get_by_label("Search").fill("")
    page.get_by_label("Sort by").select_option("unit")
    assert page.locator("#list .unit").first.inner_text().startswith("unit 0")
    page.get_by_label("Layer").select_option(label="fc")
    assert page.locator("#list > li").count() == 2
    assert page.locator("#list > li.low").count() == 2
    assert not complaints
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()


def test_text_of_others_does_no_harm(browser: Any, tmp_path: Path) -> None:
    page, _, complaints = opened(browser, written(tmp_path))
    strips = page.locator("#list .strip")
    assert strips.count() == 1
    assert strips.evaluate("image => image.complete && image.naturalWidth") == 1
    page.locator("#list details summary").first.click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("#list strong").nth(1).inner_text().startswith("</script>")
    assert not complaints
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_its_window(browser: Any, tmp_path: Path, width: int) -> None:
    page, _, _ = opened(browser, written(tmp_path), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("figure img").evaluate("img => img.naturalWidth") > 100
    page.close()


def test_without_scripts_it_says_so(browser: Any, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written(tmp_path).as_uri())
    assert page.get_by_text("please allow scripts").is_visible()
    context.close()


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    labels = {"object": {f"thing {i}": 90 - i for i in range(80)}, "part": {"$x_1$": 2}}
    for name in ("one", "two"):
        units_per_label(labels, "Detectors", tmp_path / name)
        iou_by_length({"conv": {"one label": [0.1, 0.2], "formula": [0.2]}}, tmp_path / f"{name}-i")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one-i.png").read_bytes() == (tmp_path / "two-i.png").read_bytes()
    svg = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "<dc:date>" not in svg
    assert svg == (tmp_path / "two.svg").read_text(encoding="utf-8")
    assert units_per_label({"object": {}}, "Nothing", tmp_path / "none")[1].stat().st_size > 1000

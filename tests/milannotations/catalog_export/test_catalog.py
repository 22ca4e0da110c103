"""Masked PNG files and the JSON list, against the records they are of."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from milannotations.catalog_export.commands import app
from milannotations.errors import InputError
from milannotations.folder import write_card, write_records
from tests.milannotations.viewer.records import make_record

OPACITY = 0.75


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keep the copies that `datasets` makes out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("datasets"))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
        yield


def _folder(path: Path, records: list[dict[str, Any]]) -> Path:
    (path / "data").mkdir(parents=True)
    write_records(path / "data" / "train.parquet", records)
    write_card(path, "A dataset", "Made for a test.")
    return path


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Units 4 and 9 of conv1, with annotations, and unit 0 of a layer that is no file name."""
    return [
        make_record("conv1", 9, k=3, annotations=["red", "dots"]),
        make_record("conv1", 4, k=3),
        make_record("a/b: c", 0, k=2),
    ]


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return " ".join(result.output.split())


def test_the_list_and_its_images(records: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = _folder(tmp_path / "data", records)
    said = _run(folder, "--out", tmp_path / "out")
    assert f"3 units of 2 layers, 8 images: {tmp_path / 'out' / 'catalog.json'}" in said
    catalog = json.loads((tmp_path / "out" / "catalog.json").read_text())
    assert {name: catalog[name] for name in ("name", "architecture", "dataset", "layers")} == {
        "name": "net_shapes", "architecture": "net", "dataset": "shapes",
        "layers": ["conv1", "a/b: c"],
    }  # fmt: skip
    assert [(one["layer"], one["unit"]) for one in catalog["units"]] == [
        ("conv1", 4), ("conv1", 9), ("a/b: c", 0),
    ]  # fmt: skip
    by_key = {(one["layer"], one["unit"]): one for one in catalog["units"]}
    for record in records:
        entry = by_key[record["layer"], record["unit"]]
        assert "description" not in entry
        assert entry["annotations"] == record["annotations"]
        assert entry["activations"] == pytest.approx(record["activations"], rel=1e-6)
        assert entry["threshold"] == record["threshold"]
        assert len(entry["images"]) == len(record["images"])
        for name, image, mask in zip(
            entry["images"], record["images"], record["masks"], strict=True
        ):
            path = tmp_path / "out" / name
            assert path.resolve().is_relative_to((tmp_path / "out").resolve())
            pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
            inside = np.asarray(Image.open(io.BytesIO(mask)).convert("1"))[..., None]
            # As the original code: what is hidden is cut to whole numbers, not rounded.
            expected = np.where(inside, pixels, (pixels * (1 - OPACITY)).astype(np.uint8))
            assert np.array_equal(np.asarray(Image.open(path)), expected)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 8


def test_descriptions_choice_and_addresses(records: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = _folder(tmp_path / "data", records)
    for name, text in (("ours", "red dots"), ("theirs", "dogs")):
        rows = ["layer,unit,description", f"conv1,9,{text}"]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    one = ["--descriptions", tmp_path / "ours.csv"]
    _run(
        folder, "--out", tmp_path / "one", *one, "--no-images", "--layers", "conv*",
        "--base-url", "https://example.org/catalog/",
    )  # fmt: skip
    first, second = json.loads((tmp_path / "one" / "catalog.json").read_text())["units"]
    assert (first["unit"], first["description"]) == (4, None)
    assert (second["unit"], second["description"]) == (9, "red dots")
    start = "https://example.org/catalog/images/000-conv1/unit_9/image_0.png"
    assert second["images"][0] == start
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["catalog.json"]
    _run(
        folder, "--out", tmp_path / "two", *one, "--descriptions", tmp_path / "theirs.csv",
        "--units", "9", "--opacity", "1",
    )  # fmt: skip
    (only,) = json.loads((tmp_path / "two" / "catalog.json").read_text())["units"]
    assert only["descriptions"] == {"ours": "red dots", "theirs": "dogs"}
    black = np.asarray(Image.open(tmp_path / "two" / only["images"][0]))
    assert (black[8:] == 0).all()
    assert (black[:8] > 0).any()


def test_what_is_refused(records: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = _folder(tmp_path / "data", records)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"opacity is 2.0; it must be between 0 and 1"):
        _run(folder, "--out", out, "--opacity", "2")
    with pytest.raises(InputError, match="no layer matches 'conv9'"):
        _run(folder, "--out", out, "--layers", "conv9")
    several = [*records, make_record("conv1", 1, k=3, model="other")]
    with pytest.raises(InputError, match="the records are of 2 networks"):
        _run(_folder(tmp_path / "several", several), "--out", out)
    bare = [{**record, "images": []} for record in records]
    with pytest.raises(InputError, match="attach the source images first"):
        _run(_folder(tmp_path / "bare", bare), "--out", out)
    assert not out.exists()
    _run(folder, "--out", out, "--no-images")
    with pytest.raises(InputError, match="exists"):
        _run(folder, "--out", out)

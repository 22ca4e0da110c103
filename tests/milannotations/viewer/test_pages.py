"""Tests of what is written: files, texts, and what happens on an interruption."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from milannotations.errors import InputError
from milannotations.record import FEATURES
from milannotations.storage import unfinished_folder
from milannotations.viewer import layer_files
from milannotations.viewer.commands import app
from milannotations.viewer.config import ViewConfig
from milannotations.viewer.pages import UNITS_PER_PAGE, write_pages
from tests.milannotations.viewer.records import make_record, read_data

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\x00\ud800'\"&"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def index_data(page: Path) -> Any:
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', text)
    return json.loads(data)


def test_a_page_of_units_is_whole_files_of_facts() -> None:
    assert UNITS_PER_PAGE % layer_files.UNITS_PER_FILE == 0


def test_folder_holds_the_index_and_files_by_layer(two_layers: Path, tmp_path: Path) -> None:
    report = write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out"))
    assert (report.units, report.layers, report.notes) == (23, 2, ())
    assert report.page == tmp_path / "out" / "index.html"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["index.html", "layers"]
    assert index_data(report.page)["layers"] == [
        {"label": "conv1", "name": "conv1", "network": 0, "folder": "000-conv1", "units": 20},
        {"label": "layer/4", "name": "layer/4", "network": 0, "folder": "001-layer_4", "units": 3},
    ]
    layer = tmp_path / "out" / "layers" / "001-layer_4"
    assert sorted(path.name for path in layer.iterdir()) == sorted(
        ["facts-0000.js", "list.js", "words.js"]
        + [f"{unit}.{kind}" for unit in (0, 2, 7) for kind in ("jpg", "png")]
    )
    assert read_data(layer / "list.js") == {
        "units": [0, 2, 7],
        "peaks": [100.0, 98.0, 93.0],
        "thresholds": [0.0, 2.0, 7.0],
    }
    assert not (tmp_path / "out" / "layers" / "000-conv1" / "facts-0002.js").exists()
    assert len(read_data(tmp_path / "out" / "layers" / "000-conv1" / "facts-0001.js")) == 4


def test_facts_of_a_unit(two_layers: Path, tmp_path: Path) -> None:
    said = tmp_path / "milan.csv"
    said.write_text("layer,unit,description\nconv1,17,Red things\n", encoding="utf-8")
    write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out", descriptions=[said]))
    layer = tmp_path / "out" / "layers" / "000-conv1"
    facts = read_data(layer / "facts-0001.js")
    assert facts[1] == {
        "peaks": [83.0, 82.9, 82.8, 82.7, 82.6],
        "threshold": 17.0,
        "ids": [17, 18, 19, 20, 21],
        "names": [f"cats/{index}.jpg" for index in range(17, 22)],
        "statistics": {
            "images": 20,
            "minimum": -1.0,
            "maximum": 83.0,
            "low": -1.0,
            "high": 83.0,
            "counts": [40, 0, 3, 1],
        },
        "annotations": ["red discs"],
        "said": [[0, "Red things"]],
        "sheet": {"columns": 5, "rows": 1, "count": 5, "image": True, "overlay": True},
    }
    assert read_data(layer / "words.js")[17] == "red discs\nRed things"
    for kind in ("jpg", "png"):
        assert Image.open(layer / f"17.{kind}").size == (5 * layer_files.TILE, layer_files.TILE)


def test_limits_keep_some_layers_and_units(two_layers: Path, tmp_path: Path) -> None:
    report = write_pages(
        ViewConfig(dataset=str(two_layers), out=tmp_path / "out", layers=["layer*"], units="1-5")
    )
    assert (report.units, report.layers) == (1, 1)
    layer = tmp_path / "out" / "layers" / "000-layer_4"
    assert read_data(layer / "list.js")["units"] == [2]


def test_what_is_missing_is_left_out(make_folder: Any, tmp_path: Path) -> None:
    bare = {**make_record("conv1", 1), "images": [], "masks": [], "activations": []}
    bare |= {"image_ids": [], "threshold": None}
    folder = make_folder([make_record("conv1", 0, images=False, k=7), bare])
    write_pages(ViewConfig(dataset=str(folder), out=tmp_path / "out"))
    layer = tmp_path / "out" / "layers" / "000-conv1"
    masks, nothing = read_data(layer / "facts-0000.js")
    assert masks["sheet"] == {
        "columns": 5, "rows": 2, "count": 7, "image": False, "overlay": True,
    }  # fmt: skip
    assert masks["statistics"] is None
    assert masks["names"] == []
    assert nothing["sheet"] is None
    assert nothing["peaks"] == []
    assert sorted(path.name for path in layer.glob("*.*g")) == ["0.png"]
    assert read_data(layer / "list.js")["peaks"] == [100.0, None]


def test_many_exemplars_are_shown_in_part(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder([make_record("conv1", 0, k=40)])
    write_pages(ViewConfig(dataset=str(folder), out=tmp_path / "out"))
    (facts,) = read_data(tmp_path / "out" / "layers" / "000-conv1" / "facts-0000.js")
    assert facts["sheet"]["count"] == layer_files.MAX_TILES
    assert len(facts["ids"]) == 40


def test_splits_are_shown_together_or_alone(tmp_path: Path) -> None:
    report = write_pages(
        ViewConfig(dataset="demo", out=tmp_path / "all", layers=["coarse"], units="0-39")
    )
    assert report.units == 40
    alone = write_pages(
        ViewConfig(
            dataset="demo", out=tmp_path / "one", split="test", layers=["coarse"], units="0-39"
        )
    )
    assert 0 < alone.units < 40
    assert index_data(alone.page)["title"] == "synthetic · worlds"


def test_same_input_gives_the_same_bytes(two_layers: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / name))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_interrupted_run_goes_on(
    two_layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "whole"))
    drawn: list[int] = []
    draw = layer_files._draw

    def interrupted(record: Any, folder: Path) -> dict[str, Any]:
        drawn.append(record["unit"])
        if len(drawn) == 21 and record["layer"] != "conv1":
            raise KeyboardInterrupt
        return draw(record, folder)

    monkeypatch.setattr(layer_files, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    left = unfinished_folder(tmp_path / "out")
    assert (left / "layers" / "000-conv1" / "list.js").is_file()
    assert not (left / "index.html").exists()
    write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out"))
    assert drawn.count(2) == 3  # in conv1 once, in layer/4 twice
    assert drawn.count(5) == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_unfinished_pages_of_other_words_are_thrown_away(
    two_layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("milannotations.viewer.pages.atomic_path", fail)
        write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out"))
    (two_layers / "images.csv").unlink()
    write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out"))
    (first, *_) = read_data(tmp_path / "out" / "layers" / "000-conv1" / "facts-0000.js")
    assert first["names"] == []


def test_a_folder_that_is_there_is_replaced_only_if_asked(two_layers: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="pass --overwrite"):
        write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out"))
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"
    write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out", overwrite=True))
    assert not (tmp_path / "out" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("images", [b"no picture"] * 5, "net-shapes conv1:0: image 0 cannot be read"),
        ("masks", [b""] * 5, "net-shapes conv1:0: mask 0 cannot be read"),
        ("images", [b"x"] * 4, "4 images, 5 masks"),
    ],
)
def test_damaged_exemplars_are_named(
    make_folder: Any, tmp_path: Path, column: str, value: Any, message: str
) -> None:
    folder = make_folder([{**make_record("conv1", 0), column: value}])
    with pytest.raises(InputError, match=message):
        write_pages(ViewConfig(dataset=str(folder), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_images_that_are_only_named_are_not_looked_for(tmp_path: Path) -> None:
    picture = tmp_path / "private.png"
    Image.new("RGB", (16, 16)).save(picture)
    record = {**make_record("conv1", 0, k=1), "images": [{"bytes": None, "path": str(picture)}]}
    record["masks"] = [{"bytes": record["masks"][0], "path": None}]
    table = pa.Table.from_pylist([record], schema=FEATURES.arrow_schema)
    pq.write_table(table, tmp_path / "named.parquet")
    with pytest.raises(InputError, match=r"private\.png., which is not (read|opened)"):
        write_pages(ViewConfig(dataset=str(tmp_path / "named.parquet"), out=tmp_path / "out"))


def test_images_of_other_formats_are_not_decoded(make_folder: Any, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "tiff")
    folder = make_folder([{**make_record("conv1", 0), "images": [buffer.getvalue()] * 5}])
    with pytest.raises(InputError, match="image 0 cannot be read"):
        write_pages(ViewConfig(dataset=str(folder), out=tmp_path / "out"))


# Texts of others ------------------------------------------------------------------------------


def test_hostile_texts_stay_data(make_folder: Any, tmp_path: Path) -> None:
    text = HOSTILE.replace("\ud800", "")  # which no Parquet file can hold
    record = make_record(text, 0, annotations=[text], model=text, dataset=text)
    folder = make_folder([record], statistics=True)
    (folder / "images.csv").write_text(f'image_id,name\n0,"{text[:62]}"\n', encoding="utf-8")
    report = write_pages(ViewConfig(dataset=str(folder), out=tmp_path / "out", title=HOSTILE))
    page = report.page.read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert page.count("<img") == 0
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00]", page)
    (layer,) = index_data(report.page)["layers"]
    assert layer["name"].startswith("</script><script>")  # shown as it is, by textContent
    assert layer["folder"] == "000-script_script_alert_1_script_img_src_x_onerror_alert_1"
    (facts,) = read_data(tmp_path / "out" / "layers" / layer["folder"] / "facts-0000.js")
    assert facts["annotations"][0].startswith("</script>")
    assert "\u202e" not in facts["annotations"][0]
    assert facts["statistics"] is not None


def test_policies_admit_only_this_style_and_script(two_layers: Path, tmp_path: Path) -> None:
    page = write_pages(ViewConfig(dataset=str(two_layers), out=tmp_path / "out")).page.read_text(
        encoding="utf-8"
    )
    metas = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    first, second = map(html.unescape, metas)

    def digest(tag: str) -> str:
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[-1]
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert first.startswith("default-src 'none';")
    assert f"style-src 'sha256-{digest('style')}';" in first
    assert f"script-src 'sha256-{digest('script')}' 'strict-dynamic';" in first
    assert second == f"script-src 'sha256-{digest('script')}' 'self'"
    assert "unsafe" not in first + second
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_the_script_makes_no_markup_of_texts() -> None:
    site = Path(layer_files.__file__).parent / "site"
    for script in site.glob("*.js"):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch\(",
            script.read_text(encoding="utf-8"),
        )
        assert found is None, script


# The command ----------------------------------------------------------------------------------


def test_command_writes_pages_and_notes(two_layers: Path, tmp_path: Path) -> None:
    said = tmp_path / "milan.csv"
    said.write_text("layer,unit,description\nconv1,1,a\nlayer/4,0,b\n", encoding="utf-8")
    outcome = CliRunner().invoke(
        app,
        [str(two_layers), "--out", str(tmp_path / "out"), "--layers", "conv1, conv2*,conv*"],
    )
    assert isinstance(outcome.exception, InputError)
    assert "no layer matches 'conv2*'" in str(outcome.exception)
    arguments = [str(two_layers), "--out", str(tmp_path / "out"), "--layers", "conv1"]
    arguments += ["--descriptions", str(said), "--title", "A title"]
    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "20 units of 1 layers: open" in outcome.output
    assert "milan.csv: 1 descriptions are of other neurons" in outcome.output
    assert "<bdi>A title</bdi>" in (tmp_path / "out" / "index.html").read_text()


def test_command_names_what_is_not_there(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["alexnt-imagenet", "--out", str(tmp_path / "out")])
    assert isinstance(outcome.exception, InputError)
    assert "did you mean 'alexnet-imagenet'" in str(outcome.exception)

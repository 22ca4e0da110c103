"""Tables as spreadsheets and other programs write them, in every reader of words."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import milannotations
from benchmark.tasks import load_task
from leaderboard.submission.descriptions import place_rows, read_rows
from leaderboard.submission.problems import Problems
from milannotations import rows
from milannotations.annotations import (
    align,
    matched,
    read_annotations,
    read_descriptions,
    read_scored_descriptions,
)
from milannotations.errors import InputError
from milannotations.numerals import count_of
from milannotations.record import NeuronKey, keys_of
from milannotations.tables import canonical, is_table, layout_of
from milannotations.texts import is_blank

COMMAS = 'model,dataset,layer,unit,description\nnet,shapes,conv1,32,"red, round things"\n'
SEMICOLONS = "model;dataset;layer;unit;description\nnet;shapes;conv1;32;red, round things\n"
TABS = SEMICOLONS.replace(";", "\t")
KEY = NeuronKey("net", "shapes", "conv1", 32)
TEXT = "red, round things"

WRITTEN = {
    "commas": COMMAS.encode(),
    "semicolons": SEMICOLONS.encode(),
    "tabs": TABS.encode(),
    "byte-order mark": b"\xef\xbb\xbf" + COMMAS.encode(),
    "Excel in Europe": b"\xef\xbb\xbf" + SEMICOLONS.replace("\n", "\r\n").encode(),
    "Excel's separator": b"\xef\xbb\xbfsep=;\r\n" + SEMICOLONS.replace("\n", "\r\n").encode(),
    "Excel's separator, a comma": b"sep=,\r\n" + COMMAS.encode(),
    "an empty line first": b"\n" + COMMAS.encode(),
    "whole floats": COMMAS.replace(",32,", ",32.0,").encode(),
    "capitals and spaces": COMMAS.replace("model,dataset,layer", "Model, Dataset ,LAYER").encode(),
    "neuron": COMMAS.replace("unit", "neuron").encode(),
    "summary": COMMAS.replace("description", "summary").encode(),
    "spaces in cells": COMMAS.replace("net,shapes,conv1,32", " net ,shapes , conv1, 32 ").encode(),
    "quoted header": SEMICOLONS.replace("model;dataset", '"model";"dataset"').encode(),
}  # fmt: skip


def validated(data: bytes, name: str = "descriptions.csv") -> tuple[list[str], Problems]:
    """Read a table as `leaderboard validate` does, of a board with one neuron."""
    problems = Problems()
    texts = place_rows(read_rows(data, name, problems), {"test": [KEY]}, name, problems)
    return texts["test"], problems


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN)
def test_the_same_table_in_every_reader(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    assert read_descriptions(path) == {KEY: TEXT}
    assert read_annotations(path) == {KEY: [TEXT]}
    assert keys_of(milannotations.load(path)) == [KEY]
    texts, problems = validated(data)
    assert (texts, problems.lines()) == ([TEXT], [])


@pytest.mark.parametrize("suffix", [".tsv", ".tab", ".txt", ".CSV"])
def test_tables_by_their_names(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"words{suffix}"
    rows = TABS.splitlines(keepends=True)[1:]
    path.write_text("".join([TABS, *rows, *(row.replace("32", "4") for row in rows * 2)]))
    assert is_table(path)
    assert len(milannotations.load(path)) == 2
    assert load_task(str(path)).name == "words"


def test_packed_tables_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "words.csv.gz"
    path.write_bytes(gzip.compress(SEMICOLONS.encode()))
    assert read_descriptions(path) == {KEY: TEXT}


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (COMMAS.encode("utf-16"), "UTF-16; save it as UTF-8"),
        (COMMAS.replace("round", "r\xf6und").encode("latin-1"), "not UTF-8"),
        (b"PK\x03\x04 a workbook", "a workbook"),
        (b"\xd0\xcf\x11\xe0 an old one", "a workbook"),
        (COMMAS.replace("unit", "unit,Unit").encode(), "two columns 'unit'"),
        (COMMAS.replace("unit", "number").encode(), "no column 'unit'"),
        (COMMAS.replace(",32,", ",3.7,").encode(), "unit '3.7'"),
        (COMMAS.replace(",32,", ",-1,").encode(), "unit '-1'"),
        (COMMAS.replace(",32,", ",,").encode(), "unit ''"),
        (COMMAS.replace(",32,", ",1e3,").encode(), "unit '1e3'"),
        (COMMAS.replace(",32,", ",\u0663,").encode(), "unit '\u0663'"),
        (COMMAS.replace(",32,", ",32.5.0,").encode(), "unit '32.5.0'"),
    ],
)
def test_what_cannot_be_read_is_named_alike(data: bytes, match: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=match):
        read_descriptions(path)
    assert any(match in line for line in validated(data)[1].lines())


BLANK = [
    "",
    " ",
    ".",
    " . ",
    "\u00a0",
    "\u200b",
    "\u3164",
    "\u2800",
    "\ufeff",
    "\u200d\u00ad",
    "\u0301",
]


@pytest.mark.parametrize("text", BLANK)
def test_blank_descriptions_are_refused_alike(text: str, tmp_path: Path) -> None:
    assert is_blank(text)
    data = COMMAS.replace(TEXT, text).encode()
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"line 2: the description of conv1:32 is blank"):
        read_descriptions(path)
    assert any("is blank" in line for line in validated(data)[1].lines())


@pytest.mark.parametrize("text", ["dog\u200bs", "\u202edogs", "do\x07gs", "a\ue000"])
def test_hidden_characters_are_refused_alike(text: str, tmp_path: Path) -> None:
    data = COMMAS.replace(TEXT, text).encode()
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"conv1:32 has an? .*U\+"):
        read_descriptions(path)
    assert any("U+" in line for line in validated(data)[1].lines())


@pytest.mark.parametrize(
    "text", ["café", "犬の顔", "👩\u200d🔬 faces", "?", "0", "e\u0301dges", "\U0001fabf"]
)
def test_what_people_write_is_taken(text: str, tmp_path: Path) -> None:
    data = COMMAS.replace(TEXT, text).encode()
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    assert not is_blank(text)
    assert read_descriptions(path) == {KEY: text}
    assert validated(data)[0] == [text]


def test_what_describe_writes_is_taken_everywhere(tmp_path: Path) -> None:
    frame = pd.DataFrame([[*KEY, TEXT, 0.25, "[]"]])
    frame.columns = [*NeuronKey._fields, "description", "score", "alternatives"]
    data = frame.to_csv(index=False).encode()
    path = tmp_path / "mine.csv"
    path.write_bytes(data)
    assert read_scored_descriptions(path) == {KEY: (TEXT, 0.25)}
    texts, problems = validated(data)
    assert (texts, problems.lines()) == ([TEXT], [])
    # A misspelt column is still told.
    _, problems = validated(data.replace(b"score", b"scrip"))
    assert any("the column 'scrip' is not read" in line for line in problems.lines())


@pytest.mark.parametrize("number", [float, int, str])
def test_units_of_parquet_files(number: Callable, tmp_path: Path) -> None:
    frame = pd.DataFrame([[*KEY[:3], number(32), TEXT]])
    frame.columns = [*NeuronKey._fields, "description"]
    path = tmp_path / "descriptions.parquet"
    frame.to_parquet(path)
    assert read_descriptions(path) == {KEY: TEXT}
    texts, problems = validated(path.read_bytes(), path.name)
    assert (texts, problems.lines()) == ([TEXT], [])
    frame["unit"] = 3.7
    out = io.BytesIO()
    frame.to_parquet(out)
    assert any("unit '3.7'" in line for line in validated(out.getvalue(), path.name)[1].lines())


def test_model_and_data_set_may_be_left_out() -> None:
    short = b"layer,unit,description\nconv1,32,discs\n"
    texts, problems = validated(short)
    assert (texts, problems.lines()) == (["discs"], [])
    other = NeuronKey("other", "shapes", "conv1", 32)
    problems = Problems()
    rows = read_rows(short, "d.csv", problems)
    place_rows(rows, {"test": [KEY, other]}, "d.csv", problems)
    assert any("add the columns model and dataset" in line for line in problems.lines())


def test_files_that_name_models_meet_files_that_do_not() -> None:
    bare = NeuronKey("", "", "conv1", 32)
    other = NeuronKey("other", "shapes", "conv1", 32)
    assert matched({bare: ["a"]}, {KEY: TEXT}) == {bare: TEXT}
    assert matched({KEY: ["a"]}, {bare: TEXT}) == {KEY: TEXT}
    assert matched({KEY: ["a"], other: ["b"]}, {KEY: "x", other: "y"}) == {KEY: "x", other: "y"}
    with pytest.raises(InputError, match="do not say which conv1:32"):
        align({KEY: ["a"], other: ["b"]}, {bare: "x"})
    with pytest.raises(InputError, match="described twice, as net-shapes and as other-shapes"):
        align({bare: ["a"]}, {KEY: "x", other: "y"})
    with pytest.raises(InputError, match="belong to no annotated neuron"):
        align({KEY: ["a"]}, {other: "x"})


def test_layouts_by_hand() -> None:
    wanted = ("layer", "unit", "summary")
    assert layout_of("layer;unit;summary\n", wanted).delimiter == ";"
    # A comma within a name is no reason to split there.
    assert layout_of('layer\tunit\t"a, b"\tsummary\n', wanted).delimiter == "\t"
    assert layout_of("something else\n", wanted).delimiter == ","
    assert layout_of("", wanted).header == ()
    assert canonical(["unit", "neuron"], wanted) == ["unit", "neuron"]
    assert count_of("0000000001") is None  # ten digits
    assert count_of("32.") is None


def test_small_tables(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_bytes(b"\xef\xbb\xbfsep=;\r\nFolder;name;index\r\nn01;tench;0\r\n")
    table = rows.read_rows(path, ("folder", "name", "index"))
    assert table.mappings() == [{"folder": "n01", "name": "tench", "index": "0"}]
    with pytest.raises(InputError, match="does not exist"):
        rows.read_rows(tmp_path / "none.csv", ())

"""Tests of what is read beside the records: statistics, names of images, descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from milannotations.data_home import config_folder
from milannotations.errors import InputError
from milannotations.record import NeuronKey, key_of
from milannotations.viewer.facts import (
    Descriptions,
    Statistics,
    folders_of,
    read_image_names,
    tidy,
)
from tests.milannotations.viewer.records import make_record, write_statistics

RECORD = make_record("conv1", 3)
KEY = key_of(RECORD)


def test_numbers_keep_six_digits_and_are_finite() -> None:
    assert [tidy(value) for value in (0.1234567, 37, None)] == [0.123457, 37.0, None]
    assert [tidy(value) for value in (float("nan"), float("inf"))] == [None, None]


def test_folders_of_each_kind_of_dataset(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shard = tmp_path / "data" / "train.parquet"
    shard.touch()
    (tmp_path / "lone.parquet").touch()
    assert folders_of(str(tmp_path)) == [tmp_path]
    assert folders_of(str(shard)) == [tmp_path]
    assert folders_of(str(tmp_path / "lone.parquet")) == [tmp_path]
    assert folders_of("demo") == folders_of("someone/something") == []
    assert folders_of("alexnet/imagenet") == [config_folder("alexnet-imagenet")]
    assert len(folders_of("gen")) == 2


# Statistics -----------------------------------------------------------------------------------


def test_statistics_are_found_by_neuron(tmp_path: Path) -> None:
    write_statistics(tmp_path, [make_record("conv1", 8), RECORD])
    statistics = Statistics([tmp_path / "none here", tmp_path])
    assert statistics.of(KEY) == {
        "images": 20,
        "minimum": -1.0,
        "maximum": 97.0,
        "low": -1.0,
        "high": 97.0,
        "counts": [40, 0, 3, 1],
    }
    assert statistics.of(KEY._replace(unit=9)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minimum": float("nan")}, "make no sense"),
        ({"high": float("inf")}, "make no sense"),
        ({"counts": [1, -1]}, "make no sense"),
        ({"counts": [1, None]}, "make no sense"),
        ({"low": None}, "make no sense"),
        ({"low": 200.0}, "4 bins from 200.0 to 97.0"),
        ({"counts": [1] * 1001}, "1001 bins"),
    ],
)
def test_statistics_that_make_no_sense_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_statistics(tmp_path, [RECORD], **changes)
    with pytest.raises(InputError, match=f"net-shapes conv1:3.*{message}"):
        Statistics([tmp_path]).of(KEY)


def test_files_that_are_no_statistics_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "statistics.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match=r"statistics\.parquet is no complete Parquet file"):
        Statistics([tmp_path])
    write_statistics(tmp_path, [RECORD])
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["counts"]), path)
    with pytest.raises(InputError, match=r"lacks the columns \['counts'\]"):
        Statistics([tmp_path])
    at = table.column_names.index("low")
    pq.write_table(table.set_column(at, "low", pa.array(["none"])), path)
    with pytest.raises(InputError, match=r"statistics\.parquet cannot be read as a Parquet table"):
        Statistics([tmp_path])


# Names of images ------------------------------------------------------------------------------


def test_only_wanted_names_are_kept(tmp_path: Path) -> None:
    text = '\ufeffimage_id,name\n0,a.jpg\n1,"b, c.jpg"\n2,\n3,d.jpg\n'
    (tmp_path / "images.csv").write_text(text, encoding="utf-8")
    assert read_image_names([tmp_path], {1, 2, 7}) == {1: "b, c.jpg"}
    assert read_image_names([tmp_path], set()) == {}
    assert read_image_names([tmp_path, tmp_path], {1}) == {}
    assert read_image_names([tmp_path / "elsewhere"], {1}) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,name\n0,a\n", "has no column 'image_id'"),
        (b"", "it is empty"),
        (b"image_id,name\n0,a\nb,c\n", "line 3: image_id 'b'"),
        (b"image_id,name\n0,\xff\n", "cannot be read"),
        (b'image_id,name\n0,"' + b"x" * 200_000 + b'"\n', "cannot be read"),
    ],
)
def test_lists_of_images_that_are_none_are_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "images.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image_names([tmp_path], {0})


# Descriptions ---------------------------------------------------------------------------------

KEYS = [NeuronKey(model, "data", "conv1", unit) for model in ("a", "b") for unit in (0, 1)]


def write_csv(
    path: Path, *lines: str, header: str = "model,dataset,layer,unit,description"
) -> Path:
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return path


def test_descriptions_are_found_by_neuron_and_method(tmp_path: Path) -> None:
    paths = [
        write_csv(tmp_path / "first.csv", "a,data,conv1,0,a cat", "b,data,conv1,0,a dog"),
        write_csv(tmp_path / "second.csv", "b,data,conv1,0,dogs", "c,data,conv1,0,a horse"),
    ]
    descriptions = Descriptions(paths, KEYS)
    assert descriptions.methods == ["first", "second"]
    assert list(descriptions.of(KEYS[0])) == [(0, "a cat")]
    assert list(descriptions.of(KEYS[2])) == [(0, "a dog"), (1, "dogs")]
    assert list(descriptions.of(KEYS[1])) == []
    assert descriptions.notes == [f"{paths[1]}: 1 descriptions are of other neurons"]


def test_a_file_need_not_name_the_network_where_there_is_one(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "m.csv", "conv1,1,birds", header="layer,unit,description")
    assert list(Descriptions([path], KEYS[:2]).of(KEYS[1])) == [(0, "birds")]
    with pytest.raises(InputError, match="which conv1:1 it describes, that of a-data or b-data"):
        Descriptions([path], KEYS)


def test_descriptions_of_other_neurons_alone_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "m.csv", "a,data,conv9,0,a cat")
    with pytest.raises(InputError, match=r"describes none of these neurons.*conv9:0 of a-data"):
        Descriptions([path], KEYS)


def test_two_methods_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    paths = [write_csv(tmp_path / at / "m.csv", "a,data,conv1,0,a cat") for at in (".", "x")]
    with pytest.raises(InputError, match="two files of descriptions are called 'm'"):
        Descriptions(paths, KEYS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.csv does not exist"):
        Descriptions([tmp_path / "no.csv"], KEYS)

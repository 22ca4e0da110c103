"""Releases become records and come back, byte for byte."""

from __future__ import annotations

import csv
import errno
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets, load_dataset
from PIL import Image
from typer.testing import CliRunner

from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint, known_as
from milannotations.loading import load, load_split, lookup
from milannotations.record import validate
from milannotations.release import convert
from milannotations.release.commands import app as import_app
from milannotations.release.facts import read_facts
from milannotations.release.importer import import_release
from milannotations.release_export.commands import app as export_app
from milannotations.release_export.exporter import export_release
from milannotations.worlds.release import write_release


def _zip(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + path.relative_to(folder).as_posix())
    return target


def _annotations(release: Path, text: str, encoding: str = "utf-8") -> None:
    (release / "annotations.csv").write_bytes(text.encode(encoding))


def test_records_hold_what_the_arrays_hold(release: Path, tmp_path: Path) -> None:
    report = import_release(release, tmp_path / "out")
    neurons = load_split(tmp_path / "out")
    assert report.layers == {"4": 3, "conv1": 5}
    assert (report.neurons, report.annotations, report.annotated) == (8, 24, 8)
    for layer in ("conv1", "4"):
        masks, images = (np.load(release / layer / f"{n}.npy") for n in ("masks", "images"))
        ids = np.loadtxt(release / layer / "ids.csv", delimiter=",", dtype=int)
        for unit in range(len(masks)):
            record = lookup(neurons, layer, unit)
            validate(record)
            assert (record["model"], record["dataset"]) == ("alexnet", "imagenet")
            assert record["image_ids"] == ids[unit].tolist()
            for position in range(2):
                got = np.asarray(record["masks"][position])
                assert np.array_equal(got, masks[unit, position, 0] == 1)
                pixels = np.asarray(record["images"][position])
                assert np.array_equal(pixels, images[unit, position].transpose(1, 2, 0))
            assert record["annotations"] == [
                f'{word} things, number {unit}, in "{layer}"'
                for word in ("red", "round", "striped")
            ]


@pytest.mark.parametrize("prefix", ["", "./", "alexnet-imagenet/", "data/alexnet/imagenet/"])
def test_a_zip_gives_the_same_records_as_its_folder(
    release: Path, tmp_path: Path, prefix: str
) -> None:
    packed = _zip(release, tmp_path / "alexnet-imagenet.zip", prefix)
    from_folder = import_release(release, tmp_path / "one")
    from_zip = import_release(packed, tmp_path / "two")
    assert from_zip.fingerprint == from_folder.fingerprint
    assert (
        load_split(tmp_path / "one")[:]["annotations"]
        == (load_split(tmp_path / "two")[:]["annotations"])
    )


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("high, dtype", [(1, "uint8"), (255, "uint8"), (1, "bool")])
def test_round_trip_is_exact(
    release: Path, tmp_path: Path, zipped: bool, high: int, dtype: str
) -> None:
    for path in release.rglob("masks.npy"):
        np.save(path, (np.load(path) * np.uint8(high)).astype(dtype))
    np.save(release / "4" / "units.npy", np.array([7, 0, 12]))
    with (release / "4" / "activations.csv").open("w") as file:
        np.savetxt(file, np.linspace(9, 1, 6).reshape(3, 2), delimiter=",", fmt="%.5e")
    text = (release / "annotations.csv").read_text()
    _annotations(release, text.replace("4,1,", "4,7,").replace("4,2,", "4,12,"))
    import_release(release, tmp_path / "out")
    facts = read_facts(tmp_path / "out")
    assert facts is not None
    back = tmp_path / ("back.zip" if zipped else "back")
    export_release(
        load_split(tmp_path / "out"),
        back,
        masks=facts.masks,
        annotations=tmp_path / "out" / "annotations.csv",
    )
    if zipped:
        zipfile.ZipFile(back).extractall(tmp_path / "unzipped")
        back = tmp_path / "unzipped"
    names = {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    assert names == {p.relative_to(back).as_posix() for p in back.rglob("*") if p.is_file()}
    for name in names:
        assert (back / name).read_bytes() == (release / name).read_bytes(), name


def test_importing_an_export_gives_the_same_fingerprint(release: Path, tmp_path: Path) -> None:
    report = import_release(release, tmp_path / "out")
    export_release(load_split(tmp_path / "out"), tmp_path / "back")  # annotations written anew
    again = import_release(tmp_path / "back", tmp_path / "again", config="alexnet/imagenet")
    assert again.fingerprint == report.fingerprint


def test_an_export_is_read_by_the_originals_rules(release: Path, tmp_path: Path) -> None:
    """What the original loader asks of the files, checked with NumPy and csv alone."""
    import_release(release, tmp_path / "out")
    back = tmp_path / "back"
    export_release(load_split(tmp_path / "out"), back)
    layers = sorted(path.name for path in back.iterdir() if path.is_dir())
    with (back / "annotations.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {"layer", "unit", "summary"} <= set(rows[0])
    for layer in layers:
        images = np.load(back / layer / "images.npy", allow_pickle=False)
        masks = np.load(back / layer / "masks.npy", allow_pickle=False)
        assert images.ndim == masks.ndim == 5
        assert images.dtype == masks.dtype == np.uint8
        assert images.shape[:2] == masks.shape[:2]
        assert images.shape[3:] == masks.shape[3:]
        assert set(np.unique(masks)) <= {0, 1}
        assert sum(row["layer"] == layer for row in rows) == 3 * len(masks)


def test_without_images_ids_or_units(release: Path, tmp_path: Path) -> None:
    for layer in ("conv1", "4"):
        (release / layer / "images.npy").unlink()
        (release / layer / "ids.csv").unlink()
    report = import_release(release, tmp_path / "out")
    record = load_split(tmp_path / "out")[0]
    assert not report.images
    assert (record["images"], record["image_ids"], record["threshold"]) == ([], [], None)
    assert len(record["masks"]) == 2
    validate(record)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("layer,unit,summary\nconv1,0,a\n", ["a"]),
        ("layer,unit,summary\nconv1,0,a\nconv1,0,b\nconv1,0,c\nconv1,0,d\n", ["a", "b", "c", "d"]),
        ("worker,layer,unit,summary,time\nw1,conv1,0,a,3\nw2,conv1,0,b,4\n", ["a", "b"]),
        ('layer,unit,summary\nconv1,0,"red, green\nand ""blue"""\n', ['red, green\nand "blue"']),
        ("\ufefflayer,unit,summary\r\nconv1,0,a\r\nconv1,0,b\r\n", ["a", "b"]),
        ("layer,unit,summary\nconv1,0,None\nconv1,0,NA\nconv1,0,7\n", ["None", "NA", "7"]),
        ("layer,unit,summary\nconv1,0,\nconv1,0, a .\n", ["", " a ."]),
        ("layer,unit,summary\n4,0,x\nconv1,0,日本 é\n4,1,y\n", ["日本 é"]),
    ],
    ids=["one", "four", "columns", "quoted", "bom-crlf", "not-a-number", "blank", "unicode"],
)
def test_odd_annotation_files(
    release: Path, tmp_path: Path, text: str, expected: list[str]
) -> None:
    _annotations(release, text)
    import_release(release, tmp_path / "out")
    neurons = load_split(tmp_path / "out")
    assert lookup(neurons, "conv1", 0)["annotations"] == expected
    assert lookup(neurons, "conv1", 3)["annotations"] == []
    # and the same after a round trip through our own CSV
    export_release(neurons, tmp_path / "back")
    import_release(tmp_path / "back", tmp_path / "again", config="alexnet-imagenet")
    assert lookup(load_split(tmp_path / "again"), "conv1", 0)["annotations"] == expected


def test_annotations_of_unknown_units_are_left_out_on_request(
    release: Path, tmp_path: Path
) -> None:
    _annotations(release, "layer,unit,summary\nconv1,0,a\nconv1,99,b\nconv7,0,c\n")
    report = import_release(release, tmp_path / "out", drop_unknown=True)
    assert report.dropped == ["conv1:99", "conv7:0"]
    assert (report.annotations, report.annotated) == (1, 1)
    published = tmp_path / "out" / "annotations.csv"
    assert "conv1,99,b" in published.read_text()
    export_release(load_split(tmp_path / "out"), tmp_path / "back", annotations=published)
    # It says more than the records do, so it is written anew.
    back = (tmp_path / "back" / "annotations.csv").read_text()
    assert back == "layer,unit,summary\nconv1,0,a\n"


def test_without_annotations_at_all(release: Path, tmp_path: Path) -> None:
    (release / "annotations.csv").unlink()
    report = import_release(release, tmp_path / "out")
    assert (report.annotations, report.annotated) == (0, 0)
    export_release(load_split(tmp_path / "out"), tmp_path / "back")
    assert not (tmp_path / "back" / "annotations.csv").exists()


def test_junk_beside_the_layout_is_not_read(release: Path, tmp_path: Path) -> None:
    (release / ".DS_Store").write_bytes(b"x")
    (release / "conv1" / "viz").mkdir()
    (release / "conv1" / "viz" / "unit_0.png").write_bytes(b"x")
    report = import_release(release, tmp_path / "out")
    assert report.ignored == [".DS_Store", "conv1/viz/unit_0.png"]


def test_differences_from_what_was_published_are_told(release: Path, tmp_path: Path) -> None:
    report = import_release(release, tmp_path / "out")
    assert "layer 'conv2' is missing" in report.differences
    assert "layer '4' was not published" in report.differences
    assert "layer 'conv1' has 5 units, published were 64" in report.differences


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_an_interrupted_import_goes_on_where_it_stopped(
    release: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: type[BaseException] | BaseException,
    after: int,
) -> None:
    monkeypatch.setattr(convert, "SHARD_BYTES", 3_000)  # two units of the layer conv1 a shard
    whole = import_release(release, tmp_path / "whole")
    written: list[str] = []
    real = convert.write_records

    def failing(path: Path, records: Any) -> int:
        if len(written) == after:
            next(iter(records))
            raise stop
        written.append(path.name)
        return real(path, records)

    monkeypatch.setattr(convert, "write_records", failing)
    with pytest.raises((KeyboardInterrupt, InputError)):
        import_release(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    again: list[str] = []

    def counting(path: Path, records: Any) -> int:
        again.append(path.name)
        return real(path, records)

    monkeypatch.setattr(convert, "write_records", counting)
    resumed = import_release(release, tmp_path / "out")
    assert resumed == whole
    assert not set(written) & set(again)
    names = {p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*")}
    assert names == {p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*")}
    for name in names:
        if (tmp_path / "whole" / name).is_file():
            assert (tmp_path / "whole" / name).read_bytes() == (
                tmp_path / "out" / name
            ).read_bytes()
    assert not list(tmp_path.glob(".out*"))


def test_unfinished_work_of_another_release_is_thrown_away(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "SHARD_BYTES", 3_000)
    real = convert.write_records
    calls: list[Path] = []

    def stops_at_second(path: Path, records: Any) -> int:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(path, records)

    monkeypatch.setattr(convert, "write_records", stops_at_second)
    with pytest.raises(KeyboardInterrupt):
        import_release(release, tmp_path / "out")
    monkeypatch.setattr(convert, "write_records", real)
    shutil.rmtree(release)
    write_release(release, {"conv1": 5, "4": 3}, k=2, size=8, seed=1)
    import_release(release, tmp_path / "out")
    import_release(release, tmp_path / "fresh")
    assert read_facts(tmp_path / "out") == read_facts(tmp_path / "fresh")


def test_annotations_alone_are_a_dataset(release: Path, tmp_path: Path) -> None:
    arguments = [str(release / "annotations.csv"), "--config", "alexnet/imagenet"]
    outcome = CliRunner().invoke(import_app, arguments)
    assert outcome.exit_code == 0, outcome.output
    neurons = load("alexnet-imagenet-annotations")
    assert isinstance(neurons, Dataset)
    assert len(neurons) == 8
    record = lookup(neurons, "4", 2)
    assert len(record["annotations"]) == 3
    assert record["masks"] == record["images"] == []
    assert (record["model"], record["dataset"]) == ("alexnet", "imagenet")


def test_the_commands_install_and_export(release: Path, tmp_path: Path, home: Path) -> None:
    outcome = CliRunner().invoke(import_app, [str(release)])
    assert outcome.exit_code == 0, outcome.output
    assert "8 neurons, layers 4, conv1" in outcome.output
    neurons = load_split("alexnet/imagenet")
    assert known_as(fingerprint(neurons)) == "alexnet-imagenet"
    outcome = CliRunner().invoke(
        export_app, ["alexnet/imagenet", "--out", str(tmp_path / "back"), "--no-images"]
    )
    assert outcome.exit_code == 0, outcome.output
    assert not list((tmp_path / "back").rglob("images.npy"))
    original = (release / "conv1" / "masks.npy").read_bytes()
    assert (tmp_path / "back" / "conv1" / "masks.npy").read_bytes() == original


def test_fingerprints_do_not_depend_on_order_shards_or_images(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = import_release(release, tmp_path / "one")
    monkeypatch.setattr(convert, "SHARD_BYTES", 3_000)
    for path in release.rglob("images.npy"):
        path.unlink()
    two = import_release(release, tmp_path / "two")
    assert len(list((tmp_path / "two" / "data").iterdir())) > 2
    neurons = load_split(tmp_path / "two")
    mixed = concatenate_datasets([neurons.select([6, 2, 7]), neurons.select([0, 1, 3, 4, 5])])
    assert one.fingerprint == two.fingerprint == fingerprint(neurons) == fingerprint(mixed)


@pytest.mark.parametrize("what", ["masks", "ids", "annotation"])
def test_fingerprints_depend_on_every_part(release: Path, tmp_path: Path, what: str) -> None:
    before = import_release(release, tmp_path / "one").fingerprint
    if what == "masks":
        masks = np.load(release / "4" / "masks.npy")
        masks[2, 1, 0, 7, 7] ^= 1
        np.save(release / "4" / "masks.npy", masks)
    elif what == "ids":
        ids = (release / "4" / "ids.csv").read_text().splitlines()
        (release / "4" / "ids.csv").write_text("\n".join(["1,2", *ids[1:]]) + "\n")
    else:
        text = (release / "annotations.csv").read_text()
        _annotations(release, text.replace("red things", "Red things", 1))
    assert import_release(release, tmp_path / "two").fingerprint != before


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda rows: [{**r, "layer": "a/b"} for r in rows], "cannot be the name of a folder"),
        (lambda rows: [{**r, "layer": ".."} for r in rows], "cannot be the name of a folder"),
        (lambda rows: [*rows, {**rows[0], "model": "vgg"}], "of 2 networks"),
        (lambda rows: [*rows, {**rows[0], "layer": "CONV1"}], "differ only in case"),
        (lambda rows: [{**rows[0], "masks": rows[0]["masks"][:1]}, *rows[1:]], r"\[1, 2\] masks"),
        (lambda rows: [{**r, "masks": []} for r in rows], "above zero"),
        (lambda rows: [{**rows[0], "image_ids": [1]}, *rows[1:]], "image_ids for 2 masks"),
    ],
)
def test_export_refuses(
    release: Path,
    tmp_path: Path,
    spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    message: str,
) -> None:
    import_release(release, tmp_path / "out")
    neurons = load_split(tmp_path / "out")
    rows = [row for row in neurons if row["layer"] == "conv1"]
    with pytest.raises(InputError, match=message):
        export_release(Dataset.from_list(spoil(rows), features=neurons.features), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_export_refuses_nothing_at_all(release: Path, tmp_path: Path) -> None:
    import_release(release, tmp_path / "out")
    with pytest.raises(InputError, match="no records"):
        export_release(load_split(tmp_path / "out").select([]), tmp_path / "back")


def test_a_folder_written_anew_is_loaded_anew(release: Path, tmp_path: Path) -> None:
    """``datasets`` itself caches such folders by their last name; our card prevents it."""
    for number, name in enumerate(("one", "two")):
        _annotations(release, f"layer,unit,summary\nconv1,0,{name}\n")
        out = tmp_path / name / "same"
        import_release(release, out)
        for neurons in (load_split(out), load_dataset(str(out), split="train")):
            assert lookup(neurons, "conv1", 0)["annotations"] == [name], number
    _annotations(release, "layer,unit,summary\nconv1,0,three\n")
    import_release(release, tmp_path / "two" / "same", overwrite=True)
    for neurons in (load_split(out), load_dataset(str(out), split="train")):
        assert lookup(neurons, "conv1", 0)["annotations"] == ["three"]


def test_export_refuses_mixed_sizes_and_missing_images(release: Path, tmp_path: Path) -> None:
    import_release(release, tmp_path / "out")
    neurons = load_split(tmp_path / "out")
    rows = [row for row in neurons if row["layer"] == "conv1"]
    rows[3]["masks"] = [Image.new("1", (9, 8))] * 2
    with pytest.raises(InputError, match="one size per layer"):
        export_release(Dataset.from_list(rows, features=neurons.features), tmp_path / "back")
    rows[3] = {**rows[2], "images": []}
    with pytest.raises(InputError, match="without images"):
        export_release(
            Dataset.from_list(rows, features=neurons.features), tmp_path / "back", images=True
        )
    assert not list(tmp_path.glob("*back*"))


def test_stored_arrays_are_never_unpickled(release: Path, tmp_path: Path) -> None:
    class Boom:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Boom()], dtype=object), allow_pickle=True)
    (release / "conv1" / "units.npy").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"units\.npy holds object"):
        import_release(release, tmp_path / "out")
    assert not (tmp_path / "executed").exists()


def test_the_real_annotations_are_a_config(shared_data: Path, tmp_path: Path) -> None:
    """11,712 human annotations of 3,904 units, in the published layers."""
    source = shared_data / "milannotations_resnet152_imagenet.csv"
    outcome = CliRunner().invoke(import_app, [str(source), "--config", "resnet152/imagenet"])
    assert outcome.exit_code == 0, outcome.output
    assert "differs" not in outcome.output
    neurons = load_split("resnet152-imagenet-annotations")
    assert len(neurons) == 3_904
    assert all(len(texts) == 3 for texts in neurons["annotations"])
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [row["summary"] for row in rows if (row["layer"], row["unit"]) == ("layer4", "1937")]
    assert len(expected) == 3
    assert lookup(neurons, "layer4", 1937)["annotations"] == expected

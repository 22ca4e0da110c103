"""Interrupted, divided and merged builds give what one pass gives, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from milannotations.errors import InputError
from milannotations.exemplars import collect
from milannotations.exemplars.build import build, build_shard, merge, shards_in
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest, DatasetRequest
from milannotations.exemplars.shards import PartialStatistics, parse_shard, read_header
from milannotations.exemplars.statistics import LayerStatistics
from milannotations.inputs.sources import ImageFolder, PictureSource
from milannotations.storage import unfinished_folder
from tests.milannotations.exemplars.networks import IDENTITY, Colours, ShortOfMemory

OPTIONS = BuildOptions(k=3, size=64, batch_size=4, image_format="png")
FACTS = {"model": "colours", "dataset": "hand", "options": OPTIONS}


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a dataset but the record of how it was built."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "build.json"
    }


@pytest.fixture
def source(squares: Path) -> ImageFolder:
    return ImageFolder(squares, IDENTITY, size=64)


@pytest.fixture
def whole(source: ImageFolder, tmp_path: Path) -> dict[str, bytes]:
    build(
        BuildRequest(
            module=Colours(),
            source=source,
            layers=["conv", "relu"],
            out=tmp_path / "whole",
            **FACTS,
        )
    )
    return contents(tmp_path / "whole")


def _shard(source: ImageFolder, folder: Path, number: int, of: int, **options: object):
    facts = {**FACTS, **options}
    return build_shard(
        BuildRequest(module=Colours(), source=source, layers=["conv", "relu"], out=folder, **facts),
        (number, of),
    )


def test_a_killed_build_goes_on_and_gives_the_same(
    squares: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    command = [
        *(sys.executable, "-m", "milannotations", "build", "--device", "cpu", "--k", "3"),
        *("--model", "tests.milannotations.exemplars.networks:interrupted", "--size", "64"),
        *("--images", str(squares), "--layers", "colours.conv,colours.relu"),
        *("--out", str(tmp_path / "out"), "--image-format", "png", "--batch-size", "4"),
        *("--checkpoint-every", "1e-9"),
    ]
    # The first pass of all is the probe, and the second sees that it is reproducible.
    environment = {**os.environ, "KILLED_AT": "6", "KILLED_MARK": str(tmp_path / "mark")}
    first = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert first.returncode == -9, first.stderr.decode()
    assert not (tmp_path / "out").exists()
    work = unfinished_folder(tmp_path / "out")
    (checkpoint,) = work.glob("*.safetensors")
    assert 0 < read_header(checkpoint).done < 30
    again = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert again.returncode == 0, again.stderr.decode()
    assert not work.exists()
    renamed = {
        name.replace("colours.", ""): text.replace(b"colours.", b"")
        for name, text in contents(tmp_path / "out").items()
    }
    assert renamed["images.csv"] == whole["images.csv"]
    ours, theirs = (load_rows(tmp_path / name) for name in ("out", "whole"))
    assert ours == theirs


def load_rows(folder: Path) -> list[dict[str, object]]:
    """Return all records with images and masks as bytes, without the names of layers."""
    import pyarrow.parquet as pq

    files = sorted((folder / "data").glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return [{name: value for name, value in row.items() if name != "layer"} for row in rows]


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2]])
def test_shards_merge_into_what_one_pass_gives(
    source: ImageFolder, whole: dict[str, bytes], tmp_path: Path, order: list[int]
) -> None:
    for number in order:
        report = _shard(source, tmp_path / "shards", number, 3)
        assert report.images == 10
    paths = shards_in(tmp_path / "shards")
    merge(
        DatasetRequest(source=source, out=tmp_path / "out", options=OPTIONS),
        [paths[i - 1] for i in order],
    )
    assert contents(tmp_path / "out") == whole


def test_a_missing_doubled_or_unfinished_shard_is_told(source: ImageFolder, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    _shard(source, folder, 1, 3)
    _shard(source, folder, 3, 3)
    with pytest.raises(InputError, match=r"images 10 to 19 have not been run"):
        merge(
            DatasetRequest(source=source, out=tmp_path / "out", options=OPTIONS), shards_in(folder)
        )
    _shard(source, folder, 1, 2)
    with pytest.raises(InputError, match=r"images 0 to 9 were run twice"):
        merge(
            DatasetRequest(source=source, out=tmp_path / "out", options=OPTIONS), shards_in(folder)
        )
    assert not (tmp_path / "out").exists()


def test_shards_of_other_weights_or_options_are_refused(
    source: ImageFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    _shard(source, folder, 1, 2)
    other = Colours()
    with torch.no_grad():
        other.conv.weight += 1
    build_shard(
        BuildRequest(module=other, source=source, layers=["conv", "relu"], out=folder, **FACTS),
        (2, 2),
    )
    with pytest.raises(InputError, match=r"not run alike: weights differ"):
        merge(
            DatasetRequest(source=source, out=tmp_path / "out", options=OPTIONS), shards_in(folder)
        )
    with pytest.raises(InputError, match=r"these have changed: k\b.*--no-resume"):
        _shard(source, folder, 1, 2, options=BuildOptions(k=4, size=64))
    _shard(source, folder, 1, 2, options=BuildOptions(k=4, size=64), resume=False)


def test_a_finished_shard_is_not_run_again(source: ImageFolder, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    _shard(source, folder, 2, 2)
    (path,) = shards_in(folder)
    before = path.read_bytes()
    passes = []
    model = Colours()
    model.register_forward_hook(lambda *_: passes.append(1))
    build_shard(
        BuildRequest(module=model, source=source, layers=["conv", "relu"], out=folder, **FACTS),
        (2, 2),
    )
    assert len(passes) == 2  # the probe's
    assert path.read_bytes() == before


def test_images_that_change_between_runs_are_refused(
    squares: Path, source: ImageFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    _shard(source, folder, 1, 2)
    (squares / "zz.png").write_bytes((squares / "05.png").read_bytes())
    more = ImageFolder(squares, IDENTITY, size=64)
    with pytest.raises(InputError, match="these have changed: the image set"):
        _shard(more, folder, 1, 2)
    (squares / "zz.png").unlink()
    _shard(source, folder, 2, 2)
    # The same name and size, so only its content tells.
    picture = bytearray((squares / "05.png").read_bytes())
    picture[-20] ^= 1
    (squares / "05.png").write_bytes(bytes(picture))
    with pytest.raises(InputError, match=r"image 05\.png has changed since"):
        merge(
            DatasetRequest(source=source, out=tmp_path / "out", options=OPTIONS), shards_in(folder)
        )
    assert not (tmp_path / "out").exists()


def test_merging_with_other_images_is_refused(
    squares: Path, source: ImageFolder, tmp_path: Path
) -> None:
    _shard(source, tmp_path / "shards", 1, 1)
    (squares / "29.png").unlink()
    fewer = ImageFolder(squares, IDENTITY, size=64)
    with pytest.raises(InputError, match="not the images of the shards: the image set"):
        merge(
            DatasetRequest(source=fewer, out=tmp_path / "out", options=OPTIONS),
            shards_in(tmp_path / "shards"),
        )


def _spoil(path: Path, what: str) -> None:
    tensors = load_file(path)
    facts = {"format": 1, **_facts(path)}
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
        return
    if what == "text":
        path.write_text("not statistics")
        return
    if what == "format":
        facts["format"] = 99
    if what == "ids":
        tensors["0.top.ids"] += 1000
    if what == "shape":
        tensors["0.top.maps"] = tensors["0.top.maps"][:1]
    if what == "cells":
        tensors["0.quantile.positive_cells"] += 10**9
    if what == "covered":
        facts["covered"] = [[0, 10**6]]
    if what == "no plan":
        del facts["plan"]
    save_file(tensors, path, metadata={"milannotations": json.dumps(facts)})


def _facts(path: Path) -> dict[str, object]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        facts: dict[str, object] = json.loads(file.metadata()["milannotations"])
    return facts


@pytest.mark.parametrize(
    "what", ["truncated", "text", "format", "ids", "shape", "cells", "covered", "no plan"]
)
def test_damaged_shards_are_named(source: ImageFolder, tmp_path: Path, what: str) -> None:
    _shard(source, tmp_path / "shards", 1, 1)
    (path,) = shards_in(tmp_path / "shards")
    _spoil(path, what)
    with pytest.raises(InputError, match=r"shard-00001-of-00001\.safetensors is not a sound"):
        PartialStatistics.load(path)


def test_a_folder_without_shards_and_bad_numbers(source: ImageFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no shards"):
        shards_in(tmp_path)
    for text in ("0/3", "4/3", "3", "a/b", "1/0"):
        with pytest.raises(InputError, match=r"the third of sixteen"):
            parse_shard(text)
    with pytest.raises(InputError, match="31 shards of only 30 images"):
        _shard(source, tmp_path / "shards", 1, 31)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        _shard(source, tmp_path / "file", 1, 2)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError], ids=["cuda", "other"])
def test_batches_are_halved_where_memory_is_short(
    source: ImageFolder, whole: dict[str, bytes], tmp_path: Path, capfd, error
) -> None:
    model = ShortOfMemory(3, error)
    options = BuildOptions(k=3, size=64, batch_size=16, image_format="png")
    build(
        BuildRequest(
            module=model,
            source=source,
            layers=["colours.conv", "colours.relu"],
            out=tmp_path / "out",
            model="colours",
            dataset="hand",
            options=options,
        )
    )
    # The convolution had run before memory was short: its maps are counted once all the same.
    assert load_rows(tmp_path / "out") == load_rows(tmp_path / "whole")
    said = capfd.readouterr().err
    assert "out of memory with 16 images at once; going on with 8" in said
    assert "going on with 2 (pass --batch-size 2 next time)" in " ".join(said.split())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["allocator", "cublas"],
)
def test_batches_that_cannot_be_moved_to_the_device_are_halved(
    source: ImageFolder,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: RuntimeError,
) -> None:
    move = collect.as_batch

    def as_batch(inputs: tuple[torch.Tensor, ...], *arguments: Any) -> tuple[torch.Tensor, ...]:
        if len(inputs[0]) > 3:
            raise error
        return move(inputs, *arguments)

    monkeypatch.setattr(collect, "as_batch", as_batch)
    request = BuildRequest(
        module=Colours(), source=source, layers=["conv", "relu"], out=tmp_path / "out", **FACTS
    )
    build(request)
    assert load_rows(tmp_path / "out") == load_rows(tmp_path / "whole")


def test_no_memory_for_a_single_image_is_an_error(source: ImageFolder, tmp_path: Path) -> None:
    model = ShortOfMemory(4, torch.OutOfMemoryError)
    passes = []

    def count(module: ShortOfMemory, _inputs: object) -> None:
        passes.append(1)
        if len(passes) > 2:  # the probe's had room
            module.limit = 0

    model.register_forward_pre_hook(count)
    with pytest.raises(InputError, match="out of memory with a single image on cpu"):
        build_shard(
            BuildRequest(
                module=model, source=source, layers=["colours.relu"], out=tmp_path / "s", **FACTS
            ),
            (1, 1),
        )


def test_no_memory_for_the_statistics_is_an_error(
    source: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LayerStatistics, "update", fail)
    with pytest.raises(InputError, match="out of memory in the statistics of layer 'conv'"):
        _shard(source, tmp_path / "s", 1, 1)


def test_pictures_of_a_data_set_give_what_their_files_give(
    squares: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    from milannotations.attach.sources import FolderSource

    (tmp_path / "nested").mkdir()
    squares.rename(tmp_path / "nested" / "squares")
    pictures = PictureSource(FolderSource(tmp_path / "nested"), IDENTITY, size=64)
    build(
        BuildRequest(
            module=Colours(),
            source=pictures,
            layers=["conv", "relu"],
            out=tmp_path / "out",
            **FACTS,
        )
    )
    assert load_rows(tmp_path / "out") == load_rows(tmp_path / "whole")

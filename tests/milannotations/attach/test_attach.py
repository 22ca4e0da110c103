"""Attaching source images: order, geometry, what is checked, and going on after an interruption."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, load_dataset
from datasets import Image as ImageFeature
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import default_loader
from typer.testing import CliRunner

from milannotations.attach import attach as module
from milannotations.attach.attach import attach_images, needed_ids
from milannotations.attach.checks import check_source
from milannotations.attach.commands import app
from milannotations.attach.encoded import EncodedImages, ImageKey
from milannotations.attach.geometry import exemplar_view
from milannotations.attach.running import expected_source, find_folder
from milannotations.attach.sources import FolderSource, HubSource
from milannotations.catalog.releases import SOURCES, SourceImages
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint_of_files
from milannotations.folder import write_card, write_records
from milannotations.pictures import UnreadableImageError
from milannotations.record import encode_image, encode_mask, validate
from milannotations.release.importer import import_release

SIZE = 32
IDS = [[0, 5, 3], [5, 1, 0], [7, 5, 2], [0, 1, 2]]


def _picture(index: int, size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight pictures in two classes, of differing shapes; one is grey."""
    root = tmp_path / "pictures"
    for index in range(8):
        folder = root / ("n01" if index < 4 else "n02")
        folder.mkdir(parents=True, exist_ok=True)
        picture = _picture(index, (60 + 9 * index, 80 - 3 * index))
        (picture.convert("L") if index == 3 else picture).save(folder / f"{index}.png")
    return root


def _record(layer: str, unit: int, ids: list[int], size: tuple[int, int] = (SIZE, SIZE)) -> dict:
    rng = np.random.default_rng(unit)
    return {
        "model": "alexnet",
        "dataset": "imagenet",
        "layer": layer,
        "unit": unit,
        "images": [],
        "masks": [encode_mask(rng.random(size[::-1]) < 0.3) for _ in range(3)],
        "activations": [3.5, 2.25, 0.1],
        "image_ids": ids,
        "threshold": None,
        "annotations": ["a dog", "Dogs."],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset folder of two shards without images."""
    folder = tmp_path / "config"
    (folder / "data").mkdir(parents=True)
    for shard, layer in enumerate(("conv1", "conv2")):
        rows = [_record(layer, 2 * shard + row, IDS[2 * shard + row]) for row in range(2)]
        write_records(folder / "data" / f"{shard:03d}-{layer}.parquet", rows)
    write_card(folder, "A title", "Some text.")
    (folder / "annotations.csv").write_text("layer,unit,summary\nconv1,0,a dog\n")
    (folder / "release.json").write_text(json.dumps({"config": "alexnet-imagenet", "future": 1}))
    return folder


def _state(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _load(folder: Path, cache: Path) -> Dataset:
    return load_dataset(str(folder), split="train", cache_dir=str(cache))


class Counting(FolderSource):
    """Counts reads; fails at one image, once it is told to."""

    def __init__(self, root: Path, failure: BaseException | None = None, at: int = -1) -> None:
        super().__init__(root)
        self.reads: Counter[int] = Counter()
        self.failure, self.at = failure, at
        self.lock = threading.Lock()

    def image(self, index: int) -> Image.Image:
        with self.lock:
            self.reads[index] += 1
        if self.failure is not None and index == self.at:
            raise self.failure
        return super().image(index)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (300, 300), (100, 80)])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "1"])
def test_geometry_equals_torchvision(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    picture = _picture(1, size).convert(mode)
    if mode == "RGBA":
        picture.putalpha(90)
    path = tmp_path / f"picture.{'tif' if mode == 'CMYK' else 'png'}"
    picture.save(path)
    loaded = default_loader(str(path))
    squashed = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor()])(loaded)
    expected = (squashed * 255).round().byte().permute(1, 2, 0).numpy()
    with Image.open(path) as opened:
        assert np.array_equal(np.asarray(exemplar_view(opened, (224, 224), "squash")), expected)
    cropped = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(loaded)
    with Image.open(path) as opened:
        view = exemplar_view(opened, (224, 224), "crop")
    assert np.array_equal(np.asarray(view), np.asarray(cropped))


def test_crops_of_other_sizes_keep_the_proportion_of_256_to_224() -> None:
    picture = _picture(1, (500, 375))
    chain = transforms.Compose([transforms.Resize(128), transforms.CenterCrop(112)])
    view = exemplar_view(picture, (112, 112), "crop")
    assert np.array_equal(np.asarray(view), np.asarray(chain(picture)))
    assert exemplar_view(picture, (40, 30), "squash").size == (40, 30)
    with pytest.raises(InputError, match=r"40 × 30.*'squash'"):
        exemplar_view(picture, (40, 30), "crop")
    with pytest.raises(InputError, match="geometry 'stretch'"):
        exemplar_view(picture, (40, 40), "stretch")


def test_order_is_that_of_torchvision(tmp_path: Path) -> None:
    names = (
        "b/1.png", "b/10.png", "b/2.PNG", "b/sub/0.jpg", "b/sub-x/a.png", "b/sub/deep/z.pgm",
        "B/x.webp", "a/z.jpeg", "a/Z.jpeg", "a/ä.bmp", "a/notes.txt", "a-1/q.ppm", "loose.png",
        "empty/readme.md",
    )  # fmt: skip
    for name in names:
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "root" / "b" / "sub")
    source = FolderSource(tmp_path / "root")
    expected = [path for path, _ in ImageFolder(tmp_path / "root", allow_empty=True).samples]
    assert [str(path) for path in source.paths] == expected
    assert len(expected) == 13
    assert source.name(0) == "B/x.webp"
    assert source.classes == {"B": 1, "a": 3, "a-1": 1, "b": 6, "empty": 0, "linked": 2}


def test_every_record_gets_its_images(folder: Path, images: Path, tmp_path: Path) -> None:
    before = fingerprint_of_files(sorted((folder / "data").glob("*")))
    source = Counting(images)
    report = attach_images(folder, source)
    assert (report.records, report.attached, report.unchanged, report.images) == (4, 4, 0, 6)
    # Twelve exemplars are six distinct images, and each file is read once.
    assert source.reads == dict.fromkeys((0, 1, 2, 3, 5, 7), 1)
    data = _load(folder, tmp_path / "cache")
    for row, ids in zip(data, IDS, strict=True):
        validate(row)
        assert row["image_ids"] == ids
        for index, image in zip(ids, row["images"], strict=True):
            view = exemplar_view(source.image(index), (SIZE, SIZE), "crop")
            assert np.array_equal(np.asarray(image), np.asarray(view))
    assert data[0]["annotations"] == ["a dog", "Dogs."]
    assert fingerprint_of_files(sorted((folder / "data").glob("*"))) == before
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "annotations.csv", "data", "release.json"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    facts = json.loads((folder / "release.json").read_text())
    assert facts["images"] is True
    assert (facts["image_format"], facts["geometry"]) == ("webp", "crop")
    assert facts["attached"]["images"] == 6
    assert facts["future"] == 1
    assert str(tmp_path) not in (folder / "release.json").read_text()
    assert "6 distinct ones, geometry `crop`, webp" in (folder / "README.md").read_text()


def test_images_have_the_size_of_their_masks(folder: Path, images: Path, tmp_path: Path) -> None:
    shard = folder / "data" / "001-conv2.parquet"
    write_records(shard, [_record("conv2", 0, [0, 1, 2], (40, 24))])
    with pytest.raises(InputError, match=r"001-conv2.*40 × 24.*'squash'"):
        attach_images(folder, FolderSource(images))
    attach_images(folder, FolderSource(images), geometry="squash", image_format="jpeg")
    rows = list(_load(folder, tmp_path / "cache"))
    assert [rows[i]["images"][0].size for i in (0, 2)] == [(SIZE, SIZE), (40, 24)]
    assert rows[0]["images"][0].format == "JPEG"


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(5, "injected")])
def test_interrupted_work_is_gone_on_with(
    folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
) -> None:  # fmt: skip
    attach_images(folder, FolderSource(images), out=tmp_path / "whole")
    before = _state(folder)
    monkeypatch.setattr(module, "_BATCH", 2)
    first = Counting(images, failure, at=3)
    with pytest.raises(type(failure)):
        attach_images(folder, first)
    assert _state(folder) == before
    second = Counting(images)

    def fail(*arguments: object) -> int:
        calls.append(arguments)
        if len(calls) == 2:
            raise failure
        return write_records(*arguments)

    calls: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_records", fail)
        with pytest.raises(type(failure)):
            attach_images(folder, second)
    assert sorted(second.reads) == [3, 5, 7]  # 0, 1 and 2 were stored by the first
    assert _state(folder) == before
    third = Counting(images)
    attach_images(folder, third)
    assert not third.reads
    assert _state(folder) == _state(tmp_path / "whole")


def test_another_geometry_does_not_go_on_with_unfinished_work(folder: Path, images: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        attach_images(folder, Counting(images, KeyboardInterrupt(), at=7))
    source = Counting(images)
    attach_images(folder, source, geometry="squash")
    assert len(source.reads) == 6


def test_torn_files_of_encoded_images_are_cut(tmp_path: Path) -> None:
    keys = [ImageKey(index, 4, 4) for index in range(3)]
    with EncodedImages(tmp_path) as images, images.adding() as batch:
        batch += [(key, bytes([65 + key.image_id]) * 10) for key in keys]
    content, index = tmp_path / "images.bytes", tmp_path / "images.index"
    whole = content.read_bytes(), index.read_bytes()
    for cut_bytes, cut_index, left in ((0, 5, 2), (3, 0, 2), (15, 0, 1), (0, 24, 2), (30, 72, 0)):
        content.write_bytes(whole[0][: 30 - cut_bytes])
        index.write_bytes(whole[1][: 72 - cut_index])
        with EncodedImages(tmp_path) as images:
            assert [key in images for key in keys] == [True] * left + [False] * (3 - left)
            with images.adding() as batch:
                batch += [(key, bytes([65 + key.image_id]) * 10) for key in keys[left:]]
            assert [images.read(key)[:2] for key in keys] == [b"AA", b"BB", b"CC"]
        assert (content.read_bytes(), index.read_bytes()) == whole


def test_an_unreadable_image_is_named_and_the_rest_kept(folder: Path, images: Path) -> None:
    damaged = images / "n02" / "7.png"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:80])
    before = _state(folder)
    with pytest.raises(UnreadableImageError, match=r"n02/7\.png cannot be read as an image"):
        attach_images(folder, FolderSource(images))
    assert _state(folder) == before
    damaged.write_bytes(good)
    source = Counting(images)
    attach_images(folder, source)
    assert list(source.reads) == [7]


def test_records_that_have_images_keep_them(folder: Path, images: Path, tmp_path: Path) -> None:
    own = [encode_image(Image.new("RGB", (SIZE, SIZE), "red"))] * 3
    shard = folder / "data" / "001-conv2.parquet"
    write_records(
        shard, [{**_record("conv2", 0, []), "images": own}, _record("conv2", 1, [0, 1, 2])]
    )
    assert needed_ids(folder) == {0, 1, 2, 3, 5}
    report = attach_images(folder, FolderSource(images), out=tmp_path / "new")
    assert (report.attached, report.unchanged) == (3, 1)
    rows = list(_load(tmp_path / "new", tmp_path / "cache"))
    assert np.asarray(rows[2]["images"][0])[0, 0].tolist() == [254, 0, 0]
    with pytest.raises(InputError, match=r"all 4 records .* have images; --overwrite"):
        attach_images(tmp_path / "new", FolderSource(images))
    with pytest.raises(InputError, match=r"conv2:0 has no image_ids"):
        attach_images(tmp_path / "new", FolderSource(images), overwrite=True)
    write_records(shard, [{**_record("conv2", 0, [4, 4, 4]), "images": own}])
    assert attach_images(folder, FolderSource(images), overwrite=True).attached == 3


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"image_ids": []}, r"conv9:4 has no image_ids"),
        ({"image_ids": [1, 2]}, r"conv9:4 has 2 image_ids, but 3 masks"),
        ({"image_ids": [1, 2, 8]}, r"need image 8, but folder pictures has 8 images"),
        ({"image_ids": [1, 2, -1]}, r"need image -1"),
        ({"masks": [b"no image"] * 3}, r"conv9:4 has a mask that is no image"),
    ],
)
def test_records_that_cannot_be_filled(
    folder: Path, images: Path, change: dict, match: str
) -> None:
    write_records(folder / "data" / "9.parquet", [{**_record("conv9", 4, [1, 2, 3]), **change}])
    source = Counting(images)
    with pytest.raises(InputError, match=match):
        attach_images(folder, source)
    assert not source.reads


def test_folders_that_cannot_be_filled(folder: Path, images: Path, tmp_path: Path) -> None:
    source = FolderSource(images)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no Parquet files"):
        attach_images(tmp_path / "empty", source)
    with pytest.raises(InputError, match="image format 'gif'"):
        attach_images(folder, source, image_format="gif")
    with pytest.raises(InputError, match="lie in each other"):
        attach_images(folder, source, out=tmp_path, overwrite=True)
    with pytest.raises(InputError, match="move them out"):
        attach_images(folder, source, out=images, overwrite=True)
    (folder / "data" / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"x\.parquet is no complete Parquet file"):
        attach_images(folder, source)


EIGHT = SourceImages("the right eight", 8, 2, 4)


def test_sources_that_do_not_fit_are_refused(images: Path, tmp_path: Path) -> None:
    check_source(FolderSource(images), EIGHT, {0, 7})
    with pytest.raises(InputError, match=r"2 class folders \(n01, n02\) with 8 images.*has 1000"):
        check_source(FolderSource(images), SOURCES["imagenet"], set())
    with pytest.raises(InputError, match=r"has 1 class folders \(pictures\)"):
        above = tmp_path / "above"
        above.mkdir()
        (above / "pictures").symlink_to(images)
        check_source(FolderSource(above), EIGHT, set())
    (images / "n02" / "7.png").rename(images / "n01" / "7.png")
    with pytest.raises(InputError, match=r"5 of them in the class 'n01'.*--allow-other-source"):
        check_source(FolderSource(images), EIGHT, set())
    for index in range(20):
        (images / "n01" / f"x{index}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"has 28 images, 25 .*is it the training set"):
        check_source(FolderSource(images), EIGHT, set())
    for root, match in ((images / "n01", "one folder per class"), (tmp_path / "no", "not exist")):
        with pytest.raises(InputError, match=match):
            FolderSource(root)


def _list(folder: Path, source: FolderSource, swap: bool) -> None:
    names = [source.name(index) for index in range(len(source))]
    if swap:
        names[2], names[3] = names[3], names[2]
    with (folder / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "name"), *enumerate(names)])


def test_names_are_compared_with_the_listing(folder: Path, images: Path) -> None:
    source = FolderSource(images)
    _list(folder, source, swap=True)
    with pytest.raises(InputError, match=r"image 2 should be 'n01/3\.png'.* it is 'n01/2\.png'"):
        attach_images(folder, source)
    _list(folder, source, swap=False)
    (images / "n02" / "8.png").write_bytes((images / "n02" / "7.png").read_bytes())
    with pytest.raises(InputError, match=r"lists 8 images, but folder pictures has 9"):
        attach_images(folder, FolderSource(images))
    (images / "n02" / "8.png").unlink()
    attach_images(folder, source)
    assert (folder / "images.csv").is_file()


def _labelled(images: Path, place: Path, paths: bool = True) -> HubSource:
    """Save the pictures as a dataset, shuffled, and open it."""
    source = FolderSource(images)
    order = np.random.default_rng(0).permutation(len(source)).tolist()
    rows = {
        "label": [int(source.name(i).startswith("n02")) for i in order],
        "picture": [
            {"bytes": source.paths[i].read_bytes(), "path": source.paths[i].name if paths else None}
            for i in order
        ],
    }
    features = Features({"label": ClassLabel(names=["n01", "n02"]), "picture": ImageFeature()})
    place.mkdir()
    Dataset.from_dict(rows, features=features).to_parquet(place / "validation.parquet")
    return HubSource(str(place), "validation")


def test_a_labelled_dataset_is_put_in_order(folder: Path, images: Path, tmp_path: Path) -> None:
    source = _labelled(images, tmp_path / "hub")
    assert source.order == "column 'label', then file name"
    assert [source.name(index) for index in range(8)] == [f"{index}.png" for index in range(8)]
    _list(folder, FolderSource(images), swap=False)
    check_source(source, EIGHT, {0}, folder / "images.csv")
    attach_images(folder, source, out=tmp_path / "a")
    attach_images(folder, FolderSource(images), out=tmp_path / "b")
    assert (tmp_path / "a/data/000-conv1.parquet").read_bytes() == (
        tmp_path / "b/data/000-conv1.parquet"
    ).read_bytes()


def test_a_dataset_without_names_keeps_its_order(images: Path, tmp_path: Path) -> None:
    source = _labelled(images, tmp_path / "hub", paths=False)
    assert source.order == "the dataset's own"
    assert source.name(2) == "row 2"
    assert not source.has_names
    assert source.image(0).mode == "RGB"
    with pytest.raises(InputError, match="split 'test' of the dataset"):
        HubSource(str(tmp_path / "hub"), "test")


def test_the_column_of_images_has_to_be_clear(tmp_path: Path) -> None:
    cell = {"bytes": encode_image(_picture(0, (9, 9))), "path": None}
    two = Features({"left": ImageFeature(), "right": ImageFeature()})
    Dataset.from_dict({"left": [cell], "right": [cell]}, features=two).to_parquet(
        tmp_path / "two" / "train.parquet"
    )
    Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "none" / "train.parquet")
    with pytest.raises(InputError, match=r"has 2 columns of images \['left', 'right'\]"):
        HubSource(str(tmp_path / "two"), "train")
    assert HubSource(str(tmp_path / "two"), "train", "right").image(0).size == (9, 9)
    with pytest.raises(InputError, match="did you mean 'right'"):
        HubSource(str(tmp_path / "two"), "train", "rigth")
    with pytest.raises(InputError, match="has no columns of images"):
        HubSource(str(tmp_path / "none"), "train")


def test_a_turned_picture_is_left_as_torchvision_reads_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    _picture(0, (30, 20)).save(buffer, "jpeg", exif=exif)
    data = {"image": [{"bytes": buffer.getvalue(), "path": "a.jpg"}]}
    Dataset.from_dict(data, features=Features({"image": ImageFeature()})).to_parquet(
        tmp_path / "turned" / "train.parquet"
    )
    assert HubSource(str(tmp_path / "turned"), "train").image(0).size == (30, 20)


def test_names_of_configs_and_folders(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    for name, match in (
        ("alexnet/imagenet", "run `milannotations download alexnet-imagenet`"),
        ("base", "is a group; name one of"),
        ("alexnet-imagnet", "neither a config nor a folder; did you mean 'alexnet-imagenet'"),
    ):
        with pytest.raises(InputError, match=match):
            find_folder(name)
    installed = tmp_path / "home" / "configs" / "alexnet-imagenet"
    installed.mkdir(parents=True)
    assert find_folder("alexnet/imagenet") == installed
    assert find_folder(str(folder)) == folder
    assert expected_source(folder) == SOURCES["imagenet"]
    (folder / "release.json").write_text('{"config": "biggan-imagenet"}')
    with pytest.raises(InputError, match="of a generator"):
        expected_source(folder)


def test_command_fills_an_imported_release(images: Path, tmp_path: Path) -> None:
    release = tmp_path / "alexnet-imagenet"
    (release / "conv1").mkdir(parents=True)
    masks = np.random.default_rng(0).integers(0, 2, (2, 3, 1, SIZE, SIZE)).astype(np.uint8)
    np.save(release / "conv1" / "masks.npy", masks)
    (release / "conv1" / "ids.csv").write_text("0,5,3\n5,1,0\n")
    (release / "annotations.csv").write_text("layer,unit,summary\nconv1,0,dogs\nconv1,1,cats\n")
    folder = tmp_path / "imported"
    import_release(release, folder)
    assert "without images" in (folder / "README.md").read_text()
    assert _load(folder, tmp_path / "cache")[1]["images"] == []
    base = [str(folder), "--source", str(images), "--geometry", "squash"]
    refused = CliRunner().invoke(app, base)
    assert isinstance(refused.exception, InputError)
    assert "2 class folders" in str(refused.exception)
    done = CliRunner().invoke(app, [*base, "--allow-other-source"])
    assert done.exception is None
    assert "8 images, ordered by: class folder, then file name" in done.output
    assert "2 of 2 records have new images, 4 distinct ones (squash, webp)" in done.output
    card = (folder / "README.md").read_text()
    assert "with the exemplars' images" in card
    assert "without images" not in card
    row = _load(folder, tmp_path / "cache")[1]
    validate(row)
    assert np.array_equal(np.asarray(row["masks"][0]), masks[1, 0, 0].astype(bool))
    _labelled(images, tmp_path / "hub")
    again = [str(folder), "--source-dataset", str(tmp_path / "hub"), "--allow-other-source"]
    kept = CliRunner().invoke(app, again)
    assert "all 2 records" in str(kept.exception)
    replaced = CliRunner().invoke(app, [*again, "--overwrite", "--image-format", "png"])
    assert replaced.exception is None
    assert "ordered by: column 'label', then file name" in replaced.output
    assert "dataset hub, split validation" in (folder / "README.md").read_text()
    assert (folder / "README.md").read_text().count("Images attached from") == 1
    neither = CliRunner().invoke(app, [str(folder)])
    assert "name either --source or --source-dataset" in str(neither.exception)


@pytest.mark.parametrize("named", ["absolute", "relative"])
def test_a_picture_that_is_only_named_is_not_opened(
    tmp_path: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4), (9, 9, 9)).save(secret)
    folder_path = tmp_path / "set"
    folder_path.mkdir()
    monkeypatch.chdir(folder_path)
    path = str(secret) if named == "absolute" else "../secret.png"
    column = pa.array([{"bytes": None, "path": path}])
    features = Features({"picture": ImageFeature()})
    table = pa.table({"picture": column}, schema=features.arrow_schema)
    pq.write_table(table, folder_path / "train.parquet")
    source = HubSource(str(folder_path), "train")
    with pytest.raises(UnreadableImageError, match=r"secret\.png.*outside of the dataset"):
        source.image(0)

"""Links, hidden files, odd names: every reader lists the same, and says what it left out."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import nn
from torchvision.datasets import ImageFolder as TorchvisionFolder

import milannotations
from applications.class_folders import classes_of
from applications.classifier import read_images
from applications.labelled import ClassImages
from applications.spurious_data.config import SpuriousTextConfig
from applications.spurious_data.dataset import write_spurious_images
from applications.spurious_data.text_cue import TextCue
from baselines.concepts.names import open_concepts
from baselines.concepts.segmented import PictureFolder
from milannotations.attach.attach import attach_images
from milannotations.attach.sources import FolderSource, HubSource
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.file_names import shown, utf8
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder
from milannotations.local_data import plain_path
from milannotations.pictures import class_folders, list_images
from milannotations.release.archive import FolderFiles

SIDE = 16
WHOLE = Preprocessing(size=SIDE, resize=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3)
LATIN = b"caf\xe9.png".decode("utf-8", "surrogateescape")


def _picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Three classes of four pictures; one class is a link, and one picture of another."""
    for number, name in enumerate(("images/class0", "elsewhere/class1", "images/class2")):
        for index in range(4):
            _picture(tmp_path / name / f"{index}.png", 4 * number + index)
    (tmp_path / "images" / "class1").symlink_to("../elsewhere/class1")
    (tmp_path / "images" / "class2" / "3.png").rename(tmp_path / "elsewhere" / "3.png")
    (tmp_path / "images" / "class2" / "3.png").symlink_to(tmp_path / "elsewhere" / "3.png")
    return tmp_path / "images"


def _pixels(image: Image.Image) -> bytes:
    return np.asarray(image).tobytes()


def _hub(folder: Path) -> list[bytes]:
    source = HubSource(str(folder), "train")
    return [_pixels(source.image(i)) for i in range(len(source))]


def _of(source: ImageFolder | FolderSource | PictureFolder) -> list[bytes]:
    return [_pixels(source.image(i)) for i in range(len(source))]


READERS: dict[str, Callable[[Path], list[bytes]]] = {
    "build": lambda f: _of(ImageFolder(f, WHOLE, SIDE)),
    "attach-images": lambda f: _of(FolderSource(f)),
    "dissect": lambda f: _of(PictureFolder(f)),
    "data set": _hub,
    "labelled": lambda f: [
        (inputs * 255).round().byte().permute(1, 2, 0).numpy().tobytes()
        for inputs in ClassImages(f, WHOLE).example(12)
    ],
    "train-classifier": lambda f: [
        p.permute(1, 2, 0).numpy().tobytes() for p in read_images(f, WHOLE).pixels
    ],
    "spurious-text": lambda f: [
        _pixels(Image.open(path).convert("RGB"))
        for paths in classes_of(f).values()
        for path in paths
    ],
}


@pytest.mark.parametrize("reader", READERS)
def test_linked_folders_and_files_are_followed_by_every_reader(reader: str, linked: Path) -> None:
    expected = [_pixels(image) for image, _ in TorchvisionFolder(linked)]
    assert len(expected) == 12
    assert READERS[reader](linked) == expected


def test_a_folder_of_links_alone(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "class0").symlink_to(linked / "class0")
    assert ImageFolder(tmp_path / "all").name(3) == "class0/3.png"


def test_links_in_a_circle_are_followed_once_and_told(
    linked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (linked / "class0" / "up").symlink_to(linked)
    (linked / "class0" / "self").symlink_to("self")
    (linked / "class0" / "gone").symlink_to("nowhere")
    listing = list_images(linked)
    assert len(listing.paths) == 12
    assert "links back to a folder they lie in: 1 (class0/up)" in caplog.text
    assert "links that lead nowhere: 2 (class0/gone, class0/self)" in caplog.text


def test_a_link_that_leads_nowhere_is_an_unreadable_image(linked: Path) -> None:
    (linked / "class0" / "9.png").symlink_to("nowhere.png")
    os.mkfifo(linked / "class2" / "pipe.png")
    source = ImageFolder(linked, WHOLE)
    assert len(source) == 14
    assert source.identity()["images"] == 14
    problems = source.check()
    assert [p.split(str(linked) + "/")[1] for p in problems] == [
        "class0/9.png cannot be read as an image: it is a link that leads nowhere",
        "class2/pipe.png cannot be read as an image: it is not a regular file",
    ]


def test_rubbish_is_left_out_by_name_and_told_once(
    linked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (
        "._0.png", ".DS_Store", "Thumbs.db", "__MACOSX/0.png", ".thumbnails/0.png", "@eaDir/0.png",
        ".hidden.png", "class0/._1.png", "class0/.ipynb_checkpoints/0.png", "lost+found/0.png",
    ):  # fmt: skip
        _picture(linked / name)
    expected = [_pixels(i) for i in map(Image.open, sorted(linked.glob("class*/[0-9].png")))]
    for reader in READERS.values():
        assert reader(linked) == expected
    assert [path.name for path in class_folders(linked)] == ["class0", "class1", "class2"]
    told = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert len(told) == 1
    assert "left out hidden files and folders, or those of an operating system: 10" in told[0]
    assert "(.DS_Store, ._0.png, .hidden.png, …)" in told[0]


def test_a_folder_that_cannot_be_listed_is_named(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "class2":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="class2 cannot be listed: Permission denied"):
        ImageFolder(linked)


def test_a_data_set_leaves_out_the_same_without_any_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    for name in ("a/0.png", "@eaDir/0.png", "a/._1.png"):
        _picture(tmp_path / "images" / name)
    (tmp_path / "images" / "a" / "2.png").symlink_to("gone.png")
    source = HubSource(str(tmp_path / "images"), "train")
    assert [source.name(i) for i in range(len(source))] == ["0.png"]
    assert "those of an operating system: 2" in caplog.text
    assert "links that lead nowhere: 1 (a/2.png)" in caplog.text


def test_labelled_images_whose_name_is_not_utf8_are_named(odd: Path) -> None:
    with pytest.raises(InputError, match=r"broden:.*xe9.* is not UTF-8"):
        open_concepts(f"broden:{odd}/{LATIN}")


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_torchvisions_on_random_trees(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    letters = ["a", "B", "ä", "a-", "a b", "1", "10", "2", "Z", "é", "[x]", "a*", "~"]
    for _ in range(60):
        parts = rng.choice(letters, size=rng.integers(2, 5)).tolist()
        path = tmp_path.joinpath("root", *parts).with_name(
            f"{parts[-1]}.{rng.choice(['png', 'JPG'])}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "root" / "linked").symlink_to(next((tmp_path / "root").iterdir()))
    expected = [path for path, _ in TorchvisionFolder(tmp_path / "root", allow_empty=True).samples]
    assert [str(path) for path in FolderSource(tmp_path / "root").paths] == expected
    assert [str(path) for path in ImageFolder(tmp_path / "root").paths] == expected


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Two classes with names that are hard to write down."""
    for number, name in enumerate(("0.png", LATIN, "two\nlines.png", 'comma,"quote".png')):
        for label in ("a", b"b\xff".decode("utf-8", "surrogateescape")):
            _picture(tmp_path / "odd" / label / name, number + 10 * (label == "a"))
    return tmp_path / "odd"


def _build(folder: Path, out: Path) -> None:
    source = ImageFolder(folder, WHOLE, SIDE)
    build(
        BuildRequest(
            module=nn.Sequential(nn.Conv2d(3, 2, 3)),
            source=source,
            layers=["0"],
            out=out,
            model="m",
            dataset="d",
            options=BuildOptions(k=3, size=SIDE, image_format="png"),
        )
    )


def test_names_that_are_not_utf8_are_written_and_compared(odd: Path, tmp_path: Path) -> None:
    _build(odd, tmp_path / "out")
    with (tmp_path / "out" / "images.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert len(names) == 8
    expected = ["0.png", "caf\\xe9.png", 'comma,"quote".png', "two\nlines.png"]
    assert names == [*(f"a/{name}" for name in expected), *(f"b\\xff/{name}" for name in expected)]
    records = milannotations.load(str(tmp_path / "out"))
    before = [_pixels(image) for record in records for image in record["images"]]
    report = attach_images(
        tmp_path / "out", FolderSource(odd), image_format="png", overwrite=True,
        geometry="squash", out=tmp_path / "attached",
    )  # fmt: skip
    assert report.attached == 2
    after = milannotations.load(str(tmp_path / "attached"))
    assert [_pixels(image) for record in after for image in record["images"]] == before


def test_applications_write_names_that_are_not_utf8(odd: Path, tmp_path: Path) -> None:
    write_spurious_images(
        SpuriousTextConfig(images=odd, out=tmp_path / "text", splits=(0.4, 0.3, 0.3))
    )
    facts = json.loads((tmp_path / "text" / TextCue.listing).read_text(encoding="utf-8"))
    assert set(facts["names"]) == {"a", "b\\xff"}
    assert len({entry["source"] for entry in facts["files"]}) == 8
    labelled = ClassImages(odd, WHOLE)
    assert labelled.classes == ("a", "b\\xff")
    assert len(labelled.identity) == 64
    assert read_images(odd, WHOLE).classes == labelled.classes


def test_a_damaged_file_of_such_a_name_is_named_on_one_line(odd: Path) -> None:
    for name in (LATIN, "two\nlines.png"):
        (odd / "a" / name).write_bytes(b"no picture")
    problems = ImageFolder(odd).check()
    assert len(problems) == 2
    assert any("a/caf\\xe9.png cannot" in problem for problem in problems)
    assert any("a/two\\nlines.png cannot" in problem for problem in problems)
    assert all(problem.isprintable() for problem in problems)


def test_the_command_line_prints_such_names(odd: Path, tmp_path: Path) -> None:
    (odd / "a" / LATIN).write_bytes(b"no picture")

    def run(out: bytes) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "PYTHONUTF8": "1"}
        return subprocess.run([*command, "--out", out], capture_output=True, env=environment)

    command = [
        sys.executable, "-m", "milannotations", "build", "--model", "smallnet", "--weights",
        "random", "--layers", "conv1", "--images", str(odd), "--k", "2", "--device",
        "cpu", "--skip-unreadable",
    ]  # fmt: skip
    info = PngInfo()
    info.add_text("k", "x" * 3_000_000, zip=True)
    Image.new("RGB", (SIDE, SIDE)).save(odd / "a" / "0.png", pnginfo=info)
    refused = run(os.fsencode(tmp_path) + b"/out\xe9")
    assert refused.returncode == 2
    assert b"/out\\xe9 is not UTF-8" in refused.stderr
    done = run(os.fsencode(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert b"left out: " in done.stdout and b"a/caf\\xe9.png" in done.stdout
    assert b"a/0.png cannot be read as an image: ValueError Decompressed data too" in done.stdout
    assert b"6 images (2 left out)" in done.stdout


def test_utf8_and_shown_leave_ordinary_names_alone() -> None:
    for name in ("a b.png", "é/ü.png", "猫.png", "a\\b.png"):
        assert utf8(name) == shown(name) == name


@pytest.mark.parametrize("name", ["[x]", "a*b", "q?", "{a,b}", "x[1-3]", LATIN])
def test_data_sets_load_from_folders_with_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    for index in range(4):
        _picture(tmp_path / "images" / f"{index}.png", index)
    _build(tmp_path / "images", tmp_path / "plain")
    shutil.copytree(tmp_path / "plain", tmp_path / name)
    (tmp_path / "plain").rename(tmp_path / "aXb")  # which the pattern a*b would match
    loaded = milannotations.load(str(tmp_path / name))
    assert loaded["unit"] == [0, 1]
    streamed = milannotations.load(str(tmp_path / name), streaming=True)
    assert [record["unit"] for record in streamed] == [0, 1]
    shard = next((tmp_path / name / "data").iterdir())
    assert milannotations.load(str(shard))["unit"] == [0, 1]
    # What was written anew is read anew.
    for path in tmp_path.joinpath(name, "data").iterdir():
        path.rename(path.with_name("000-other.parquet"))
    assert milannotations.load(str(tmp_path / name))["unit"] == [0, 1]


def test_a_data_set_whose_data_folder_is_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    for index in range(3):
        _picture(tmp_path / "images" / f"{index}.png", index)
    _build(tmp_path / "images", tmp_path / "out")
    (tmp_path / "out" / "data").rename(tmp_path / "moved")
    (tmp_path / "out" / "data").symlink_to(tmp_path / "moved")
    assert milannotations.load(str(tmp_path / "out"))["unit"] == [0, 1]
    report = attach_images(tmp_path / "out", FolderSource(_classes(tmp_path)), overwrite=True,
                           out=tmp_path / "attached")  # fmt: skip
    assert report.attached == 2


def _classes(tmp_path: Path) -> Path:
    for index in range(3):
        _picture(tmp_path / "classes" / "c" / f"{index}.png", index)
    return tmp_path / "classes"


def test_an_ordinary_place_needs_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    assert plain_path(tmp_path) == tmp_path
    assert not (tmp_path / "home").exists()


def test_a_place_of_links_follows_its_folder(
    linked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    first = plain_path(linked)
    assert first != linked and len(list(first.rglob("*.png"))) == 12
    (linked / "class0" / "0.png").unlink()
    (linked / "class1").unlink()
    (linked / "class3").symlink_to(linked / "class2")
    assert plain_path(linked) == first
    names = sorted(p.relative_to(first).as_posix() for p in first.rglob("*.png"))
    assert names == [*(f"class0/{i}.png" for i in (1, 2, 3)),
                     *(f"class{c}/{i}.png" for c in (2, 3) for i in range(4))]  # fmt: skip


def test_linked_layer_folders_of_a_release_are_followed(tmp_path: Path) -> None:
    for name in ("masks.npy", "ids.csv"):
        path = tmp_path / "elsewhere" / "conv1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "annotations.csv").write_bytes(b"x")
    (tmp_path / "release" / "conv1").symlink_to(tmp_path / "elsewhere" / "conv1")
    files = FolderFiles(tmp_path / "release")
    assert files.layers == ["conv1"]
    assert files.read("conv1/masks.npy") == b"x"

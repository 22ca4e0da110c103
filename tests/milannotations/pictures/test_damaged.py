"""Damaged and hostile files: each is one unreadable image with its name, and nothing else."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from torch import nn

import milannotations
from applications.classifier import read_images
from applications.labelled import ClassImages
from applications.spurious_data.config import SpuriousTextConfig
from applications.spurious_data.dataset import write_spurious_images
from milannotations.attach.sources import FolderSource
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder
from milannotations.pictures import UnreadableImageError, problem_of, read_rgb, size_of
from milannotations.pictures.decode import known_formats
from scripts.fuzz_pictures import Tally, check, mutated, sound_pictures
from tests.milannotations.pictures.made_files import chunk, tiff

SIDE = 16
WHOLE = Preprocessing(size=SIDE, resize=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3)


def _encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("k", "x" * 3_000_000, zip=True)
    return _encoded(Image.new("RGB", (SIDE, SIDE)), "PNG", pnginfo=info)


def _png(width: int, height: int, data: bytes = b"", colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    )


HOSTILE: dict[str, tuple[bytes, str]] = {
    "text chunk": (_text_bomb(), "Decompressed data too large"),
    "empty": (b"", "it is empty"),
    "no picture": (b"<html></html>", "it is in none of the formats"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of the formats"),
    "cut": (_encoded(Image.new("RGB", (64, 64), "red"), "JPEG")[:400], "truncated|Truncated"),
    "bomb": (_png(60_000, 60_000), "3600000000 pixels"),
    "palette missing": (_png(4, 4, b"\0\1\2\3\1" * 4, colour=3), ""),
    "ppm header": (b"P6 99999999999 1 255\n", ""),
    "ppm of letters": (b"P6 abc def 255\n", ""),
    "ppm of 70,000 levels": (b"P5 1 1 70000\n\0\0", ""),
    "tiff without strips": (tiff(np.zeros((4, 4), np.uint8))[:40], ""),
    "tiff directory beyond the end": (b"II*\0\xff\xff\xff\x7f", ""),
    "narrow": (_encoded(Image.new("L", (1, 60_000)), "PNG"), "too narrow"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_damage_is_one_unreadable_image(kind: str, tmp_path: Path) -> None:
    data, reason = HOSTILE[kind]
    if kind == "palette missing":  # which Pillow shows in grey
        assert read_rgb(data).size == (4, 4)
        return
    path = tmp_path / "its name.png"
    path.write_bytes(data)
    source = ImageFolder(tmp_path, Preprocessing())
    with pytest.raises(UnreadableImageError, match=rf"its name\.png cannot be read.*({reason})"):
        source.inputs(0)


def test_files_are_read_by_format_not_by_name(tmp_path: Path) -> None:
    assert "EPS" not in known_formats() and {"JPEG", "PNG", "GIF"} <= {*known_formats()}
    (tmp_path / "x.png").write_bytes(_encoded(Image.new("RGB", (4, 4), "red"), "GIF"))
    assert np.asarray(ImageFolder(tmp_path, WHOLE, SIDE).image(0))[0, 0].tolist() == [255, 0, 0]


def test_a_limit_that_other_code_has_lifted_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for read in (read_rgb, size_of):
        with pytest.raises(UnreadableImageError, match="60000 × 60000 pixels; at most 178,956,970"):
            read(_png(60_000, 60_000))


def test_whatever_a_codec_raises_is_one_unreadable_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    raised_errors = [
        MemoryError(), struct.error("x"), zlib.error("x"), IndexError(), RuntimeError("x"),
        OverflowError("x"), RecursionError("x"), KeyError("x"), AssertionError(),
    ]  # fmt: skip
    for error in raised_errors:

        def fail(*_: object, raised: Exception = error, **__: object) -> None:
            raise raised

        monkeypatch.setattr(Image.Image, "convert", fail)
        with pytest.raises(UnreadableImageError, match=r"0\.png cannot be read as an image: \w+"):
            ImageFolder(tmp_path, WHOLE).inputs(0)


def test_too_many_open_files_is_not_the_pictures_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")

    def fail(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(OSError, match="Too many open files"):
        read_rgb(tmp_path / "0.png")


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two classes of four pictures; the first of the first is hostile."""
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(4):
            pixels = np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{index}.png")
    (tmp_path / "images" / "a" / "0.png").write_bytes(_text_bomb())
    return tmp_path / "images"


def test_a_build_names_it_or_leaves_it_out(classes: Path, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3))
    source = ImageFolder(classes, WHOLE, SIDE)
    assert [p.split(": ")[0] for p in source.check()] == [
        f"{classes}/a/0.png cannot be read as an image"
    ]
    for skip in (False, True):
        options = BuildOptions(k=2, size=SIDE, skip_unreadable=skip)
        if not skip:
            with pytest.raises(InputError, match=r"a/0\.png cannot be read.*--skip-unreadable"):
                build(
                    BuildRequest(
                        module=network,
                        source=source,
                        layers=["0"],
                        out=tmp_path / "out",
                        model="m",
                        dataset="d",
                        options=options,
                    )
                )
            continue
        report = build(
            BuildRequest(
                module=network,
                source=source,
                layers=["0"],
                out=tmp_path / "out",
                model="m",
                dataset="d",
                options=options,
            )
        )
        assert report.images == 7 and len(report.unreadable) == 1
        assert "a/0.png" in report.unreadable[0]


OTHERS: list[Callable[[Path], object]] = [
    lambda folder: FolderSource(folder).image(0),
    lambda folder: list(ClassImages(folder, WHOLE).batches(4)),
    lambda folder: read_images(folder, WHOLE),
    lambda folder: write_spurious_images(
        SpuriousTextConfig(images=folder, out=folder.parent / "out", splits=(0.4, 0.3, 0.3))
    ),
]


@pytest.mark.parametrize("reader", OTHERS)
def test_other_readers_name_it(reader: Callable[[Path], object], classes: Path) -> None:
    with pytest.raises(InputError, match=r"a/0\.png cannot be read as an image: ValueError"):
        reader(classes)


def test_one_channel_is_shown_as_the_network_saw_it(classes: Path) -> None:
    grey = Preprocessing(size=SIDE, resize=SIDE, mean=(0.5,), std=(0.5,))
    source = ImageFolder(classes, grey, SIDE)
    exemplar, inputs = np.asarray(source.image(1)), source.inputs(1).numpy()
    assert inputs.shape == (1, SIDE, SIDE)
    assert (exemplar == exemplar[..., :1]).all()
    assert np.allclose(exemplar[..., 0] / 255, inputs[0] * 0.5 + 0.5, atol=1e-6)


def test_a_build_of_a_grey_network_stores_grey(classes: Path, tmp_path: Path) -> None:
    (classes / "a" / "0.png").unlink()
    grey = Preprocessing(size=SIDE, resize=SIDE, mean=(0.5,), std=(0.5,))
    build(
        BuildRequest(
            module=nn.Sequential(nn.Conv2d(1, 2, 3)),
            source=ImageFolder(classes, grey, SIDE),
            layers=["0"],
            out=tmp_path / "out",
            model="m",
            dataset="d",
            options=BuildOptions(k=2, size=SIDE, image_format="png"),
        )
    )
    for record in milannotations.load(str(tmp_path / "out")):
        for image, index in zip(record["images"], record["image_ids"], strict=True):
            path = sorted(classes.rglob("*.png"))[index]
            seen = np.asarray(Image.open(path).convert("L"))
            assert np.array_equal(np.asarray(image), np.stack([seen] * 3, -1))


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_other_numbers_of_channels_are_refused(channels: int) -> None:
    with pytest.raises(InputError, match=f"{channels} means and {channels} standard deviations"):
        Preprocessing(mean=(0.5,) * channels, std=(0.5,) * channels)


def test_sound_pictures_of_all_formats_are_read() -> None:
    for kind, data in sound_pictures().items():
        assert problem_of(data) is None, kind
        assert read_rgb(data).mode == "RGB", kind


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_of_all_formats_end_as_promised() -> None:
    tally = Tally()
    sound = sound_pictures()
    for kind, data in mutated(sound, 10 * len(sound), seed=1):
        check(kind, data, tally)
    assert tally.broken == []
    assert tally.read.total() + tally.refused.total() == 10 * len(sound)
    # Neither all read nor all refused, or nothing has been tried.
    assert tally.read.total() > 50 and len(tally.reasons) > 20


def test_sound_pictures_give_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in sound_pictures().values():
            read_rgb(data)

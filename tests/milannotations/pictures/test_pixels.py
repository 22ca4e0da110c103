"""Every kind of pixel becomes 8-bit RGB by its declared range, or is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image

from applications.classifier import read_images
from applications.labelled import ClassImages
from applications.spurious_data.config import SpuriousTextConfig
from applications.spurious_data.dataset import write_spurious_images
from baselines.concepts.segmented import PictureFolder
from milannotations.attach.sources import FolderSource, HubSource
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder, PictureSource
from milannotations.pictures import UnreadableImageError, problem_of, read_rgb, to_rgb
from milannotations.record import encode_image
from tests.milannotations.pictures.made_files import png, tiff

SIDE = 16
WHOLE = Preprocessing(size=SIDE, resize=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3)
# From black to white in steps that no 8-bit value holds exactly.
RAMP = np.linspace(0, 65_535, SIDE * SIDE).round().astype(np.uint16).reshape(SIDE, SIDE)


def _saved(values: np.ndarray, file_format: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(values).save(buffer, file_format)
    return buffer.getvalue()


def _pgm(values: np.ndarray, highest: int) -> bytes:
    return b"P5 16 16 %d\n" % highest + values.astype(">u2").tobytes()


def _scaled(values: np.ndarray, highest: float) -> np.ndarray:
    return np.rint(values.astype(np.float64) / highest * 255)


UNIT = (RAMP / 65_535).astype(np.float32)
TWELVE = RAMP >> 4
KINDS: dict[str, tuple[bytes, np.ndarray]] = {
    "png": (_saved(RAMP, "PNG"), _scaled(RAMP, 65_535)),
    "tiff": (_saved(RAMP, "TIFF"), _scaled(RAMP, 65_535)),
    "tiff, most significant byte first": (tiff(RAMP, order=">"), _scaled(RAMP, 65_535)),
    "tiff, 0 is white": (tiff(RAMP, photometric=0), 255 - _scaled(RAMP, 65_535)),
    "tiff of 12 bits": (tiff(TWELVE, bits=12), _scaled(TWELVE, 4_095)),
    "pgm": (_pgm(RAMP, 65_535), _scaled(RAMP, 65_535)),
    "pgm up to 1000": (_pgm(RAMP // 66, 1_000), _scaled(RAMP // 66, 1_000)),
    "float tiff": (_saved(UNIT, "TIFF"), _scaled(UNIT, 1)),
    "float tiff, 0 is white": (tiff(UNIT, sample_format=3, photometric=0), _scaled(1 - UNIT, 1)),
    "png, grey with alpha": (
        png(np.stack([RAMP, RAMP[::-1]], -1), 4), _scaled(RAMP, 65_535),
    ),
    "png, rgb": (png(np.stack([RAMP] * 3, -1), 2), _scaled(RAMP, 65_535)),
    "png, rgb with alpha": (
        png(np.stack([RAMP] * 3 + [RAMP[::-1]], -1), 6), _scaled(RAMP, 65_535),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_deep_pictures_are_scaled_by_their_declared_range(kind: str) -> None:
    encoded, expected = KINDS[kind]
    pixels = np.asarray(read_rgb(encoded)).astype(int)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    # Of several channels of 16 bits Pillow keeps the upper byte: at most one level less.
    tolerance = 1 if "rgb" in kind or "alpha" in kind or "pgm" in kind else 0
    assert np.abs(pixels[..., 0] - expected).max() <= tolerance
    assert problem_of(encoded) is None


REFUSED = {
    "float above 1": (_saved(UNIT * 255, "TIFF"), r"values from 0 to 255, and only 0 to 1"),
    "float below 0": (_saved(UNIT * 2 - 1, "TIFF"), "values from -1 to 1"),
    "float with NaN": (_saved(np.where(UNIT > 0.5, np.nan, UNIT), "TIFF"), "values from nan"),
    "signed 8 bits": (tiff(RAMP.astype(np.int8), sample_format=2), "signed integers"),
    "signed 16 bits": (tiff(RAMP.astype(np.int16), sample_format=2), "signed integers"),
    "signed 32 bits": (_saved(RAMP.astype(np.int32), "TIFF"), "signed integers"),
    "32 bits": (tiff(RAMP.astype(np.uint32)), "32-bit integers"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_undeclared_ranges_are_refused_before_the_pass(kind: str) -> None:
    encoded, reason = REFUSED[kind]
    with pytest.raises(UnreadableImageError, match=rf"^mine\.tif cannot.*{reason}.*8 or 16 bits"):
        read_rgb(encoded, "mine.tif")
    assert "8 or 16 bits" in str(problem_of(encoded))


def _convert(mode: str) -> Image.Image:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    image = noise.convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)))
    return image


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_ordinary_pictures_are_as_torchvisions_loader_has_them(mode: str) -> None:
    buffer = BytesIO()
    _convert(mode).save(buffer, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    expected = np.asarray(Image.open(buffer).convert("RGB"))
    assert np.array_equal(np.asarray(read_rgb(buffer.getvalue())), expected)


def test_a_palette_with_transparency_gives_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    buffer = BytesIO()
    _convert("P").save(buffer, "PNG", transparency=bytes(range(256)))
    read_rgb(buffer.getvalue())
    assert not recwarn.list


def _from_folder(folder: Path) -> Image.Image:
    return ImageFolder(folder, WHOLE, size=SIDE).image(0)


def _from_inputs(folder: Path) -> Image.Image:
    inputs = ImageFolder(folder, WHOLE, size=SIDE).inputs(0)
    return Image.fromarray((inputs * 255).round().byte().permute(1, 2, 0).numpy())


def _from_attach(folder: Path) -> Image.Image:
    return FolderSource(folder).image(0)


def _from_concepts(folder: Path) -> Image.Image:
    return PictureFolder(folder).image(0)


def _from_labelled(folder: Path) -> Image.Image:
    inputs = ClassImages(folder, WHOLE).example(1)[0]
    return Image.fromarray((inputs * 255).round().byte().permute(1, 2, 0).numpy())


def _from_classifier(folder: Path) -> Image.Image:
    return Image.fromarray(read_images(folder, WHOLE).pixels[0].permute(1, 2, 0).numpy())


def _from_spurious_text(folder: Path) -> Image.Image:
    out = folder.parent / "written"
    write_spurious_images(
        SpuriousTextConfig(images=folder, out=out, fraction=0, splits=(0.4, 0.3, 0.3))
    )
    return Image.open(next((out / "train" / "a").iterdir()))


def _from_data_set(folder: Path) -> Image.Image:
    cell = {"bytes": next(folder.rglob("0.*")).read_bytes(), "path": None}
    data = Dataset.from_dict({"image": [cell]}, features=Features({"image": ImageFeature()}))
    data.to_parquet(folder.parent / "set" / "train.parquet")
    source = HubSource(str(folder.parent / "set"), "train")
    return PictureSource(source, WHOLE, SIDE).image(0)


def _from_object(folder: Path) -> Image.Image:
    with Image.open(next(folder.rglob("0.*"))) as image:
        return Image.open(BytesIO(encode_image(image, "png")))


READERS: list[Callable[[Path], Image.Image]] = [
    _from_folder, _from_inputs, _from_attach, _from_concepts, _from_labelled, _from_classifier,
    _from_spurious_text, _from_data_set, _from_object,
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["png", "tiff, 0 is white", "pgm up to 1000", "float tiff"])
def test_all_readers_see_the_same(
    kind: str, reader: Callable[[Path], Image.Image], tmp_path: Path
) -> None:
    encoded, _ = KINDS[kind]
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(3):
            ending = kind.split()[0].split(",")[0].replace("float", "tif")
            (tmp_path / "images" / name / f"{number}.{ending}").write_bytes(encoded)
    found = np.asarray(reader(tmp_path / "images"))
    assert np.array_equal(found, np.asarray(read_rgb(encoded)))
    assert len(np.unique(found)) > 200


def test_arrays_in_a_data_set_are_scaled(tmp_path: Path) -> None:
    pictures = [RAMP, UNIT, (RAMP >> 8).astype(np.uint8), Image.fromarray(RAMP)]
    data = Dataset.from_dict({"image": pictures}, features=Features({"image": ImageFeature()}))
    data.to_parquet(tmp_path / "set" / "train.parquet")
    source = HubSource(str(tmp_path / "set"), "train")
    for index, expected in enumerate([RAMP / 257, UNIT * 255, RAMP >> 8, RAMP / 257]):
        found = np.asarray(source.image(index))[..., 0]
        assert np.array_equal(found, np.rint(expected)), index


def test_pictures_in_memory_are_scaled_or_refused() -> None:
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(RAMP)))[..., 0], np.rint(RAMP / 257))
    with pytest.raises(ValueError, match="32-bit integers"):
        WHOLE.view(Image.fromarray(RAMP.astype(np.int32)))


def test_exif_orientation_is_not_applied_anywhere(tmp_path: Path) -> None:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[: SIDE // 2] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    (tmp_path / "x" / "c").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "x" / "c" / "0.png", exif=exif)
    source = ImageFolder(tmp_path / "x", WHOLE, size=SIDE)
    assert np.array_equal(np.asarray(source.image(0)), pixels)
    assert np.array_equal(np.asarray(FolderSource(tmp_path / "x").image(0)), pixels)
    for image_format in ("png", "webp"):
        stored = encode_image(source.image(0), image_format)
        # `datasets` turns what it decodes, if it is told to.
        decoded = ImageFeature().decode_example({"bytes": stored, "path": None})
        assert np.array_equal(np.asarray(decoded), pixels)

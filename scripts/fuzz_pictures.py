"""Damage pictures of every format at random, and check how reading them ends.

Every file must give either an RGB picture of a permitted size or one ``UnreadableImageError`` with
its name and one line of text; nothing else may be raised, and nothing may take long.

    python scripts/fuzz_pictures.py --files 2000 --seed 0
"""

from __future__ import annotations

import argparse
import io
import resource
import struct
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, PngImagePlugin, features

from milannotations.inputs.preprocessing import Preprocessing
from milannotations.pictures import (
    MAX_PIXELS,
    UnreadableImageError,
    naming,
    opened,
    problem_of,
    read_rgb,
)

SIDE = 24
NAME = "fuzzed\udce9.png"  # not UTF-8, so that messages have to cope with it
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_VIEW = Preprocessing(size=16, resize=16)


def sound_pictures() -> dict[str, bytes]:
    """Return undamaged pictures of all formats and many of their variants, by name."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65_536, (SIDE, SIDE)).astype(np.uint16))
    real = Image.fromarray(rng.random((SIDE, SIDE), dtype=np.float32))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "x" * 200)
    text.add_text("Comment", "y" * 2_000, zip=True)
    text.add_itxt("Author", "ä" * 50, zip=True)
    grey, palette, rgba = noise.convert("L"), noise.convert("P"), noise.convert("RGBA")
    recipes: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (noise, "JPEG", {"exif": exif}),
        "jpeg progressive": (noise, "JPEG", {"progressive": True, "icc_profile": b"p" * 300}),
        "jpeg grey": (grey, "JPEG", {}),
        "jpeg cmyk": (noise.convert("CMYK"), "JPEG", {}),
        "png": (noise, "PNG", {"pnginfo": text, "exif": exif, "icc_profile": b"p" * 300}),
        "png palette": (palette, "PNG", {"transparency": bytes(range(200))}),
        "png grey 16": (deep, "PNG", {}),
        "png alpha": (rgba, "PNG", {}),
        "png bits": (noise.convert("1"), "PNG", {}),
        "png animated": (noise, "PNG", {"save_all": True, "append_images": [noise.rotate(90)]}),
        "bmp": (noise, "BMP", {}),
        "bmp palette": (palette, "BMP", {}),
        "dib": (noise, "DIB", {}),
        "ppm": (noise, "PPM", {}),
        "pgm 16": (deep, "PPM", {}),
        "pbm": (noise.convert("1"), "PPM", {}),
        "pfm": (real, "PPM", {}),
        "gif": (noise, "GIF", {"save_all": True, "append_images": [noise.rotate(90)]}),
        "ico": (rgba, "ICO", {"sizes": [(16, 16), (SIDE, SIDE)]}),
        "tiff": (noise, "TIFF", {"exif": exif}),
        "tiff grey 16": (deep, "TIFF", {}),
        "tiff float": (real, "TIFF", {}),
        "tiff cmyk": (noise.convert("CMYK"), "TIFF", {}),
        "tiff ycbcr": (noise.convert("YCbCr"), "TIFF", {}),
        "webp": (noise, "WEBP", {"exif": exif}),
        "webp lossless": (rgba, "WEBP", {"lossless": True}),
        "webp animated": (noise, "WEBP", {"save_all": True, "append_images": [noise.rotate(90)]}),
    }
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "tiff_adobe_deflate"):
        recipes[f"tiff {compression}"] = noise, "TIFF", {"compression": compression}
    recipes["tiff group4"] = noise.convert("1"), "TIFF", {"compression": "group4"}
    recipes["tiff lzw 16"] = deep, "TIFF", {"compression": "tiff_lzw"}
    if features.check("jpg_2000"):
        recipes["jpeg 2000"] = noise, "JPEG2000", {}
    if features.check("avif"):
        recipes["avif"] = noise, "AVIF", {}
    pictures = {name: _encoded(*recipe) for name, recipe in recipes.items()}
    for magic, highest in ((b"P1", b""), (b"P2", b"1000\n"), (b"P3", b"255\n")):
        numbers = b" ".join(b"1" if magic == b"P1" else b"200" for _ in range(SIDE * SIDE * 3))
        pictures[f"plain {magic.decode()}"] = magic + b"\n# made\n24 24\n" + highest + numbers
    return pictures


def mutated(sound: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield names of kinds and damaged files, the same for the same seed.

    Args:
        sound: See ``sound_pictures``; the kinds take turns.
        count: Number of files.
        seed: Seed of the damage.
    """
    rng = np.random.default_rng(seed)
    kinds = list(sound)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        data = bytearray(sound[kind])
        for _ in range(int(rng.integers(1, 5))):
            data = _DAMAGE[int(rng.integers(len(_DAMAGE)))](data, rng)
        if rng.random() < 0.1:  # the head of one file, the rest of another
            other = sound[kinds[int(rng.integers(len(kinds)))]]
            data[len(data) // 2 :] = other[len(other) // 2 :]
        if rng.random() < 0.8:  # without this, a third of the files would have no known format
            data[:12] = sound[kind][:12]
        # Without right checksums, nearly all damaged PNGs would be refused for a wrong one.
        yield kind, _with_checksums(bytes(data)) if rng.random() < 0.7 else bytes(data)


@dataclass
class Tally:
    """Outcomes of reading damaged files.

    Attributes:
        read: Files that gave a picture, by kind.
        refused: Files that were refused, by kind.
        reasons: How often each reason was given, without its numbers.
        broken: Outcomes that must not occur.
        slowest: Seconds, kind and size in bytes of the file that took longest.
    """

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest: tuple[float, str, int] = (0.0, "", 0)


def check(kind: str, data: bytes, tally: Tally) -> None:
    """Read a file in every way, and count the outcome."""
    begin = time.perf_counter()
    try:
        problem_of(data, NAME)
        _shape(data)
        picture = read_rgb(data, NAME)
        with naming(NAME), opened(data, NAME) as image:
            _VIEW.view(image)
    except UnreadableImageError as error:
        text = str(error)
        if not text.startswith("fuzzed\\xe9.png cannot be read as an image: ") or len(text) > 300:
            tally.broken.append(f"{kind}: {text!r}")
        if not text.isprintable():
            tally.broken.append(f"{kind}: more than one line, or not printable: {text!r}")
        tally.refused[kind] += 1
        tally.reasons["".join(c for c in text.split(": ", 1)[1] if not c.isdigit())] += 1
    except Exception as error:
        tally.broken.append(f"{kind}: {type(error).__name__}: {error}")
    else:
        if picture.mode != "RGB" or not 0 < picture.width * picture.height <= MAX_PIXELS:
            tally.broken.append(f"{kind}: {picture.mode} {picture.size}")
        tally.read[kind] += 1
    tally.slowest = max(tally.slowest, (time.perf_counter() - begin, kind, len(data)))


def _shape(data: bytes) -> None:
    with opened(data, NAME) as image:
        image.load()


def _encoded(image: Image.Image, file_format: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 9))):
        if data:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return data


def _flip_head(data: bytearray, rng: np.random.Generator) -> bytearray:
    if data:
        data[int(rng.integers(min(64, len(data))))] = int(rng.integers(256))
    return data


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data) + 1))]


def _remove(data: bytearray, rng: np.random.Generator) -> bytearray:
    begin = int(rng.integers(len(data) + 1))
    del data[begin : begin + int(rng.integers(1, 40))]
    return data


def _insert(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(len(data) + 1))
    data[at:at] = rng.bytes(int(rng.integers(1, 40)))
    return data


def _extreme(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Overwrite two or four bytes with a number that often causes errors, mostly near the start."""
    value = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
    form = [">H", "<H", ">I", "<I"][int(rng.integers(4))]
    written = struct.pack(form, value & (0xFFFF if "H" in form else 0xFFFFFFFF))
    end = len(data) if rng.random() < 0.4 else min(len(data), 128)
    at = int(rng.integers(end + 1))
    data[at : at + len(written)] = written
    return data


def _repeat(data: bytearray, rng: np.random.Generator) -> bytearray:
    begin = int(rng.integers(len(data) + 1))
    chunk = data[begin : begin + int(rng.integers(1, 200))]
    data[begin:begin] = chunk * int(rng.integers(1, 20))
    return data


_DAMAGE = (_flip, _flip, _flip_head, _cut, _remove, _insert, _extreme, _extreme, _repeat)


def _with_checksums(data: bytes) -> bytes:
    """Return a PNG with the right checksum in each chunk, as far as its chunks can be parsed."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    mended, at = bytearray(data), 8
    while at + 12 <= len(mended):
        (length,) = struct.unpack_from(">I", mended, at)
        end = at + 8 + length
        if end + 4 > len(mended):
            break
        struct.pack_into(">I", mended, end, zlib.crc32(mended[at + 4 : end]))
        at = end + 4
    return bytes(mended)


def main() -> None:
    """Read all files and print the outcomes; exit with an error if anything broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tally = Tally()
    sound = sound_pictures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, data in mutated(sound, arguments.files, arguments.seed):
            check(kind, data, tally)
    print(f"{'kind':24} {'read':>6} {'refused':>8}")
    for kind in sound:
        print(f"{kind:24} {tally.read[kind]:6} {tally.refused[kind]:8}")
    print(f"{'all':24} {tally.read.total():6} {tally.refused.total():8}")
    print(f"{len(tally.reasons)} different reasons; the most frequent:")
    for reason, count in tally.reasons.most_common(8):
        print(f"{count:6}  {reason}")
    seconds, kind, size = tally.slowest
    print(f"slowest: {seconds:.2f} s, {kind}, {size} bytes")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    print(f"broken: {len(tally.broken)}")
    for line in tally.broken[:20]:
        print(f"  {line!a}")
    raise SystemExit(bool(tally.broken))


if __name__ == "__main__":
    main()

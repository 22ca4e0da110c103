"""Opening and decoding one picture; every failure is the same error, which names the picture."""

from __future__ import annotations

import errno
import io
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeAlias

from PIL import Image, UnidentifiedImageError

from milannotations.errors import InputError
from milannotations.file_names import shown
from milannotations.pictures.pixels import PictureError, check_mode, to_rgb

Encoded: TypeAlias = "Path | bytes"

# Pillow's own limit by default, which other code in the process may have changed.
MAX_PIXELS = 178_956_970
# All common formats that Pillow itself decodes, without PostScript, which would start another
# program, and without rarely tested formats.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "PPM", "GIF", "JPEG2000", "AVIF", "ICO")
_LONGEST = 200  # characters of a reason
_NOT_THE_PICTURES = (errno.EMFILE, errno.ENFILE)  # too many open files


class UnreadableImageError(InputError):
    """A picture that cannot be read; the message names it and says why."""


@contextmanager
def naming(name: str | Path) -> Iterator[None]:
    """Turn whatever is raised while a picture is decoded into an error that names it.

    Pillow and its codecs raise a dozen kinds of exceptions for damaged files (``OSError``,
    ``SyntaxError``, ``struct.error``, ``zlib.error``, ``IndexError``, ``OverflowError`` …), and new
    versions add others, so no list is complete.

    Args:
        name: Name of the picture.

    Raises:
        UnreadableImageError: In place of any ``Exception`` except an ``InputError`` or too many
            open files.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_THE_PICTURES:
            raise
        raise UnreadableImageError(
            f"{shown(name)} cannot be read as an image: {_reason(error)}"
        ) from error


@contextmanager
def opened(
    file: Encoded, name: str | Path | None = None, formats: Sequence[str] | None = None
) -> Iterator[Image.Image]:
    """Open a picture in a ``with`` block; its pixels are decoded when they are first needed.

    Args:
        file: A regular file, or its content.
        name: Name for messages; default the file's path.
        formats: Pillow's names of the allowed formats; default all of ``known_formats``.

    Yields:
        The picture as Pillow opens it, with at most ``MAX_PIXELS`` pixels.

    Raises:
        UnreadableImageError: If it is missing, damaged or too large; also if the block raises.
    """
    with naming(name if name is not None else _name(file)), _stream(file) as stream:
        allowed = known_formats() if formats is None else formats
        with Image.open(stream, formats=[*allowed]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PictureError(
                    f"it declares {image.width} × {image.height} pixels; at most {MAX_PIXELS:,} "
                    "are decoded"
                )
            # Transparency does not affect RGB, and Pillow would warn of it at each conversion.
            image.info.pop("transparency", None)
            yield image


def read_rgb(file: Encoded, name: str | Path | None = None) -> Image.Image:
    """Return a picture, decoded and converted to 8-bit RGB by the rules of ``to_rgb``.

    Raises:
        UnreadableImageError: As in ``opened`` and ``to_rgb``.
    """
    with opened(file, name) as image:
        return to_rgb(image)


def size_of(file: Encoded, name: str | Path | None = None) -> tuple[int, int]:
    """Return width and height, reading only the header; errors are those of ``opened``."""
    with opened(file, name) as image:
        return image.width, image.height


def problem_of(file: Encoded, name: str | Path | None = None) -> str | None:
    """Return, in words, what a picture's header shows to be wrong with it; None if nothing.

    This takes about 0.1 ms. Floating-point pictures are decoded, as the header does not state their
    range.
    """
    try:
        with opened(file, name) as image:
            check_mode(image)
            if image.mode == "F":
                to_rgb(image)
    except UnreadableImageError as error:
        return str(error)
    return None


@lru_cache(maxsize=1)
def known_formats() -> tuple[str, ...]:
    """Return the accepted formats that the installed Pillow can decode."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _name(file: Encoded) -> str | Path:
    return file if isinstance(file, Path) else "a picture in memory"


def _stream(file: Encoded) -> AbstractContextManager[BinaryIO]:
    if isinstance(file, bytes):
        if not file:
            raise PictureError("it is empty")
        return io.BytesIO(file)
    try:
        status = file.stat()
    except FileNotFoundError:
        missing = "it is a link that leads nowhere" if file.is_symlink() else "it does not exist"
        raise PictureError(missing) from None
    if not stat.S_ISREG(status.st_mode):  # reading from a pipe could wait for ever
        raise PictureError("it is not a regular file")
    if not status.st_size:
        raise PictureError("it is empty")
    return file.open("rb")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        formats = ", ".join(known_formats())
        return f"it is in none of the formats that are read ({formats}), or of a rare kind"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}"
    text = str(error).split(" <_io")[0].split(" '/")[0].strip()
    if not isinstance(error, (PictureError, OSError)):
        text = f"{type(error).__name__} {text}".strip()
    short = shown(" ".join(text.split()) or type(error).__name__)
    return short if len(short) <= _LONGEST else f"{short[: _LONGEST - 1]}…"

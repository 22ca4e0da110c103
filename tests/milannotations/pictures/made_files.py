"""Picture files written byte by byte, of kinds that Pillow reads but does not write."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def tiff(
    values: np.ndarray,
    *,
    bits: int | None = None,
    sample_format: int = 1,
    photometric: int = 1,
    order: str = "<",
) -> bytes:
    """Return an uncompressed greyscale TIFF (TIFF 6.0, sections 2 and 4) of a 2-d array."""
    height, width = values.shape
    if bits == 12:
        first, second = values.reshape(-1, 2).astype(np.int64).T
        packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1)
        data = packed.astype(np.uint8).tobytes()
    else:
        data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    short, long = 3, 4
    tags = [
        (256, long, width), (257, long, height),
        (258, short, bits or values.dtype.itemsize * 8), (259, short, 1),
        (262, short, photometric), (273, long, 8), (277, short, 1), (278, long, height),
        (279, long, len(data)), (339, short, sample_format),
    ]  # fmt: skip
    data += b"\0" * (len(data) % 2)
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, 1)
        + (
            struct.pack(order + "HH", value, 0)
            if kind == short
            else struct.pack(order + "I", value)
        )
        for tag, kind, value in tags
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(data))
    directory = struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0)
    return head + data + directory


def png(values: np.ndarray, colour: int) -> bytes:
    """Return a 16-bit PNG of an array of shape (height, width, channels).

    Args:
        values: uint16.
        colour: PNG's own number: 0 grey, 2 RGB, 4 grey with alpha, 6 RGB with alpha.
    """
    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, data)
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
            (b"IDAT", zlib.compress(raw)),
            (b"IEND", b""),
        )
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

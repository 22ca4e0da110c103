"""Opening Arrow files of any size without reading them."""

from __future__ import annotations

import mmap
from pathlib import Path

import pyarrow as pa
from datasets.table import MemoryMappedTable


def open_mapped(path: Path) -> MemoryMappedTable:
    """Return the table of an Arrow stream file; its rows are read from disk when they are used.

    ``MemoryMappedTable.from_file`` returns the same table, but Arrow's own memory map asks the
    operating system to load the whole file in advance: gigabytes for the first record.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    table = pa.ipc.open_stream(pa.py_buffer(mapped)).read_all()
    return MemoryMappedTable(table, str(path))  # pickled as its path, as any such table is

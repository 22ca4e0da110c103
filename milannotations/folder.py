"""A dataset folder: Parquet files of records and a card, as ``datasets.load_dataset`` reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from milannotations.record import FEATURES
from milannotations.storage import atomic_path

# An image that is an exemplar of many units is stored once per row group, in the column's
# dictionary; beyond this many bytes of distinct images, the rest are stored plainly.
_DICTIONARY_BYTES = 256 * 2**20
ROWS_PER_GROUP = 128
# A reader loads a row group whole: these limits bound its memory, whatever the images' sizes.
# Larger groups share more images, but cost the reader more than they save; see docs/performance.md.
GROUP_BYTES = 32 * 2**20  # with each distinct image counted once
PLAIN_BYTES = 96 * 2**20  # with every occurrence of an image counted
_ENCODED = ("images.list.element.bytes", "masks.list.element.bytes")
_PLAIN = (
    *("model", "dataset", "layer", "unit", "threshold"),
    *(f"{name}.list.element" for name in ("activations", "image_ids", "annotations")),
)


class RecordWriter:
    """Write neuron records to one Parquet file, one row group at a time.

    Records are dictionaries with the columns of ``FEATURES``; images and masks are encoded bytes.
    The file is complete only after the ``with`` block; write it inside an atomic folder or path.
    """

    def __init__(self, path: Path) -> None:
        self._schema = FEATURES.arrow_schema
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            # Images and masks are compressed already.
            compression=dict.fromkeys(_PLAIN, "zstd") | dict.fromkeys(_ENCODED, "none"),
            use_dictionary=[*_PLAIN, _ENCODED[0]],
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            write_statistics=list(_PLAIN),
        )

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append records as one row group, preferably ``ROWS_PER_GROUP`` at a time."""
        rows = [
            {
                **record,
                "images": [{"bytes": image, "path": None} for image in record["images"]],
                "masks": [{"bytes": mask, "path": None} for mask in record["masks"]],
            }
            for record in records
        ]
        table = pa.Table.from_pylist(rows, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(rows) or 1)


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write records to a Parquet file, atomically, in row groups of bounded size.

    Args:
        path: The file to write; on any exception it is left as it was.
        records: See ``RecordWriter``; they are consumed one by one and never held all at once.

    Returns:
        The number of records.
    """
    count = 0
    with atomic_path(path) as temporary, RecordWriter(temporary) as writer:
        group: list[Mapping[str, Any]] = []
        distinct: dict[bytes, int] = {}
        plain = 0
        for record in records:
            group.append(record)
            sizes = [(image, len(image)) for image in (*record["images"], *record["masks"])]
            distinct.update(sizes)
            plain += sum(size for _, size in sizes)
            if (
                len(group) == ROWS_PER_GROUP
                or sum(distinct.values()) >= GROUP_BYTES
                or plain >= PLAIN_BYTES
            ):
                writer.write(group)
                count += len(group)
                group, distinct, plain = [], {}, 0
        if group or not count:
            writer.write(group)
    return count + len(group)


def write_card(folder: Path, title: str, text: str) -> None:
    """Write the card of a folder with one split, ``train``, made of all files in ``data``.

    Write it last, since it contains a checksum of those files.
    """
    (folder / "README.md").write_text(
        "---\n"
        "configs:\n"
        "- config_name: default\n"
        f"  description: 'data sha256 {_checksum(folder)}'\n"
        "  data_files:\n"
        "  - split: train\n"
        "    path: data/*.parquet\n"
        "---\n\n"
        f"# {title}\n\n{text}\n",
        encoding="utf-8",
    )


def renew_checksum(folder: Path) -> None:
    """Update the checksum on a folder's card after its Parquet files have changed."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    with atomic_path(card) as path:
        renewed = re.sub(r"data sha256 [0-9a-f]+", f"data sha256 {_checksum(folder)}", text)
        path.write_text(renewed, encoding="utf-8")


def _checksum(folder: Path) -> str:
    # `datasets` distinguishes local folders with a card only by their last name and the card's
    # configs; without the checksum it would return old records after a folder is written anew.
    digest = hashlib.sha256()
    for shard in sorted((folder / "data").glob("*.parquet")):
        digest.update(shard.name.encode())
        with shard.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()[:32]

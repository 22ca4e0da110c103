"""A dataset folder: Parquet files of records and a card, as ``datasets.load_dataset`` reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from milannotations.record import FEATURES

# An image that is an exemplar of many units is stored once per row group, as an entry of the
# column's dictionary; past this many bytes of distinct images the rest is stored plainly.
_DICTIONARY_BYTES = 256 * 2**20
ROWS_PER_GROUP = 128
_ENCODED = ("images.list.element.bytes", "masks.list.element.bytes")
_PLAIN = (
    *("model", "dataset", "layer", "unit", "threshold"),
    *(f"{name}.list.element" for name in ("activations", "image_ids", "annotations")),
)


class RecordWriter:
    """Write neuron records to one Parquet file, a row group at a time.

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
        """Append records as one row group; ``ROWS_PER_GROUP`` at a time is a good number."""
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


def write_card(folder: Path, title: str, text: str) -> None:
    """Write the card of a folder with one split, ``train``, from all files below ``data``."""
    (folder / "README.md").write_text(
        "---\n"
        "configs:\n"
        "- config_name: default\n"
        "  data_files:\n"
        "  - split: train\n"
        "    path: data/*.parquet\n"
        "---\n\n"
        f"# {title}\n\n{text}\n",
        encoding="utf-8",
    )

"""Small neurons, and what a build leaves beside them, made up on the spot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from milannotations.record import encode_image, encode_mask

SIZE = 16
STATISTICS = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "dataset", "layer")),
        ("unit", pa.int32()),
        ("images", pa.int64()),
        *((name, pa.float32()) for name in ("minimum", "maximum", "threshold", "low", "high")),
        ("counts", pa.list_(pa.int32())),
    ]
)


def make_record(
    layer: str,
    unit: int,
    *,
    k: int = 5,
    images: bool = True,
    annotations: Sequence[str] = (),
    model: str = "net",
    dataset: str = "shapes",
) -> dict[str, Any]:
    """Make a neuron whose first peak is ``100 - unit`` and whose threshold is ``unit``."""
    rng = np.random.default_rng(unit)
    pixels = rng.integers(0, 256, (k, SIZE, SIZE, 3), dtype=np.uint8)
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[: SIZE // 2] = True
    return {
        "model": model,
        "dataset": dataset,
        "layer": layer,
        "unit": unit,
        "images": [encode_image(Image.fromarray(p)) for p in pixels] if images else [],
        "masks": [encode_mask(mask)] * k,
        "activations": [100.0 - unit - rank / 10 for rank in range(k)],
        "image_ids": [unit + rank for rank in range(k)],
        "threshold": float(unit),
        "annotations": list(annotations),
    }


def write_statistics(folder: Path, records: Sequence[Mapping[str, Any]], **changes: Any) -> None:
    """Write what a build leaves beside the records, with some columns changed."""
    rows = [
        {
            **{name: record[name] for name in ("model", "dataset", "layer", "unit", "threshold")},
            "images": 20,
            "minimum": -1.0,
            "maximum": 100.0 - record["unit"],
            "low": -1.0,
            "high": 100.0 - record["unit"],
            "counts": [40, 0, 3, 1],
            **changes,
        }
        for record in records
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=STATISTICS), folder / "statistics.parquet")


def read_data(path: Path) -> Any:
    """Return the value that a file of data puts in place, and check that it does no more."""
    text = path.read_text(encoding="ascii")
    head, middle, rest = text.partition("] = ")
    assert json.loads(head.removeprefix("(globalThis.milannotations ??= {})[")) == (
        f"{path.parent.name}/{path.stem}"
    )
    assert middle
    assert not set("<>&\n") & set(rest[:-1])
    return json.loads(rest.removesuffix(";\n"))

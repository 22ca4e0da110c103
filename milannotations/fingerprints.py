"""Fingerprints: they identify the data behind a result, however they are stored in files.

A fingerprint covers what identifies and describes the neurons: keys, masks (their pixels), image
ids, activations, thresholds and annotations. It does not depend on the order of the rows, their
division into files, or the compression. The images themselves are left out: users attach their own
copies of the source images, which different versions of a decoder read with slightly different
pixels, and ``image_ids`` identify them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from datasets import Dataset

from milannotations.data_home import home, make_folder
from milannotations.json_files import read_json
from milannotations.parquet import open_parquet
from milannotations.pictures import opened
from milannotations.reading import is_there
from milannotations.record import FEATURES, encoded_records, key_of
from milannotations.record_checks import check_table
from milannotations.storage import atomic_path, locked

_COVERED = [name for name in FEATURES if name != "images"]
_SHIPPED = Path(__file__).parent / "data" / "fingerprints.json"
_ROWS = 64


def fingerprint(neurons: Dataset) -> str:
    """Return the fingerprint of a dataset: 16 hex digits of SHA-256."""
    columns = [name for name in _COVERED if name in neurons.features]
    return _combine(_digest(record) for record in encoded_records(neurons, columns))


def fingerprint_of_files(paths: Iterable[Path]) -> str:
    """Return the fingerprint of Parquet files of records, reading everything but the images."""
    return _combine(_digest(record) for path in paths for record in _records(path))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with open_parquet(path) as file:
        row = 0
        for batch in file.batches(_COVERED, _ROWS):
            check_table(batch, path, row)
            row += len(batch)
            yield from batch.to_pylist()


def known_as(value: str) -> str | None:
    """Return the config, or ``config/split``, that has a fingerprint; None if it is unknown."""
    for name, recorded in {**_read(_own()), **_shipped()}.items():
        if recorded == value:
            return name
    return None


def registered() -> dict[str, str]:
    """Return the fingerprints of all known configs, both shipped and recorded."""
    return {**_read(_own()), **_shipped()}


def record_fingerprint(name: str, value: str) -> None:
    """Remember a config's fingerprint on this machine; a shipped one is never overwritten."""
    file = _own()
    make_folder(file.parent)
    with locked(file, wait=True):
        recorded = {**_read(file), name: value}
        with atomic_path(file) as path:
            path.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _own() -> Path:
    return home() / "fingerprints.json"


@cache
def _shipped() -> dict[str, str]:
    return _read(_SHIPPED)


def _read(file: Path) -> dict[str, str]:
    if not is_there(file):
        return {}
    recorded = read_json(file, dict, remedy="delete it")
    return {str(name): str(value) for name, value in recorded.items()}


def _combine(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()[:16]


def _digest(record: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256()
    # In a fixed order, whatever the order of the columns in a file.
    plain = {name: record.get(name) for name in _COVERED if name != "masks"}
    digest.update(json.dumps(plain, ensure_ascii=True).encode())
    for mask in record.get("masks") or []:
        with opened((mask or {}).get("bytes") or b"", f"a mask of {key_of(record)}") as image:
            digest.update(f"{image.size}".encode())
            digest.update(image.convert("1").tobytes())
    return digest.digest()

"""The Parquet files of a dataset folder, and which images their records lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from milannotations.attach.encoded import ImageKey
from milannotations.errors import InputError
from milannotations.parquet import open_parquet, parquet_errors
from milannotations.pictures import UnreadableImageError, list_files, size_of
from milannotations.record import FEATURES, key_of
from milannotations.record_checks import check_keys
from milannotations.release.layout import MAX_SIDE

_ROWS = 16
_STATISTICS = "statistics.parquet"  # what `milannotations build` writes beside the records


@dataclass(frozen=True)
class Shard:
    """One Parquet file of records.

    Attributes:
        path: Its path.
        name: Its path in the folder, with forward slashes.
        stamp: Its size and modification time, which show whether it has changed.
        records: Number of records.
        unchanged: Number of records that keep their images.
        needs: The images that the other records get.
        overwrite: Whether records that have images get new ones.
    """

    path: Path
    name: str
    stamp: tuple[int, int]
    records: int
    unchanged: int
    needs: frozenset[ImageKey]
    overwrite: bool


def open_shards(folder: Path, overwrite: bool) -> list[Shard]:
    """Read everything but the images of all Parquet files in a folder and its subfolders.

    Raises:
        InputError: If there are none, one holds no neuron records, no record lacks its images, or
            one lacks image_ids or masks: its layer and unit are named.
    """
    paths = [
        path
        for path in list_files(folder).paths
        if path.suffix == ".parquet" and path != folder / _STATISTICS
    ]
    if not paths:
        raise InputError(f"{folder} holds no Parquet files; name a dataset folder")
    shards = [_open(path, path.relative_to(folder).as_posix(), overwrite) for path in paths]
    if all(shard.unchanged == shard.records for shard in shards):
        count = sum(shard.records for shard in shards)
        raise InputError(f"all {count} records in {folder} have images; --overwrite replaces them")
    return shards


def records_of(shard: Shard) -> Iterator[dict[str, Any]]:
    """Yield the records of a shard, a few in memory at a time, images and masks encoded.

    If no record keeps its images, images are not read and are absent.

    Raises:
        InputError: If the file is damaged.
    """
    yield from _read(shard.path, [name for name in FEATURES if name != "images" or shard.unchanged])


def keys_of_images(record: Mapping[str, Any], shard: Shard) -> list[ImageKey]:
    """Return the images that a record gets; none if it keeps its own.

    Raises:
        InputError: If it lacks image_ids or masks, or a mask is no image.
    """
    return _keys(record, shard.path, shard.overwrite)


def _open(path: Path, name: str, overwrite: bool) -> Shard:
    # Only the paths of images are read, which are empty, for the number of images.
    columns = [*(column for column in FEATURES if column != "images"), _path_leaf(path)]
    records = unchanged = 0
    needs: set[ImageKey] = set()
    for record in _read(path, columns):
        keys = _keys(record, path, overwrite)
        records += 1
        unchanged += not keys
        needs.update(keys)
    stat = path.stat()
    return Shard(
        path,
        name,
        (stat.st_size, stat.st_mtime_ns),
        records,
        unchanged,
        frozenset(needs),
        overwrite,
    )


def _read(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    with open_parquet(path) as file:
        row = 0
        for batch in file.batches(columns, _ROWS):
            check_keys(batch, path, row)
            row += len(batch)
            with parquet_errors(path):
                records = batch.to_pylist()
            yield from records


def _path_leaf(path: Path) -> str:
    """Return the Parquet path of the file names in the column of images."""
    with open_parquet(path) as file:
        schema, leaves = file.schema, file.leaves
    lacking = [column for column in FEATURES if column not in schema.names]
    if lacking:
        raise InputError(f"{path} lacks the columns {lacking}; are these neuron records?")
    if more := [column for column in schema.names if column not in FEATURES]:
        raise InputError(f"{path} has the columns {more}, which neuron records do not have")
    paths = [leaf for leaf in leaves if leaf.startswith("images.") and leaf.endswith(".path")]
    if len(paths) != 1:
        raise InputError(f"{path} has a column 'images' that holds no lists of images")
    return paths[0]


def _keys(record: Mapping[str, Any], path: Path, overwrite: bool) -> list[ImageKey]:
    if record.get("images") and not overwrite:
        return []
    ids, masks = record["image_ids"] or [], record["masks"] or []
    if not ids or None in ids:
        raise InputError(
            f"{path}: {key_of(record)} has no image_ids, which say what its images are; import "
            "the release again with its ids.csv"
        )
    if len(ids) != len(masks):
        raise InputError(
            f"{path}: {key_of(record)} has {len(ids)} image_ids, but {len(masks)} masks"
        )
    try:
        sizes = [
            size_of((mask or {}).get("bytes") or b"", f"mask {i}") for i, mask in enumerate(masks)
        ]
    except UnreadableImageError as error:
        raise InputError(
            f"{path}: {key_of(record)} has a mask that is no image: {error}"
        ) from error
    if max(max(size) for size in sizes) > MAX_SIDE:
        raise InputError(f"{path}: {key_of(record)} has masks of more than {MAX_SIDE} pixels")
    return [ImageKey(index, *size) for index, size in zip(ids, sizes, strict=True)]

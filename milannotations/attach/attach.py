"""Fills in the images of a dataset folder's records, shard by shard.

``image_ids`` identify the exemplars, and each gets the size of its mask;
``milannotations.attach.geometry`` documents how a whole picture is cut to that size. An image may
be an exemplar of many units, so every distinct image is first read, cut and encoded once into a
file on disk, from which the shards are then written. Both steps resume where they were interrupted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.progress import Progress

from milannotations.attach.checks import check_source
from milannotations.attach.encoded import EncodedImages, ImageKey
from milannotations.attach.facts import write_card_and_facts
from milannotations.attach.geometry import DEFAULT_GEOMETRY, check_geometry, exemplar_view
from milannotations.attach.shards import Shard, keys_of_images, open_shards, records_of
from milannotations.attach.sources import FolderSource, ImageSource
from milannotations.defaults import IMAGE_FORMATS
from milannotations.errors import InputError
from milannotations.folder import write_records
from milannotations.pictures import list_files, naming
from milannotations.progress import progress_bar
from milannotations.record import encode_image
from milannotations.release.facts import read_raw_facts
from milannotations.storage import atomic_path, check_target, resumable_folder

LISTING = "images.csv"
# Number of images that an interruption can cost, and that wait in memory to be stored.
_BATCH = 64
_RELEASE = 16


@dataclass(frozen=True)
class AttachReport:
    """The result of attaching images.

    Attributes:
        folder: The dataset folder with images.
        records: Neuron records in it.
        attached: Records whose images were filled.
        unchanged: Records that had images, left as they were.
        images: Distinct images that were attached.
        source: Title of the source.
        order: The order of its images, as text.
        geometry: ``crop`` or ``squash``.
        image_format: ``png``, ``jpeg`` or ``webp``.
    """

    folder: Path
    records: int
    attached: int
    unchanged: int
    images: int
    source: str
    order: str
    geometry: str
    image_format: str


def needed_ids(folder: Path, overwrite: bool = False) -> set[int]:
    """Return the indices of all source images that a dataset folder's records lack.

    Args:
        folder: A folder with Parquet files of neuron records.
        overwrite: Include records that have images.

    Raises:
        InputError: If the folder has no neuron records, no record lacks its images, or one lacks
            image_ids or masks: its layer and unit are named.
    """
    shards = open_shards(folder, overwrite)
    return {key.image_id for shard in shards for key in shard.needs}


def attach_images(
    folder: Path,
    source: ImageSource,
    *,
    image_format: str = "webp",
    geometry: str = DEFAULT_GEOMETRY,
    overwrite: bool = False,
    out: Path | None = None,
) -> AttachReport:
    """Fill the images column of all records of a dataset folder.

    Only the images of one row group are in memory at a time. The folder is unchanged until
    everything is done; calling this again resumes interrupted work.

    Args:
        folder: The dataset folder; everything in it but the images is kept.
        source: Where the images are; see ``check_source`` for whether they are the right ones.
        image_format: ``webp`` or ``png`` (both lossless), or ``jpeg``.
        geometry: ``crop`` or ``squash``; see ``milannotations.attach.geometry``.
        overwrite: Replace images that records have already, and ``out`` if it exists.
        out: Folder to write; default ``folder`` itself.

    Raises:
        InputError: For anything that a user can fix, before any image is read where possible.
        UnreadableImageError: Names the file; finished work is kept.
    """
    check_geometry(geometry)
    if image_format not in IMAGE_FORMATS:
        raise InputError(f"image format {image_format!r}; choose one of {sorted(IMAGE_FORMATS)}")
    folder = folder.resolve()
    target = out.resolve() if out else folder
    _check_places(folder, target, source)
    check_target(target, overwrite or target == folder)
    facts = read_raw_facts(folder)
    shards = open_shards(folder, overwrite)
    wanted = {key for shard in shards for key in shard.needs}
    check_source(source, None, {key.image_id for key in wanted}, folder / LISTING)
    if geometry == "crop":
        _check_square(shards)
    report = AttachReport(
        folder=out or folder,
        records=sum(shard.records for shard in shards),
        attached=sum(shard.records - shard.unchanged for shard in shards),
        unchanged=sum(shard.unchanged for shard in shards),
        images=len(wanted),
        source=source.title,
        order=source.order,
        geometry=geometry,
        image_format=image_format,
    )
    identity = {
        "source": dict(source.identity()),
        "geometry": geometry,
        "image_format": image_format,
        "overwrite": overwrite,
        "shards": {shard.name: shard.stamp for shard in shards},
        "version": version("milannotations"),
    }
    with resumable_folder(target, identity, overwrite or target == folder) as work:
        with progress_bar() as progress:
            _fill(shards, work, source, image_format, geometry, progress)
        _copy_others(folder, work, {shard.name for shard in shards})
        write_card_and_facts(folder, work, facts, report)
    return report


def _fill(
    shards: list[Shard],
    work: Path,
    source: ImageSource,
    image_format: str,
    geometry: str,
    progress: Progress,
) -> None:
    """Write all shards that have not been written yet."""
    unfinished = [shard for shard in shards if not (work / shard.name).exists()]
    with EncodedImages(work) as images:
        wanted = {key for shard in unfinished for key in shard.needs}
        missing = sorted(key for key in wanted if key not in images)
        task = progress.add_task("Reading images", total=len(wanted))
        progress.advance(task, len(wanted) - len(missing))

        def encode(key: ImageKey) -> bytes:
            picture = source.image(key.image_id)
            with naming(source.name(key.image_id)):
                view = exemplar_view(picture, (key.width, key.height), geometry)
            return encode_image(view, image_format)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in range(0, len(missing), _BATCH):
                keys = missing[first : first + _BATCH]
                # In order, so that all images before an unreadable one are stored.
                with images.adding() as batch:
                    for key, image in zip(keys, pool.map(encode, keys), strict=True):
                        batch.append((key, image))
                        progress.advance(task)

        task = progress.add_task("Writing records", total=sum(s.records for s in unfinished))
        for shard in unfinished:
            (work / shard.name).parent.mkdir(parents=True, exist_ok=True)

            def filled(shard: Shard = shard) -> Iterator[dict[str, Any]]:
                for number, record in enumerate(records_of(shard)):
                    if number % _RELEASE == 0:
                        # Otherwise Arrow's allocator keeps the memory that each row group freed.
                        pa.default_memory_pool().release_unused()
                    keys = keys_of_images(record, shard)
                    has = [image["bytes"] for image in record.get("images") or []]
                    yield {
                        **record,
                        "images": [images.read(key) for key in keys] if keys else has,
                        "masks": [mask["bytes"] for mask in record["masks"]],
                    }
                    progress.advance(task)

            write_records(work / shard.name, filled())
        images.remove()


def _check_places(folder: Path, target: Path, source: ImageSource) -> None:
    """Refuse a target where a folder would be lost or copied into itself."""
    if target != folder and (target in folder.parents or folder in target.parents):
        raise InputError(f"{target} and {folder} lie in each other; name another folder to write")
    if isinstance(source, FolderSource):
        root = source.root.resolve()
        if root == target or {target, folder} & set(root.parents):
            raise InputError(
                f"the images in {root} lie in a folder that is written or copied; move them out"
            )


def _check_square(shards: list[Shard]) -> None:
    for shard in shards:
        for key in shard.needs:
            if key.width != key.height:
                raise InputError(
                    f"{shard.path} has masks of {key.width} × {key.height}; the geometry 'crop' is "
                    "for square ones: use 'squash'"
                )


def _copy_others(folder: Path, work: Path, shards: set[str]) -> None:
    for path in list_files(folder, hidden=True).paths:
        name = path.relative_to(folder).as_posix()
        if name not in shards:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(work / name) as copy:
                shutil.copyfile(path, copy)

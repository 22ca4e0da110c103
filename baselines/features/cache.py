"""Features of all exemplars: computed in memory, or once into a memory-mapped file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from baselines.features.encoder import PyramidEncoder
from baselines.features.exemplars import DistinctExemplars
from baselines.identity import identity_hash
from milannotations.arrays import read_array
from milannotations.data_home import home, make_folder
from milannotations.errors import InputError
from milannotations.json_files import read_json
from milannotations.notices import notify
from milannotations.progress import progress_bar
from milannotations.storage import atomic_path, locked, resumable_folder
from milannotations.storage.tidying import tidy_up
from milannotations.threads import in_copies

_VERSION = 3  # of the cache; to be raised when the same inputs give other features
_FILE, _DONE, _IDENTITY = "features.npy", "done.json", "identity.json"
_CHECKPOINT = 16  # batches between two records of the progress


def exemplar_features(
    encoder: PyramidEncoder,
    neurons: Dataset,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
) -> Tensor:
    """Compute the features of all exemplars in memory.

    Returns:
        float32 on the CPU, of shape (neurons, k, ``encoder.width``).

    Raises:
        InputError: If neurons lack images or masks, or have different numbers of exemplars.
    """
    exemplars = DistinctExemplars(neurons, encoder.spec.masks != "none")
    features = np.zeros((len(neurons), exemplars.k, encoder.width), dtype=np.float32)
    _compute(encoder, exemplars, features, device, batch_size)
    return torch.from_numpy(features)


def cached_features(
    encoder: PyramidEncoder,
    neurons: Dataset,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    work: Path | None = None,
) -> Tensor:
    """Return the same features from a memory-mapped file, which is computed if it is missing.

    The file is named by a hash of the encoder, its weights and the bytes of the exemplars. An
    interrupted computation is resumed.

    Args:
        encoder: The encoder.
        neurons: Records with images.
        device: Where the encoder runs.
        batch_size: Images per forward pass; on the CPU each image has its own.
        work: Folder of such files; default in the cache.

    Raises:
        InputError: As ``exemplar_features``; or if the folder cannot be written.
    """
    exemplars = DistinctExemplars(neurons, encoder.spec.masks != "none")
    identity: dict[str, Any] = {
        "version": _VERSION,
        "encoder": encoder.identity(),
        "exemplars": exemplars.content,
        "shape": [len(neurons), exemplars.k, encoder.width],
        "computed": _rounding(device, batch_size),
    }
    name = identity_hash(identity)[:24]
    target = make_folder(work or home() / "features") / name
    if _is_complete(target, identity):
        tidy_up(target)
    else:
        # Another process may have computed them in the meantime.
        with locked(target, wait=True):
            if not _is_complete(target, identity):
                _fill(target, identity, encoder, exemplars, device, batch_size)
    # Copy-on-write, as torch has no read-only tensors and the file must not change.
    return torch.from_numpy(read_array(target / _FILE, "f", mapped="c"))


def _fill(
    target: Path,
    identity: dict[str, Any],
    encoder: PyramidEncoder,
    exemplars: DistinctExemplars,
    device: torch.device | str,
    batch_size: int,
) -> None:
    """Compute features into a new folder, resuming unfinished work."""
    with resumable_folder(target, identity, overwrite=True) as folder:
        features, record = folder / _FILE, folder / _DONE
        started = features.is_file() and record.is_file()
        mapped = np.lib.format.open_memmap(
            features,
            mode="r+" if started else "w+",
            dtype=np.float32,
            shape=tuple(identity["shape"]),
        )
        _reserve(features)
        done = _done(record, len(exemplars)) if started else 0
        _compute(encoder, exemplars, mapped, device, batch_size, done, record)
        mapped.flush()
        # Before the record is removed, or a run killed in between would have to start over.
        with atomic_path(folder / _IDENTITY) as path:
            path.write_text(json.dumps(identity), encoding="utf-8")
        record.unlink(missing_ok=True)


def _done(record: Path, total: int) -> int:
    """Return how many images are done; none if the record is damaged."""
    try:
        done = read_json(record)
        if type(done) is int and 0 <= done <= total:
            return done
        notify(f"{record} holds no number from 0 to {total}; the features are computed anew")
    except InputError as error:
        notify(f"{error}; the features are computed anew")
    return 0


def _compute(
    encoder: PyramidEncoder,
    exemplars: DistinctExemplars,
    features: NDArray[np.float32],
    device: torch.device | str,
    batch_size: int,
    done: int = 0,
    record: Path | None = None,
) -> None:
    """Fill in features from distinct image ``done`` on, and note the progress in ``record``."""
    encoder.to(device)
    masked = encoder.spec.masks != "none"
    with progress_bar() as progress:
        task = progress.add_task("Encoding exemplars", total=len(exemplars), completed=done)
        for count, (numbers, images) in enumerate(exemplars.batches(batch_size, done), start=1):
            masks = [exemplars.masks(number) if masked else None for number in numbers]
            for number, pooled in zip(
                numbers, _features(encoder, images, masks, device), strict=True
            ):
                at = np.array(exemplars.uses[number])
                features[at[:, 0], at[:, 1]] = pooled.cpu().numpy()
            progress.advance(task, len(numbers))
            if record is not None and isinstance(features, np.memmap) and count % _CHECKPOINT == 0:
                features.flush()
                with atomic_path(record) as path:
                    path.write_text(json.dumps(numbers[-1] + 1), encoding="utf-8")


def _features(
    encoder: PyramidEncoder,
    images: Iterable[Image.Image],
    masks: Sequence[Tensor | None],
    device: torch.device | str,
) -> list[Tensor]:
    """Return the features of each image, of shape (masks of the image, width)."""
    if torch.device(device).type == "cpu":

        def features_of(
            worker: PyramidEncoder, exemplar: tuple[Image.Image, Tensor | None]
        ) -> Tensor:
            image, own_masks = exemplar
            return worker.pool(worker.maps(worker.tensor(image)[None]), 0, own_masks)

        return in_copies(encoder, features_of, zip(images, masks, strict=True))
    maps = encoder.maps(torch.stack([encoder.tensor(image) for image in images]).to(device))
    return [encoder.pool(maps, row, own_masks) for row, own_masks in enumerate(masks)]


def _rounding(device: torch.device | str, batch_size: int) -> str:
    """Return what rounding depends on, so that results of one device are not used for another."""
    kind = torch.device(device).type
    return "cpu" if kind == "cpu" else f"{kind}, {batch_size} images at once"


def _reserve(path: Path) -> None:
    """Allocate the file on disk now: writing to a mapped file on a full disk would be a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _is_complete(target: Path, identity: dict[str, Any]) -> bool:
    try:
        recorded = read_json(target / _IDENTITY, dict)
        header = read_array(target / _FILE, "biuf", mapped="r")
    except (OSError, ValueError):
        return False
    if recorded != identity or list(header.shape) != identity["shape"]:
        return False
    if header.dtype != np.float32:
        raise InputError(f"{target} holds {header.dtype}; delete it")
    return True

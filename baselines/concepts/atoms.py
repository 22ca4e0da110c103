"""Grouping the pixels of an image into atoms, and the atoms of all images into one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from baselines.concepts.labelled_images import MOST_CONCEPTS


def atoms_of_image(
    channels: NDArray[np.uint16], whole: tuple[int, ...] = ()
) -> tuple[NDArray[np.uint16], list[bytes], NDArray[np.int64]]:
    """Group the pixels of an image by the multiset of their labels.

    Args:
        channels: Codes of shape (channels, pixels).
        whole: Codes that apply to every pixel.

    Returns:
        The position of each pixel in the list of multisets; the list itself, each multiset as the
        bytes of its codes in ascending order; and the number of pixels of each.
    """
    pixels = channels.shape[1]
    group = np.zeros(pixels, dtype=np.int64)
    for channel in channels:
        group = np.unique(group * (MOST_CONCEPTS + 1) + channel, return_inverse=True)[1]
    _, where, group = np.unique(group, return_index=True, return_inverse=True)
    stacked = np.sort(
        np.concatenate(
            [channels[:, where], np.broadcast_to(_column(whole), (len(whole), len(where)))]
        ),
        axis=0,
    )
    # The same labels in other channels are the same multiset.
    position: dict[bytes, int] = {}
    local = np.array(
        [position.setdefault(row[row > 0].tobytes(), len(position)) for row in stacked.T],
        dtype=np.uint16,
    )
    positions = local[group]
    return positions, list(position), np.bincount(positions, minlength=len(position))


def _column(whole: tuple[int, ...]) -> NDArray[np.uint16]:
    return np.array(whole, dtype=np.uint16).reshape(-1, 1)


def united(lists: list[dict[str, NDArray[Any]]], concepts: int) -> dict[str, NDArray[Any]]:
    """Merge the lists of all images into one table of atoms.

    Args:
        lists: In the order of the images: ``lengths`` of the list of each image, and for each entry
            the ``sizes`` of its multiset, its ``areas`` in pixels and its ``codes``, concatenated.
        concepts: Number of concepts.

    Returns:
        ``first`` and ``atoms``, see ``PackedConcepts``; ``areas`` of the atoms; and a sparse matrix
        (atoms × concepts) as ``codes`` (columns), ``times`` (values) and ``starts`` (of rows).
    """
    position: dict[bytes, int] = {}
    atoms = []
    for chunk in lists:
        ends = np.cumsum(chunk["sizes"])
        codes = chunk["codes"]
        atoms.append(
            np.array(
                [
                    position.setdefault(codes[end - size : end].tobytes(), len(position))
                    for end, size in zip(ends, chunk["sizes"], strict=True)
                ],
                dtype=np.int32,
            )
        )
    keys = [np.frombuffer(key, dtype=np.uint16) for key in position]
    every = np.concatenate(atoms)
    areas = np.zeros(len(keys), dtype=np.int64)
    np.add.at(areas, every, np.concatenate([chunk["areas"] for chunk in lists]))
    rows = np.repeat(np.arange(len(keys)), [len(key) for key in keys])
    columns = np.concatenate(keys).astype(np.int64) - 1 if len(rows) else rows
    ones = np.ones(len(rows), dtype=np.uint8)
    table = csr_array((ones, (rows, columns)), shape=(len(keys), concepts))  # adds repeats up
    lengths = np.concatenate([chunk["lengths"] for chunk in lists])
    return {
        "first": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "atoms": every,
        "areas": areas,
        "codes": table.indices.astype(np.uint16),
        "times": table.data,
        "starts": table.indptr.astype(np.int64),
    }

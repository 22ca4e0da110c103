"""Grouping pixels into atoms: those of one image, and the images' lists into one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from baselines.concepts.labelled_images import MOST_CONCEPTS


def atoms_of_image(
    channels: NDArray[np.uint16], whole: tuple[int, ...] = ()
) -> tuple[NDArray[np.uint16], list[bytes], NDArray[np.int64]]:
    """Group an image's pixels by the multiset of their labels.

    Args:
        channels: Codes of shape (channels, pixels).
        whole: Codes that hold for every pixel.

    Returns:
        For each pixel its position in the list; the list of multisets, each as the bytes of its
        codes in ascending order; and the pixels of each.
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
    # Channels in another order give the same multiset.
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
    """Return one table of the atoms of all images, from the images' lists.

    Args:
        lists: In the order of the images: ``lengths`` of each image's list, and of each entry the
            ``sizes`` of its multiset, its ``areas`` in pixels and, one after the other, ``codes``.
        concepts: How many there are.

    Returns:
        ``first`` and ``atoms``, see ``PackedConcepts``; ``areas`` of the atoms; and as the parts
        of a sparse matrix (atoms × concepts) ``codes`` (columns), ``times`` and ``starts``.
    """
    position: dict[bytes, int] = {}
    atoms = []
    for part in lists:
        ends = np.cumsum(part["sizes"])
        codes = part["codes"]
        atoms.append(
            np.array(
                [
                    position.setdefault(codes[end - size : end].tobytes(), len(position))
                    for end, size in zip(ends, part["sizes"], strict=True)
                ],
                dtype=np.int32,
            )
        )
    keys = [np.frombuffer(key, dtype=np.uint16) for key in position]
    every = np.concatenate(atoms)
    areas = np.zeros(len(keys), dtype=np.int64)
    np.add.at(areas, every, np.concatenate([part["areas"] for part in lists]))
    rows = np.repeat(np.arange(len(keys)), [len(key) for key in keys])
    columns = np.concatenate(keys).astype(np.int64) - 1 if len(rows) else rows
    ones = np.ones(len(rows), dtype=np.uint8)
    table = csr_array((ones, (rows, columns)), shape=(len(keys), concepts))  # repeats are added up
    lengths = np.concatenate([part["lengths"] for part in lists])
    return {
        "first": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "atoms": every,
        "areas": areas,
        "codes": table.indices.astype(np.uint16),
        "times": table.data,
        "starts": table.indptr.astype(np.int64),
    }

"""Compare ways to store labels: atoms, bit-packed masks, and lists of pixels.

    python perf/labels.py

makes labels with Broden's dimensions (see ``perf/compexp.py``), and measures for each way the bytes
on disk and the time to count the pixels that one unit and one label share with every label, which
is the step that a search repeats. Blocks of bits are stored only for labels that an image has.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from compexp import BrodenShaped  # perf/ is not a package: its scripts run from their own folder

from baselines.compexp.beam import Space, counted
from baselines.compexp.formula import Formula
from baselines.concepts.packing import PackedConcepts, packed


def timed(work: Callable[[], np.ndarray], rounds: int) -> tuple[float, np.ndarray]:
    """Return the shortest time of several rounds, and the result."""
    times, found = [], work()
    for _ in range(rounds):
        start = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - start)
    return min(times), found


def blocks_of(concepts: PackedConcepts) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Return image and label of each block, its bits, and the pixels of all blocks."""
    images, labels, bits, pixels = [], [], [], 0
    holds = concepts.partition.holds
    for index in range(len(concepts)):
        atoms = concepts.atoms_of(index)
        local = concepts.map(index)
        table = holds[atoms].toarray() > 0
        for label in np.flatnonzero(table.any(0)):
            mask = table[:, label][local]
            images.append(index)
            labels.append(label)
            bits.append(np.packbits(mask))
            pixels += int(mask.sum())
    packed_bits = np.stack(bits)
    return np.array(images), np.array(labels), packed_bits.view(np.uint64), pixels


def main(images: int, labels: int, rounds: int) -> None:
    """Print a table."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "labels"
        start = time.perf_counter()
        concepts = packed(BrodenShaped(images, labels), folder=folder)
        print(f"packed {images} images in {time.perf_counter() - start:.1f} s")
        on_disk = sum(path.stat().st_size for path in folder.iterdir())
        image_of, label_of, bits, pixels = blocks_of(concepts)
        print(f"{len(image_of) / images:.1f} labels an image")
        label = int(np.argsort(-concepts.partition.concept_areas)[5])
        height, width = concepts.shape
        unit = rng.random((images, height * width)) < 0.005
        unit_bits = np.packbits(unit, axis=1).view(np.uint64)
        row = np.zeros(len(concepts.partition.areas))
        for index in range(images):
            atoms = concepts.atoms_of(index)
            counts = np.bincount(concepts.map(index)[unit[index]], minlength=len(atoms))
            np.add.at(row, atoms, counts)
        space = Space(concepts.partition.holds, concepts.partition.areas)
        formula = Formula(label)

        def by_atoms() -> np.ndarray:
            rows = np.flatnonzero(formula.atoms(space.columns))
            return counted(row[rows] @ space.holds[rows])

        mine = {int(i): bits[n] for n, i in enumerate(image_of) if label_of[n] == label}
        empty = np.zeros(bits.shape[1], dtype=np.uint64)
        formula_bits = np.stack([mine.get(i, empty) for i in range(images)])
        occurring = np.isin(image_of, list(mine))

        def by_bits() -> np.ndarray:
            some = image_of[occurring]
            both = bits[occurring] & (formula_bits[some] & unit_bits[some])
            found = np.zeros(labels, dtype=np.int64)
            np.add.at(found, label_of[occurring], np.bitwise_count(both).sum(1, dtype=np.int64))
            return found

        atoms_time, atoms_found = timed(by_atoms, rounds)
        bits_time, bits_found = timed(by_bits, rounds)
        assert (atoms_found == bits_found).all()
        print(f"{'':14}{'MB on the disk':>16}{'ms to count':>14}")
        print(f"{'atoms':14}{on_disk / 1e6:16.1f}{atoms_time * 1e3:14.2f}")
        print(f"{'bits':14}{bits.nbytes / 1e6:16.1f}{bits_time * 1e3:14.2f}")
        print(f"{'pixel lists':14}{2 * pixels / 1e6:16.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--concepts", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    main(given.images, given.concepts, given.rounds)

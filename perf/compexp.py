"""Time the search for formulas against the loop of the published code.

    python perf/compexp.py --out compexp-perf

makes labelled images with Broden's dimensions (1,200 concepts, 2,000 images, label maps of
112 × 112) and units that respond to some of them, and searches formulas of three labels with a beam
of five. It does the same with the published loop, reimplemented here: run-length masks of
pycocotools (``pip install pycocotools``), merged once for each candidate. Both must find the same
formulas with the same scores. The inverted masks that AND NOT needs are precomputed here, while the
published code makes them again each time, so the comparison favours the published loop.

With ``--growth`` it also measures how the time grows with images, concepts and length.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_array

from baselines.compexp.beam import BeamSearchConfig, Space, dense_row, search
from baselines.compexp.formula import Formula
from baselines.compexp.optimal import optimal
from baselines.concepts.activations import RecordedMaps
from baselines.concepts.counting import Masking
from baselines.concepts.labelled_images import Labels, VisualConcept
from baselines.concepts.packing import PackedConcepts, packed
from baselines.concepts.probing import tallies
from baselines.concepts.tally import Tally

SIDE = 112
COLOURS, TEXTURES = 11, 47


class BrodenShaped:
    """Synthetic labels with Broden's dimensions: about 17 labels per image, few of them frequent.

    Every pixel has a colour; regions are objects, some of which have parts; a third of the images
    have a scene and a tenth a texture, which cover the whole image.
    """

    def __init__(self, images: int, concepts: int, seed: int = 0) -> None:
        rest = concepts - COLOURS - TEXTURES
        counts = {
            "object": rest // 2, "part": rest // 5, "scene": rest - rest // 2 - rest // 5,
            "texture": TEXTURES, "color": COLOURS,
        }  # fmt: skip
        names = [(kind, i) for kind, count in counts.items() for i in range(count)]
        self.concepts = tuple(
            VisualConcept(f"{kind} {i}", kind, n + 1) for n, (kind, i) in enumerate(names)
        )
        self.categories = tuple(counts)
        self.shape: tuple[int, int] | None = (SIDE, SIDE)
        self._first: dict[str, int] = {}
        total = 1
        for kind, count in counts.items():
            self._first[kind] = total
            total += count
        self._counts, self._images, self._seed = counts, images, seed

    def __len__(self) -> int:
        return self._images

    def image(self, index: int) -> Image.Image:
        """Return a black picture."""
        return Image.new("RGB", (SIDE, SIDE))

    def labels(self, index: int) -> Labels:
        """Return synthetic labels, always the same for an image."""
        rng = np.random.default_rng((self._seed, index))
        regions = _regions(rng, int(rng.integers(5, 13)))
        objects = self._some("object", rng, int(regions.max()) + 1)[regions]
        objects[rng.random(int(regions.max()) + 1)[regions] < 0.15] = 0  # unlabelled
        inner = _regions(rng, 14)
        kinds = self._some("part", rng, 14)
        parts = np.where(rng.random(14)[inner] < 0.35, kinds[inner], 0)
        field = _field(rng, 14)
        field = field + rng.normal(0, 0.15, field.shape)  # colours are noisy
        levels = np.digitize(field, np.quantile(field, np.sort(rng.random(8))))
        colours = self._some("color", rng, 9)[levels]
        whole = []
        if rng.random() < 0.35:
            whole += self._some("scene", rng, 1).tolist()
        if rng.random() < 0.1:
            whole += self._some("texture", rng, 1).tolist()
        return Labels(np.stack([objects, parts, colours]).astype(np.uint16), tuple(whole))

    def name(self, index: int) -> str:
        """Return the index."""
        return str(index)

    def identity(self) -> dict[str, Any]:
        """Return the numbers that define the labels."""
        return {"shaped": [self._images, len(self.concepts), self._seed]}

    def check(self) -> list[str]:
        """Return no problems."""
        return []

    def _some(self, kind: str, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw labels by Zipf's law, the first ones most often."""
        weights = 1 / np.arange(1, self._counts[kind] + 1) ** 0.9
        drawn = rng.choice(self._counts[kind], count, p=weights / weights.sum())
        return self._first[kind] + drawn


def _field(rng: np.random.Generator, cells: int) -> NDArray[np.float64]:
    small = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(np.float64)


def _regions(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    seeds = rng.random((count, 2)) * SIDE
    wobble = 18 * (_field(rng, 7) - 0.5)
    distances = [np.hypot(rows + wobble - y, columns - wobble - x) for y, x in seeds]
    return np.argmin(distances, axis=0)


def make_units(concepts: PackedConcepts, units: int, folder: Path, seed: int = 1) -> Tally:
    """Return units that respond to a mixture of one to three labels, on maps of 7 × 7."""
    rng = np.random.default_rng(seed)
    areas = concepts.partition.concept_areas.astype(float)
    chosen = [
        rng.choice(len(areas), int(rng.integers(1, 4)), p=areas**0.5 / (areas**0.5).sum())
        for _ in range(units)
    ]
    mixture = np.zeros((len(areas), units))
    for unit, labels in enumerate(chosen):
        mixture[labels, unit] = rng.uniform(0.4, 1, len(labels))
    per_atom = np.asarray(concepts.partition.holds @ csr_array(mixture).todense())
    maps = np.zeros((len(concepts), units, 7, 7), dtype=np.float32)
    cell = SIDE // 7
    for index in range(len(concepts)):
        local = concepts.map(index).reshape(7, cell, 7, cell).transpose(0, 2, 1, 3).reshape(49, -1)
        table = per_atom[concepts.atoms_of(index)]
        means = np.stack([table[pixels].mean(0) for pixels in local], axis=1)
        maps[index] = (means + rng.normal(0, 0.1, means.shape)).reshape(units, 7, 7)
    np.save(folder / "units.npy", np.maximum(maps, 0))
    (folder / "activations.json").write_text(
        json.dumps({"input_size": [224, 224], "layers": {"units": "units.npy"}})
    )
    return tallies(RecordedMaps(folder), concepts, Masking(), folder / "work")["units"]


class Peer:
    """The published loop, with run-length masks."""

    def __init__(self, concepts: PackedConcepts) -> None:
        try:
            from pycocotools import mask
        except ImportError as error:
            raise SystemExit("the comparison needs pycocotools: pip install pycocotools") from error
        self._code = mask
        self.masks: dict[int, Any] = {}
        self.inverted: dict[int, Any] = {}
        self.labels = np.flatnonzero(concepts.partition.concept_areas > 0).tolist()
        # A label's masks of all images, stacked vertically as in the published code.
        columns = concepts.partition.holds.tocsc()
        for label in self.labels:
            has = np.zeros(len(concepts.partition.areas), dtype=bool)
            has[columns.indices[columns.indptr[label] : columns.indptr[label + 1]]] = True
            stacked = np.concatenate(
                [has[concepts.atoms_of(i)][concepts.map(i)] for i in range(len(concepts))]
            ).reshape(-1, SIDE)
            self.masks[label] = mask.encode(np.asfortranarray(stacked, dtype=np.uint8))
            self.inverted[label] = mask.encode(np.asfortranarray(~stacked, dtype=np.uint8))
        self.areas = {label: mask.area(self.masks[label]) for label in self.labels}

    def mask_of(self, formula: Formula) -> Any:
        """Return a formula's mask, merged again each time as in the published code."""
        if not formula.rest:
            return self.masks[formula.labels[0]]
        operator, label = formula.rest[-1]
        left = self.mask_of(formula.before)
        right = self.inverted[label] if operator == 2 else self.masks[label]
        return self._code.merge((left, right), intersect=operator != 0)

    def iou(self, mask: Any, unit: Any, hits: int, area: int) -> float:
        """Return the IoU of a mask and a unit."""
        both = int(self._code.area(self._code.merge((mask, unit), intersect=True)))
        return both / (int(area) + hits - both + 1e-10)

    def search(self, active: NDArray[np.bool_], options: BeamSearchConfig) -> tuple[Formula, float]:
        """Search for one unit, whose masks of all images are stacked vertically."""
        unit = self._code.encode(np.asfortranarray(active, dtype=np.uint8))
        hits = int(active.sum())
        single = [
            (Formula(label), self.iou(self.masks[label], unit, hits, self.areas[label]))
            for label in self.labels
        ]
        beam = _best([pair for pair in single if pair[1] > 0], options.beam)
        for _ in range(options.length - 1):
            new = []
            for formula, _ in beam:
                for label in self.labels:
                    for operator in range(3):
                        made = formula.joined(operator, label)
                        mask = self.mask_of(made)
                        area = self._code.area(mask)
                        new.append((made, self.iou(mask, unit, hits, area)))
            beam = _best([*beam, *new], options.beam)
        return beam[0]


def _best(pairs: list[tuple[Formula, float]], count: int) -> list[tuple[Formula, float]]:
    return heapq.nlargest(count, pairs, key=lambda pair: pair[1])


def active_pixels(concepts: PackedConcepts, folder: Path, unit: int, threshold: float) -> Any:
    """Return a unit's masks of all images, stacked vertically."""
    maps = np.load(folder / "units.npy", mmap_mode="r")[:, unit]
    ups = [
        np.asarray(Image.fromarray(np.array(m)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for m in maps
    ]
    return np.concatenate(ups) > threshold


def prepared(images: int, concepts: int, units: int, folder: Path) -> tuple[PackedConcepts, Tally]:
    """Return packed labels and the tally of some units."""
    folder.mkdir(parents=True, exist_ok=True)
    found = packed(BrodenShaped(images, concepts), folder=folder / "labels")
    return found, make_units(found, units, folder)


def seconds_per_unit(concepts: PackedConcepts, tally: Tally, options: BeamSearchConfig) -> float:
    """Return the search time per unit, with an empty cache."""
    space = Space(concepts.partition.holds, concepts.partition.areas)
    start = time.perf_counter()
    search(space, tally.counts, options)
    return (time.perf_counter() - start) / tally.units


def compare(images: int, labels: int, units: int, peer_units: int, folder: Path) -> None:
    """Print times, their ratio, and whether both find the same formulas."""
    start = time.perf_counter()
    concepts, tally = prepared(images, labels, units, folder)
    made = time.perf_counter() - start
    partition = concepts.partition
    per_image = len(concepts.atoms) / images
    held = partition.holds.nnz / len(partition.areas)
    print(
        f"{images} images, {len(partition.concepts)} concepts, {len(partition.areas):,} atoms "
        f"({per_image:.0f} an image, {held:.1f} labels each), "
        f"made, packed and tallied in {made:.0f} s"
    )
    before = _peak()
    space = Space(partition.holds, partition.areas)
    start = time.perf_counter()
    found = search(space, tally.counts)
    whole = time.perf_counter() - start
    print(
        f"ours: {units} units in {whole:.1f} s, {whole / units:.4f} s a unit; peak memory "
        f"{_peak():.0f} MB, {before:.0f} MB of it when the search began"
    )
    distinct = search(space, tally.counts, BeamSearchConfig(distinct=True))
    better = np.mean([d.iou > f.iou + 1e-12 for d, f in zip(distinct, found, strict=True)])
    some = range(min(32, units))
    start = time.perf_counter()
    proofs = [
        optimal(space, dense_row(tally.counts, u), 3, start=distinct[u].formula) for u in some
    ]
    each = (time.perf_counter() - start) / len(proofs)
    gained = np.mean([p.iou > found[u].iou + 1e-12 for p, u in zip(proofs, some, strict=True)])
    print(
        f"distinct beam better for {better:.0%} of units; proved optimum in {each:.2f} s a unit "
        f"({sum(p.proved for p in proofs)} of {len(proofs)} proved), better for {gained:.0%}"
    )
    if not peer_units:
        return
    start = time.perf_counter()
    peer = Peer(concepts)
    print(f"peer: masks encoded in {time.perf_counter() - start:.0f} s")
    ours, theirs = [], []
    for unit in range(peer_units):
        active = active_pixels(concepts, folder, unit, float(tally.thresholds[unit]))
        start = time.perf_counter()
        expected = peer.search(active, BeamSearchConfig())
        theirs.append(time.perf_counter() - start)
        start = time.perf_counter()
        # One unit, one thread, an empty cache.
        alone = search(Space(partition.holds, partition.areas), tally.counts[[unit]], threads=1)[0]
        ours.append(time.perf_counter() - start)
        same = (alone.formula, alone.iou) == expected
        print(f"unit {unit}: {theirs[-1]:.1f} s and {ours[-1]:.3f} s; identical: {same}")
        if not same:
            raise SystemExit(f"unit {unit}: found {alone.formula, alone.iou}, the peer {expected}")
    print(
        f"peer {np.median(theirs):.1f} s a unit; ours {np.median(ours):.3f} s alone "
        f"({np.median(theirs) / np.median(ours):,.0f} times faster), {whole / units:.4f} s among "
        f"{units} ({np.median(theirs) / (whole / units):,.0f} times)"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(folder: Path) -> None:
    """Measure and draw how the time grows."""
    axes_of: dict[str, list[tuple[int, float]]] = {"images": [], "concepts": [], "length": []}
    for images in (500, 1000, 2000, 4000):
        concepts, tally = prepared(images, 1200, 64, folder / f"images-{images}")
        axes_of["images"].append((images, seconds_per_unit(concepts, tally, BeamSearchConfig())))
        if images == 1000:
            for length in range(1, 7):
                taken = seconds_per_unit(concepts, tally, BeamSearchConfig(length=length))
                axes_of["length"].append((length, taken))
    for labels in (150, 300, 600, 1200):
        concepts, tally = prepared(1000, labels, 64, folder / f"concepts-{labels}")
        axes_of["concepts"].append((labels, seconds_per_unit(concepts, tally, BeamSearchConfig())))
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    for axes, (what, points) in zip(figure.subplots(1, 3), axes_of.items(), strict=True):
        places, seconds = zip(*points, strict=True)
        taken = [1000 * value for value in seconds]
        axes.plot(places, taken, marker="o", color="#0072b2")
        axes.set_xlabel(what)
        axes.set_ylim(0, 1.15 * max(taken))
        axes.set_ylabel("ms a unit")
        axes.spines[["top", "right"]].set_visible(False)
        print(what, ", ".join(f"{x}: {y * 1000:.1f} ms" for x, y in points))
    figure.savefig(folder / "growth.svg")
    figure.savefig(folder / "growth.png", dpi=160)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--concepts", type=int, default=1200)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument(
        "--peer-units", type=int, default=2, help="units the peer searches; 0: none"
    )
    parser.add_argument("--growth", action="store_true", help="measure growth instead")
    parser.add_argument("--out", type=Path, help="folder for files; default a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = given.out or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        if given.growth:
            growth(place)
        else:
            compare(given.images, given.concepts, given.units, given.peer_units, place)

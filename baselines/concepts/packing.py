"""Labelled images, packed once into memory-mapped files: the atom of every pixel.

Each image has a short list of its atoms and a map of positions in that list, so a map takes 16 bits
per pixel however many concepts there are. ``Partition`` defines atoms.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from baselines.concepts.atoms import atoms_of_image, united
from baselines.concepts.images import check_frame, framed_labels
from baselines.concepts.labelled_images import MOST_CONCEPTS, LabelledImages, VisualConcept
from baselines.concepts.partition import Partition
from baselines.identity import identity_hash
from milannotations.arrays import read_array
from milannotations.data_home import home
from milannotations.errors import InputError
from milannotations.json_files import read_json
from milannotations.storage import atomic_path, locked, resumable_folder
from milannotations.storage.tidying import tidy_up

# To be raised when files of an older version would be misread; they are then packed again.
VERSION = 1
DEFAULT_SHAPE = (112, 112)  # of Broden's label maps, and of the published masks
_CHUNK = 1024  # images per file, the most that an interruption can lose
_HEADER = "concepts.json"
Advance = Callable[[int], None]


@dataclass(frozen=True)
class PackedConcepts:
    """A packed data set.

    Attributes:
        folder: Its folder.
        partition: Its atoms.
        shape: Height and width of the label maps.
        frame: How pictures that are not square are used; see ``ConceptImages``.
        first: Where the list of atoms of each image starts in ``atoms``, (images + 1,).
        atoms: The lists of atoms, concatenated, (first[-1],).
        content: Hash of the labels of all images, in their order, and of the vocabulary.
    """

    folder: Path
    partition: Partition
    shape: tuple[int, int]
    frame: str
    first: NDArray[np.int64]
    atoms: NDArray[np.int32]
    content: str

    def __len__(self) -> int:
        return len(self.first) - 1

    def map(self, index: int) -> NDArray[np.uint16]:
        """Return the map of an image, (height × width,): positions in its list of atoms."""
        chunk, row = divmod(index, _CHUNK)
        return np.asarray(self._maps[chunk][row])

    def atoms_of(self, index: int) -> NDArray[np.int32]:
        """Return the list of atoms of an image."""
        return self.atoms[self.first[index] : self.first[index + 1]]

    def mask(self, index: int, concept: int) -> NDArray[np.bool_]:
        """Return the pixels of an image that have a label, bool (height, width)."""
        rows = self.partition.holds[self.atoms_of(index)]
        has = rows[:, [concept]].toarray()[:, 0] > 0
        return has[self.map(index)].reshape(self.shape)

    @cached_property
    def presence(self) -> NDArray[np.bool_]:
        """Whether an image has any label of a category, (images, categories)."""
        return np.logical_or.reduceat(
            self.partition.atom_categories[self.atoms], self.first[:-1], axis=0
        )

    @cached_property
    def _maps(self) -> list[NDArray[np.uint16]]:
        count = -(-len(self) // _CHUNK)
        return [read_array(self.folder / _maps_file(c), "u", mapped="r") for c in range(count)]


def packed(
    source: LabelledImages,
    *,
    frame: str = "squash",
    shape: tuple[int, int] | None = None,
    folder: Path | None = None,
    advance: Advance = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> PackedConcepts:
    """Open a packed data set; pack it first if need be.

    Packing resumes where it was interrupted.

    Args:
        source: The labelled images.
        frame: How pictures that are not square are used; see ``ConceptImages``.
        shape: Height and width of the label maps; default the data's own, or else 112 × 112.
        folder: Folder of the packed data; default one below the project's cache.
        advance: Called with the number of images done.
        say: Called with messages for people.

    Raises:
        InputError: If files of the data are missing, unreadable or invalid.
    """
    check_frame(frame)
    wanted = shape or source.shape or DEFAULT_SHAPE
    if min(wanted) < 1 or wanted[0] * wanted[1] > 65_536:
        raise InputError(f"label maps of {wanted[0]} × {wanted[1]}; at most 256 × 256 is possible")
    if len(source.concepts) > MOST_CONCEPTS:
        raise InputError(f"{len(source.concepts)} concepts; at most {MOST_CONCEPTS} are possible")
    identity = {
        "version": VERSION,
        "data": source.identity(),
        "images": len(source),
        "frame": frame,
        "shape": list(wanted),
    }
    target = folder or home() / "concepts" / identity_hash(identity)[:16]
    opened = _opened(target, identity, source)
    if opened is not None:
        tidy_up(target)
        return opened
    if target.is_dir() and any(target.iterdir()):
        if not (target / _HEADER).is_file():
            raise InputError(
                f"{target} holds files that are no packed concepts; name another folder"
            )
        say(f"{target} holds labels of other data, of another version, or damaged ones: packing")
    problems = source.check()
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}")
    with locked(target, wait=True):
        # Another process may have packed the data in the meantime.
        opened = _opened(target, identity, source)
        if opened is None:
            _pack_all(source, identity, target, advance)
            opened = _opened(target, identity, source)
    if opened is None:
        raise InputError(f"{target} cannot be read back; is the disk sound?")
    return opened


def _pack_all(
    source: LabelledImages, identity: dict[str, Any], target: Path, advance: Advance
) -> None:
    """Pack a data set, resuming unfinished work."""
    shape = (identity["shape"][0], identity["shape"][1])
    with resumable_folder(target, identity, overwrite=True) as work:
        content = hashlib.sha256()
        for number, start in enumerate(range(0, len(source), _CHUNK)):
            span = range(start, min(start + _CHUNK, len(source)))
            done = (work / _maps_file(number)).is_file() and (work / _lists_file(number)).is_file()
            if not done:
                _pack(source, span, identity["frame"], shape, work, number, advance)
            else:
                advance(len(span))
        lists = [load_file(work / _lists_file(n)) for n in range(-(-len(source) // _CHUNK))]
        tables = united(lists, len(source.concepts))
        for name in sorted(tables):
            content.update(tables[name].tobytes())
        for chunk in lists:
            content.update(chunk["digest"].tobytes())
        content.update(json.dumps([asdict(c) for c in source.concepts]).encode())
        with atomic_path(work / "atoms.safetensors", alone=True) as path:
            save_file(tables, path)
        header = {
            "identity": identity,
            "content": content.hexdigest()[:32],
            "categories": list(source.categories),
            "concepts": [asdict(concept) for concept in source.concepts],
            "sizes": {p.name: p.stat().st_size for p in sorted(work.glob("*.npy"))}
            | {"atoms.safetensors": (work / "atoms.safetensors").stat().st_size},
        }
        for path in work.glob("lists-*.safetensors"):
            path.unlink()
        with atomic_path(work / _HEADER) as path:
            path.write_text(json.dumps(header), encoding="utf-8")


def _opened(
    folder: Path, identity: dict[str, Any], source: LabelledImages
) -> PackedConcepts | None:
    """Return the packed data in a folder; None if it is incomplete or of other data."""
    try:
        header = read_json(folder / _HEADER, dict)
        if header["identity"] != json.loads(json.dumps(identity)):
            return None
        if any((folder / n).stat().st_size != size for n, size in header["sizes"].items()):
            return None
        concepts = tuple(VisualConcept(**plain) for plain in header["concepts"])
        if concepts != tuple(source.concepts):
            return None
        tables = load_file(folder / "atoms.safetensors")
        codes, starts = tables["codes"], tables["starts"]
        shape = (len(starts) - 1, len(concepts))
        membership = csr_array((tables["times"], codes.astype(np.int32), starts), shape=shape)
        partition = Partition(concepts, tuple(header["categories"]), membership, tables["areas"])
        return PackedConcepts(
            folder,
            partition,
            (identity["shape"][0], identity["shape"][1]),
            identity["frame"],
            tables["first"],
            tables["atoms"],
            header["content"],
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _pack(
    source: LabelledImages,
    span: range,
    frame: str,
    shape: tuple[int, int],
    work: Path,
    number: int,
    advance: Advance,
) -> None:
    """Write one chunk: maps, and for each image the list of label multisets with their areas."""
    maps = np.zeros((len(span), shape[0] * shape[1]), dtype=np.uint16)
    lengths, areas, codes, sizes = [], [], [], []
    digest = hashlib.sha256()

    def pack_image(index: int) -> tuple[NDArray[np.uint16], list[bytes], NDArray[np.int64]]:
        labels = source.labels(index)
        return atoms_of_image(framed_labels(labels, frame, shape), labels.whole)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, (local, keys, counts) in enumerate(_ahead(pool, pack_image, span)):
            maps[row] = local
            digest.update(local.tobytes())
            lengths.append(len(keys))
            areas.append(counts)
            codes.append(b"".join(keys))
            sizes += [len(key) // 2 for key in keys]
            advance(1)
    with atomic_path(work / _maps_file(number)) as path, path.open("wb") as file:
        np.save(file, maps, allow_pickle=False)
    with atomic_path(work / _lists_file(number), alone=True) as path:
        save_file(
            {
                "lengths": np.array(lengths, dtype=np.int64),
                "areas": np.concatenate(areas),
                "codes": np.frombuffer(b"".join(codes), dtype=np.uint16).copy(),
                "sizes": np.array(sizes, dtype=np.int64),
                "digest": np.frombuffer(digest.digest(), dtype=np.uint8).copy(),
            },
            path,
        )


def _ahead(pool: ThreadPoolExecutor, work: Callable[[int], Any], span: range) -> Iterator[Any]:
    """Map over a span in order, computing only a few results ahead."""
    items = iter(span)
    waiting = deque(pool.submit(work, i) for i in islice(items, 16))
    try:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, i) for i in islice(items, 1))
    finally:
        for future in waiting:
            future.cancel()


def _maps_file(number: int) -> str:
    return f"maps-{number:05d}.npy"


def _lists_file(number: int) -> str:
    return f"lists-{number:05d}.safetensors"

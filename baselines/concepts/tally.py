"""How often each unit of a layer is activated on each atom of a labelled data set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from milannotations.json_files import parse_json
from milannotations.storage import atomic_path

_FORMAT = "3"
_KEY = "tally"


@dataclass(frozen=True)
class StrongestImages:
    """The images that activate each unit most, strongest first, to show them.

    Attributes:
        ids: Shape (units, k), int64: which images; beyond all images where there are fewer.
        peaks: Shape (units, k), float32: peak activations; -inf where there are fewer.
        maps: Shape (units, k, height, width), float32: activation maps.
    """

    ids: NDArray[np.int64]
    peaks: NDArray[np.float32]
    maps: NDArray[np.float32]


@dataclass(frozen=True)
class Tally:
    """What one layer's masks have in common with the labels.

    Attributes:
        layer: The layer.
        thresholds: Shape (units,), float32: a unit is activated above it.
        counts: Shape (units, atoms), int64: activated pixels of the unit in the atom, over all
            images. The row of a dead unit is empty.
        in_images: Shape (units, categories), int64: activated pixels in images that hold any
            label of the category (Network Dissection, as first published).
        in_masks: Shape (units, categories), int64: activated pixels in images where some
            activated pixel of the unit has a label of the category (NetDissect-Lite).
        top: Exemplars, where they were kept.
    """

    layer: str
    thresholds: NDArray[np.float32]
    counts: csr_array
    in_images: NDArray[np.int64]
    in_masks: NDArray[np.int64]
    top: StrongestImages | None = None

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.thresholds)

    def save(self, path: Path) -> None:
        """Write it to a safetensors file, atomically."""
        tensors = {
            "thresholds": self.thresholds,
            "data": self.counts.data,
            "indices": self.counts.indices.astype(np.int32),
            "indptr": self.counts.indptr.astype(np.int64),
            "shape": np.array(self.counts.shape, dtype=np.int64),
            "in_images": self.in_images,
            "in_masks": self.in_masks,
        }
        if self.top is not None:
            tensors |= {f"top.{name}": array for name, array in vars(self.top).items()}
        with atomic_path(path, alone=True) as partial:
            # One key: safetensors writes several in an order that changes from run to run.
            facts = {"format": _FORMAT, "layer": self.layer}
            save_file(tensors, partial, metadata={_KEY: json.dumps(facts)})

    @classmethod
    def load(cls, path: Path) -> Tally:
        """Read what ``save`` wrote.

        Raises:
            ValueError: If the file is damaged, or of another version.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                facts = parse_json((file.metadata() or {}).get(_KEY, "{}").encode(), path, dict)
            if facts.get("format") != _FORMAT:
                raise ValueError(f"{path} is of version {facts.get('format')}, not {_FORMAT}")
            kept = load_file(path)
            counts = csr_array(
                (kept["data"], kept["indices"], kept["indptr"]), shape=tuple(kept["shape"])
            )
            counts.check_format()
            top = {n.removeprefix("top."): a for n, a in kept.items() if n.startswith("top.")}
            return cls(
                facts["layer"], kept["thresholds"], counts, kept["in_images"], kept["in_masks"],
                StrongestImages(**top) if top else None,
            )  # fmt: skip
        except (OSError, KeyError, SafetensorError) as error:
            raise ValueError(f"{path}: {error}") from error

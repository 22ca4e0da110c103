"""Counts of the activated pixels of each unit in each atom of a labelled data set."""

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
    """The images that activate each unit most, strongest first, for pictures.

    Attributes:
        ids: Numbers of the images, int64 (units, k); beyond the last image where there are fewer.
        peaks: Peak activations, float32 (units, k); -inf where there are fewer.
        maps: Activation maps, float32 (units, k, height, width).
    """

    ids: NDArray[np.int64]
    peaks: NDArray[np.float32]
    maps: NDArray[np.float32]


@dataclass(frozen=True)
class Tally:
    """Overlap of the masks of one layer with the labels.

    Attributes:
        layer: The layer.
        thresholds: Activation thresholds, float32 (units,); a unit is activated above its own.
        counts: Activated pixels of each unit in each atom, in all images, int64 (units, atoms). The
            row of a dead unit is empty.
        in_images: Activated pixels in images with any label of a category, int64 (units,
            categories), as Network Dissection first counted.
        in_masks: Activated pixels in images where an activated pixel of the unit has a label of
            the category, int64 (units, categories), as NetDissect-Lite counts.
        top: Exemplars, if they were kept.
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
        """Write a safetensors file, atomically."""
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
            # A single key: the order of several changes from run to run.
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
            arrays = load_file(path)
            counts = csr_array(
                (arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"])
            )
            counts.check_format()
            top = {n.removeprefix("top."): a for n, a in arrays.items() if n.startswith("top.")}
            return cls(
                facts["layer"],
                arrays["thresholds"],
                counts,
                arrays["in_images"],
                arrays["in_masks"],
                StrongestImages(**top) if top else None,
            )
        except (OSError, KeyError, SafetensorError) as error:
            raise ValueError(f"{path}: {error}") from error

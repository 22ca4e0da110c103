"""Activation maps of labelled images: from a network that runs on them, or from files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from milannotations.arrays import read_array
from milannotations.errors import InputError, did_you_mean
from milannotations.exemplars.batches import Batch
from milannotations.exemplars.collect import Job, Runner, Update, batches
from milannotations.json_files import read_json

Advance = Callable[[int], None]
Say = Callable[[str], None]
_RECORDED_BATCH = 64


class ActivationMaps(Protocol):
    """Activation maps of images, layer by layer."""

    @property
    def layers(self) -> Mapping[str, tuple[int, int, int]]:
        """Units, height and width of the maps of each layer."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input, in pixels."""

    def __len__(self) -> int: ...

    def identity(self) -> dict[str, Any]:
        """Return what identifies these maps, as JSON."""

    def run(
        self, span: range, layers: Sequence[str], update: Update, advance: Advance, say: Say
    ) -> None:
        """Call ``update(layer, ids, maps)`` for all maps of a span of images.

        ``milannotations.exemplars.collect.Runner`` says what ``update`` does.
        """


class NetworkMaps:
    """Maps of a network, which runs each time they are needed.

    Args:
        job: The network, on its device, its layers and the images; see
            ``milannotations.exemplars.collect.prepare``.
        device: Where the network is.
    """

    def __init__(self, job: Job, device: torch.device) -> None:
        self._job = job
        self._device = device
        self.layers = {
            point.layer: (point.units, point.height, point.width) for point in job.points
        }
        size = job.source.inputs(0)
        first = size if isinstance(size, Tensor) else size[0]
        # Inputs that are not images, such as the indices of scenes, have no size.
        self.input_size = (int(first.shape[-2]), int(first.shape[-1])) if first.ndim > 1 else (0, 0)

    def __len__(self) -> int:
        return len(self._job.source)

    def identity(self) -> dict[str, Any]:
        """Return the hash of the weights, the images, and how the layers are read."""
        plan = self._job.plan
        identity = {
            "weights": plan.weights,
            "source": plan.source,
            "dtype": plan.dtype,
            "layouts": plan.layouts,
        }
        if plan.changed_in_place:
            identity["changed_in_place"] = plan.changed_in_place
        return identity

    def run(
        self, span: range, layers: Sequence[str], update: Update, advance: Advance, say: Say
    ) -> None:
        """See ``ActivationMaps``.

        Raises:
            InputError: For an unreadable image, activations that are not finite, or too little
                memory.
        """
        job = Job(
            **{**vars(self._job), "points": [t for t in self._job.points if t.layer in layers]}
        )
        with torch.no_grad(), Runner(job, update, self._device, say) as runner:
            batch: Batch
            for batch in batches(job, span, self._device):
                if batch.unreadable or batch.inputs is None:
                    raise InputError("; ".join(batch.unreadable[:1]))
                runner.run(batch.ids.to(self._device), batch.inputs)
                advance(len(batch.ids))


class RecordedMaps:
    """Maps from files, for networks that do not run on this machine.

    Args:
        folder: Holds ``activations.json`` with ``{"input_size": [height, width], "layers":
            {"conv5": "conv5.npy"}}``; each file is an array of shape (images, units, height,
            width), or (images, units) for units with one activation per image, of floating-point
            numbers. Files are mapped into memory, never unpickled.
        device: Where the maps are processed.

    Raises:
        InputError: If a file is missing, lies outside the folder, is of another shape or type, or
            layers have different numbers of images.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        index = folder / "activations.json"
        layout = 'it should read {"input_size": [224, 224], "layers": {"conv5": "conv5.npy"}}'
        plain = read_json(index, dict, remedy=f"it names the layers' files: {layout}")
        try:
            files = {str(layer): str(name) for layer, name in plain["layers"].items()}
            height, width = (int(n) for n in plain["input_size"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(f"{index}: {error}; {layout}") from error
        self.input_size = (height, width)
        self._arrays = {layer: _array(folder, name) for layer, name in files.items()}
        if not self._arrays:
            raise InputError(f"{index} names no layer")
        lengths = {layer: len(array) for layer, array in self._arrays.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"{folder}: layers have different numbers of images: {lengths}")
        self.layers: dict[str, tuple[int, int, int]] = {
            layer: (array.shape[1], array.shape[2], array.shape[3])
            for layer, array in self._arrays.items()
        }
        stats = {name: (folder / name).stat() for name in files.values()}
        self._identity = {
            "recorded": hashlib.sha256(
                "\n".join(
                    f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in sorted(stats.items())
                ).encode()
            ).hexdigest(),
            "input_size": [height, width],
        }

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def identity(self) -> dict[str, Any]:
        """Return a hash of the names, sizes and modification times of the files."""
        return self._identity

    def run(
        self, span: range, layers: Sequence[str], update: Update, advance: Advance, say: Say
    ) -> None:
        """See ``ActivationMaps``.

        Raises:
            InputError: If activations are not finite.
        """
        for start in range(span.start, span.stop, _RECORDED_BATCH):
            stop = min(start + _RECORDED_BATCH, span.stop)
            ids = torch.arange(start, stop, device=self._device)
            for layer in layers:
                maps = torch.from_numpy(np.array(self._arrays[layer][start:stop], np.float32))
                bad = update(layer, ids, maps.to(self._device))
                if bool(bad.any()):
                    image, unit = (int(n) for n in bad.nonzero()[0])
                    raise InputError(
                        f"layer {layer!r}, unit {unit} is NaN or infinity for image {start + image}"
                    )
            advance(stop - start)


def _array(folder: Path, name: str) -> NDArray[Any]:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder / 'activations.json'}: {name} lies outside the folder")
    if not path.is_file():
        files = [p.name for p in folder.glob("*.npy")]
        raise InputError(f"{path} does not exist{did_you_mean(name, files)}")
    array = read_array(path, "biuf", mapped="r")
    if array.ndim == 2:
        array = array[:, :, None, None]
    if array.ndim != 4 or min(array.shape) < 1 or array.dtype.kind != "f":
        raise InputError(
            f"{path} has shape {array.shape} of {array.dtype}; "
            "it should be (images, units, height, width) of floating-point numbers"
        )
    return array

"""From activation maps of labelled images to tallies, in two passes: thresholds, then masks.

A mask depends on the threshold of its unit, so all maps are needed twice. Up to 4 GB of maps are
cached on disk: the network runs once, and thresholds are exact. More would not fit on most disks
(580 GB for ResNet-152 on Broden): the network then runs twice, and thresholds come from
``quantile_of`` of the exemplar builder. Either way interrupted work is resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from baselines.concepts.activations import ActivationMaps
from baselines.concepts.cached_maps import CachedMaps
from baselines.concepts.counting import LayerCounter, Masking, Upsampler, united
from baselines.concepts.packing import PackedConcepts
from baselines.concepts.tally import Tally
from baselines.concepts.unfinished_tallies import begin, begun, remove_finished
from baselines.identity import identity_hash
from milannotations.errors import InputError
from milannotations.exemplars.histogram import QuantileHistogram
from milannotations.exemplars.quantile import quantile_of
from milannotations.exemplars.tail import ExactTail
from milannotations.interruption import AGAIN, saying_what_is_kept
from milannotations.progress import progress_task
from milannotations.storage import atomic_path, locked, unfinished_folder
from milannotations.storage.tidying import tidy_up

_SPAN = 1024  # images between two savings
_CACHED_SPAN = 128  # the same where maps are cached, whose spans are held in memory
_MAX_CACHE = 2**32  # bytes of maps that are cached from the first pass to the second


def tallies(
    maps: ActivationMaps,
    concepts: PackedConcepts,
    masking: Masking,
    folder: Path,
    device: torch.device | str = "cpu",
) -> dict[str, Tally]:
    """Return the tally of every layer; tallies that are in the folder already are read from it.

    Args:
        maps: Activation maps of the same images, in the same order, as the labels.
        concepts: The labels.
        masking: How maps become masks.
        folder: Folder of tallies, with a sub-folder for each combination of network, labels and
            masking.
        device: Where the maps are.

    Raises:
        InputError: If there are not as many maps as labels, or the maps cannot be computed or read.
    """
    if len(maps) != len(concepts):
        raise InputError(f"activation maps of {len(maps)} images, but labels of {len(concepts)}")
    if masking.threshold is None and not 0 < masking.quantile < 1:
        raise InputError(f"quantile is {masking.quantile}; it must lie between 0 and 1")
    identity = {
        "maps": maps.identity(),
        "input_size": list(maps.input_size),
        "labels": concepts.content,
        "shape": list(concepts.shape),
        "masking": vars(masking),
    }
    target = folder / identity_hash(identity)[:16]
    notice = f"what was finished is kept in {unfinished_folder(target)}: {AGAIN}"
    with locked(target, wait=True), saying_what_is_kept(lambda: notice):
        target.mkdir(parents=True, exist_ok=True)
        counted = {layer: _saved(_file(target, layer), layer) for layer in maps.layers}
        missing = [layer for layer, tally in counted.items() if tally is None]
        if missing:
            layers = begun(target, missing)
            passes = _TwoPasses(maps, concepts, masking, target, torch.device(device), layers)
            passes.count(passes.thresholds())
            counted |= {layer: _saved(_file(target, layer), layer) for layer in missing}
        for layer in maps.layers:
            tidy_up(_file(target, layer))
        remove_finished(target, lambda layer: _saved(_file(target, layer), layer) is not None)
    return {layer: tally for layer, tally in counted.items() if tally is not None}


def _file(folder: Path, layer: str) -> Path:
    return folder / f"tally-{hashlib.sha256(layer.encode()).hexdigest()[:12]}.safetensors"


def _saved(path: Path, layer: str) -> Tally | None:
    """Return a saved tally; None if there is none, or it cannot be used."""
    try:
        tally = Tally.load(path)
    except ValueError:
        return None
    return tally if tally.layer == layer else None


class _TwoPasses:
    """The two passes over the maps of some layers."""

    def __init__(
        self,
        maps: ActivationMaps,
        concepts: PackedConcepts,
        masking: Masking,
        target: Path,
        device: torch.device,
        layers: Sequence[str],
    ) -> None:
        floats = len(maps) * sum(u * h * w for u, h, w in (maps.layers[n] for n in layers))
        few = 4 * floats <= _MAX_CACHE and masking.threshold is None
        self.work = begin(target, layers)
        self.maps = CachedMaps(maps, layers, self.work, device) if few else maps
        self._step = _CACHED_SPAN if few else _SPAN
        self.concepts = concepts
        self.masking = masking
        self.target = target
        self.device = device
        self.layers = layers
        self.upsamplers = {
            layer: Upsampler(
                masking, maps.layers[layer][1:], concepts.shape, maps.input_size, device
            )
            for layer in layers
        }

    def thresholds(self) -> dict[str, Tensor]:
        """Return the thresholds of each layer, float32 (units,), with a first pass if need be."""
        if self.masking.threshold is not None:
            value = self.masking.threshold
            return {n: torch.full((self.maps.layers[n][0],), value) for n in self.layers}
        if isinstance(self.maps, CachedMaps):
            return self._exact(self.maps)
        quantiles = {name: self._quantile(name) for name in self.layers}
        file = self.work / "thresholds.safetensors"
        done = _restored(file, quantiles)
        if not done:  # some may have been restored before the file turned out to be damaged
            quantiles = {name: self._quantile(name) for name in self.layers}

        def update(layer: str, ids: Tensor, maps: Tensor) -> Tensor:
            return _observe(quantiles[layer], self._seen(layer, maps))

        def save(stop: int) -> None:
            state = {
                f"{number}.{name}": tensor
                for number, quantile in enumerate(quantiles.values())
                for name, tensor in quantile.state().items()
            }
            with atomic_path(file, alone=True) as path:
                save_file(state | {"done": torch.tensor(stop)}, path)

        self._pass("Thresholds", done, update, save)
        return {name: quantile.quantile() for name, quantile in quantiles.items()}

    def _exact(self, maps: CachedMaps) -> dict[str, Tensor]:
        with progress_task("Activations", len(maps)) as bar:
            maps.ensure(self._spans, bar.advance, bar.say)

        def seen(layer: str) -> Callable[[Tensor], Tensor]:
            return self.upsamplers[layer] if self.masking.over == "upsampled" else _unchanged

        q = 1 - self.masking.quantile
        return {n: maps.quantiles(n, self._spans, q, seen(n)) for n in self.layers}

    @property
    def _spans(self) -> list[range]:
        total, step = len(self.maps), self._step
        return [range(start, min(start + step, total)) for start in range(0, total, step)]

    def count(self, thresholds: Mapping[str, Tensor]) -> None:
        """Write the tally of each layer, with a second pass."""
        counters = {
            name: LayerCounter(
                self.concepts, self.upsamplers[name], thresholds[name].to(self.device)
            )
            for name in self.layers
        }
        done = 0
        for span in self._spans:
            if not all(
                _saved(self._chunk(span.start, n), name) for n, name in enumerate(self.layers)
            ):
                break
            done = span.stop

        def update(layer: str, ids: Tensor, maps: Tensor) -> Tensor:
            return counters[layer].update(ids, maps)

        def save(stop: int) -> None:
            start = (stop - 1) // self._step * self._step
            for number, (name, counter) in enumerate(counters.items()):
                counter.take(name).save(self._chunk(start, number))

        self._pass("Masks", done, update, save)
        for number, name in enumerate(self.layers):
            counted = [Tally.load(self._chunk(s.start, number)) for s in self._spans]
            united(counted).save(_file(self.target, name))

    def _pass(
        self,
        title: str,
        done: int,
        update: Callable[[str, Tensor, Tensor], Tensor],
        save: Callable[[int], None],
    ) -> None:
        with progress_task(title, len(self.maps)) as bar:
            if done:
                bar.say(f"going on: {done:,} of {len(self.maps):,} images were run before")
            bar.advance(done)
            for span in self._spans:
                if span.start >= done:
                    self.maps.run(span, self.layers, update, bar.advance, bar.say)
                    save(span.stop)

    def _chunk(self, start: int, number: int) -> Path:
        return self.work / f"part-{start:07d}-{number}.safetensors"

    def _quantile(self, layer: str) -> ExactTail | QuantileHistogram:
        units, height, width = self.maps.layers[layer]
        if self.masking.over == "upsampled":
            height, width = self.concepts.shape
        positions = len(self.maps) * height * width
        return quantile_of(units, 1 - self.masking.quantile, positions, self.device)

    def _seen(self, layer: str, maps: Tensor) -> Tensor:
        """Return the values of which the threshold is a quantile."""
        if self.masking.over == "maps":
            return maps
        upsampled = [self.upsamplers[layer](image.float()) for image in maps]
        return torch.stack(upsampled)


def _unchanged(maps: Tensor) -> Tensor:
    return maps


def _observe(quantile: ExactTail | QuantileHistogram, maps: Tensor) -> Tensor:
    flat = maps.flatten(2)
    peaks, lows = flat.amax(2).float(), flat.amin(2).float()
    bad = ~(peaks.isfinite() & lows.isfinite())
    if not bool(bad.any()):
        quantile.update(flat, lows.amin(0), peaks.amax(0))
    return bad


def _restored(path: Path, quantiles: Mapping[str, ExactTail | QuantileHistogram]) -> int:
    """Restore what an interrupted pass has observed; return its number of images."""
    try:
        state = load_file(path)
        for number, quantile in enumerate(quantiles.values()):
            prefix = f"{number}."
            quantile.restore(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )
        return int(state["done"])
    except (OSError, SafetensorError, ValueError, KeyError):
        return 0

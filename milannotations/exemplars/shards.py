"""Statistics of a pass over some of the images, as a file that can be merged with others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from milannotations.errors import InputError
from milannotations.exemplars.plan import PassPlan
from milannotations.exemplars.statistics import LayerStatistics
from milannotations.json_files import parse_json
from milannotations.storage import atomic_path

_KEY = "milannotations"
_FORMAT = 2  # version 1 had no sample of the tail


@dataclass
class StatisticsHeader:
    """What statistics were computed from.

    Attributes:
        plan: Everything the statistics depend on.
        covered: The images that have been run, as ascending ranges that do not touch.
        unreadable: For each image that could not be read, what is wrong with it.
        network: How the network was loaded, for the dataset's record; see ``network_facts``.
    """

    plan: PassPlan
    covered: list[range] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    network: dict[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Number of images that have been run."""
        return sum(map(len, self.covered))


@dataclass
class PartialStatistics(StatisticsHeader):
    """The statistics of a pass over some of the images so far.

    Attributes:
        statistics: By layer.
        checksums: One per image; 0 if the image was not run or has no checksum.
    """

    statistics: dict[str, LayerStatistics] = field(default_factory=dict)
    checksums: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    @classmethod
    def empty(cls, plan: PassPlan, device: torch.device | str = "cpu") -> PartialStatistics:
        """Return statistics of no images."""
        checksums = torch.zeros(plan.images, dtype=torch.int64)
        return cls(plan, statistics=plan.empty(device), checksums=checksums)

    def add(self, other: PartialStatistics) -> None:
        """Merge the statistics of other images into these; the order of merging does not matter.

        Raises:
            InputError: If the plans differ, or they have images in common.
        """
        self.covered = united([self, other])
        for layer, statistics in self.statistics.items():
            statistics.merge(other.statistics[layer])
        self.checksums = self.checksums + other.checksums
        self.unreadable = sorted({*self.unreadable, *other.unreadable})

    def dump(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return everything as JSON and as tensors on the CPU."""
        tensors = {"checksums": self.checksums}
        for number, statistics in enumerate(self.statistics.values()):
            tensors |= {f"{number}.{name}": tensor for name, tensor in statistics.state().items()}
        facts = {
            "format": _FORMAT,
            "plan": self.plan.as_json(),
            "covered": [[span.start, span.stop] for span in self.covered],
            "unreadable": self.unreadable,
            "network": self.network,
        }
        return facts, tensors

    @classmethod
    def restore(
        cls,
        facts: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        device: torch.device | str = "cpu",
    ) -> PartialStatistics:
        """Return what ``dump`` gave; raise ValueError, KeyError or TypeError for anything else."""
        header = _header(facts)
        for number, (units, height, width) in enumerate(header.plan.layers.values()):
            shape = tuple(tensors[f"{number}.top.maps"].shape)
            if shape != (
                units,
                header.plan.k,
                height,
                width,
            ):  # before memory for them is allocated
                raise ValueError(f"maps of shape {shape}")
        state = cls.empty(header.plan, device)
        state.covered, state.unreadable = header.covered, header.unreadable
        state.network = header.network
        state.checksums.copy_(tensors["checksums"])
        for number, (layer, statistics) in enumerate(state.statistics.items()):
            prefix = f"{number}."
            statistics.restore(
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
            ids = statistics.top.ids[statistics.top.values.isfinite()]
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < state.plan.images:
                raise ValueError(f"exemplars of {layer} lie outside the images")
        return state

    def save(self, path: Path) -> None:
        """Write everything to a safetensors file, atomically."""
        facts, tensors = self.dump()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, alone=True) as temporary:
            save_file(tensors, temporary, metadata={_KEY: json.dumps(facts)})

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> PartialStatistics:
        """Read what ``save`` wrote.

        Raises:
            InputError: If the file is damaged, not of this kind, or of another version.
        """
        with _opened(path) as (file, facts):
            return cls.restore(
                facts, {name: file.get_tensor(name) for name in list(file.keys())}, device
            )


def read_header(path: Path) -> StatisticsHeader:
    """Read the header of a file of statistics; errors as in ``PartialStatistics.load``."""
    with _opened(path) as (_, facts):
        return _header(facts)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        with safe_open(path, "pt") as file:
            yield file, parse_json((file.metadata() or {})[_KEY], path, dict, constants=True)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} is not a sound file of statistics ({error!r}); delete it, and that part is "
            "built again"
        ) from error


def _header(facts: Mapping[str, Any]) -> StatisticsHeader:
    if facts["format"] != _FORMAT:
        raise ValueError(f"format {facts['format']}, here {_FORMAT}")
    plan = PassPlan.from_json(facts["plan"])
    covered = [range(int(start), int(stop)) for start, stop in facts["covered"]]
    ends = [0, *(end for span in covered for end in (span.start, span.stop)), plan.images]
    if ends != sorted(ends):
        raise ValueError(f"images {covered} of {plan.images}")
    network = facts.get("network") or {}  # files of earlier versions have none
    return StatisticsHeader(
        plan, covered, [str(line) for line in facts["unreadable"]], dict(network)
    )


def missing(header: StatisticsHeader, span: range) -> list[range]:
    """Return the images of a span that have not been run.

    >>> plan = PassPlan("m", "d", "w", {}, {"images": 9}, 1, 0.9, "float32", {})
    >>> missing(StatisticsHeader(plan, [range(0, 2), range(4, 6)]), range(1, 9))
    [range(2, 4), range(6, 9)]
    """
    gaps = []
    start = span.start
    for done in header.covered:
        if done.start > start:
            gaps.append(range(start, min(done.start, span.stop)))
        start = max(start, done.stop)
    gaps.append(range(start, span.stop))
    return [gap for gap in gaps if len(gap)]


def merge_files(paths: Sequence[Path]) -> PartialStatistics:
    """Merge files of statistics that together cover all images, with two in memory at a time.

    Args:
        paths: The files, in any order.

    Raises:
        InputError: If there are no files, one is damaged, their plans differ, they have images in
            common, or images are missing.
    """
    headers = [read_header(path) for path in paths]
    if not headers:
        raise InputError("there are no shards to merge")
    whole = StatisticsHeader(headers[0].plan, united(headers))
    gaps = missing(whole, range(whole.plan.images))
    if gaps:
        raise InputError(
            f"images {', '.join(_words(gap) for gap in gaps)} have not been run: a shard is not "
            "there, or not finished (run its command again)"
        )
    merged = PartialStatistics.load(paths[0])
    for path in paths[1:]:
        merged.add(PartialStatistics.load(path))
    return merged


def united(headers: Sequence[StatisticsHeader]) -> list[range]:
    """Return the images covered by any of the headers; no two may share an image."""
    for header in headers[1:]:
        difference = headers[0].plan.difference(header.plan)
        if difference:
            raise InputError(
                f"images {_words(*headers[0].covered)} and images {_words(*header.covered)} were "
                f"not run alike: {difference} differ"
            )
    united: list[range] = []
    for span in sorted((s for header in headers for s in header.covered), key=lambda s: s.start):
        if united and span.start < united[-1].stop:
            twice = range(span.start, min(span.stop, united[-1].stop))
            raise InputError(f"images {_words(twice)} were run twice, in two of the parts")
        if united and span.start == united[-1].stop:
            united[-1] = range(united[-1].start, span.stop)
        else:
            united.append(span)
    return united


def spans(images: int, parts: int) -> list[range]:
    """Split images into ranges whose lengths differ by at most one.

    >>> spans(10, 3)
    [range(0, 3), range(3, 6), range(6, 10)]
    """
    ends = [number * images // parts for number in range(parts + 1)]
    return [range(start, stop) for start, stop in pairwise(ends)]


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``3/16``: the third of sixteen.

    >>> parse_shard("3/16")
    (3, 16)

    Raises:
        InputError: If it is not of that form, or there is no such shard.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"shard {text!r}; write it as 3/16, the third of sixteen")
    return int(match[1]), int(match[2])


def shard_path(folder: Path, number: int, of: int) -> Path:
    """Return the path of a shard's file."""
    return folder / f"shard-{number:05d}-of-{of:05d}.safetensors"


def _words(*spans: range) -> str:
    return ", ".join(f"{span.start} to {span.stop - 1}" for span in spans) or "none"

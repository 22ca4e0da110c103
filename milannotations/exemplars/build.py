"""Build neuron records from a network and images, in one pass over the images for all layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from milannotations.errors import InputError
from milannotations.exemplars.collect import Job, collect, prepare, resumed
from milannotations.exemplars.estimate import tell_if_large
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest, DatasetRequest
from milannotations.exemplars.shards import (
    PartialStatistics,
    merge_files,
    missing,
    read_header,
    shard_path,
    spans,
)
from milannotations.exemplars.torchrun import process_group, wait_for_all
from milannotations.exemplars.writing import write_dataset
from milannotations.interruption import AGAIN, saying_what_is_kept
from milannotations.networks.record import network_facts
from milannotations.progress import Bar, progress_bar
from milannotations.storage import (
    atomic_folder,
    check_folder,
    check_target,
    locked,
    unfinished_folder,
)
from milannotations.storage.tidying import discard_work, mark_placed

# Finds the statistics of all images of a job: (job, device, folder for unfinished work, bar).
Engine = Callable[[Job, torch.device, Path, Bar], PartialStatistics]


@dataclass
class BuildReport:
    """What a build did: where the folder is, and what was left out.

    Attributes:
        folder: The dataset, or for a shard its file.
        layers: Each layer's (units, height, width).
        images: How many images the network ran on.
        unreadable: For each image that was left out, what is wrong with it.
        negative: Number of units with a threshold below zero, by layer; layers without such units
            are left out. Empty for shards, which have no thresholds yet.
    """

    folder: Path
    layers: dict[str, tuple[int, int, int]]
    images: int
    unreadable: list[str] = field(default_factory=list)
    negative: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, state: PartialStatistics) -> BuildReport:
        """Return the report on a finished pass or shard."""
        images = state.done - len(state.unreadable)
        if missing(state, range(state.plan.images)):
            return cls(folder, state.plan.layers, images, state.unreadable)
        counts = {
            layer: int((statistics.quantile.quantile() < 0).sum())
            for layer, statistics in state.statistics.items()
        }
        negative = {layer: count for layer, count in counts.items() if count}
        return cls(folder, state.plan.layers, images, state.unreadable, negative)

    def warning(self) -> str | None:
        """Return a warning about thresholds below zero; None if there are none."""
        if not self.negative:
            return None
        units = sum(shape[0] for shape in self.layers.values())
        layers = ", ".join(f"{layer} ({count})" for layer, count in self.negative.items())
        return (
            f"{sum(self.negative.values())} of {units} units have a threshold below zero, so that "
            f"their masks show where they are least suppressed: {layers}. If an activation "
            "function follows, name its layer, or pass --in-place after if it works in place"
        )


def build(request: BuildRequest, *, engine: Engine | None = None) -> BuildReport:
    """Find every unit's exemplars and write them as a dataset folder.

    Progress is saved beside the folder every ``options.checkpoint_seconds``, and the next call
    resumes from there.

    Args:
        request: What to build.
        engine: What runs the pass; by default this process alone.

    Returns:
        The folder, and what was left out.

    Raises:
        InputError: For anything a user can fix, before the pass where that is possible; also if
            unfinished work was made from other images, another network or other options.
    """
    out, device = request.out, torch.device(request.device)
    check_target(out, request.overwrite)
    job = prepare(request)
    tell_if_large(job.plan, request.options, out, device)
    work = unfinished_folder(out)
    with locked(out), progress_bar() as progress:
        if not request.resume:
            discard_work(out)
        bar = Bar(progress, "Running the network", len(request.source))
        state = (engine or serial)(job, device, work, bar)
        state.network = network_facts(request.module, request.layouts, request.autoencoders)
        with atomic_folder(out, request.overwrite) as folder:
            write_dataset(folder, state, request, request.options, progress)
            mark_placed(work, folder)
        discard_work(out)
    return BuildReport.of(out, state)


def serial(job: Job, device: torch.device, work: Path, bar: Bar) -> PartialStatistics:
    """Run all images in this process; the default engine."""
    return _run(job, range(job.plan.images), device, shard_path(work, 1, 1), bar)


def _run(
    job: Job,
    span: range,
    device: torch.device,
    path: Path,
    bar: Bar,
    network: dict[str, Any] | None = None,
) -> PartialStatistics:
    """Run a span, resuming from what ``path`` holds, and save the result there."""
    state = resumed(path, job.plan, device)
    state.network = network or {}
    say_resumed(state.done, len(span), bar)
    with saying_what_is_kept(lambda: kept_words(path, len(span))):
        collect(job, state, span, device, checkpoint=path, advance=bar.advance, say=bar.say)
        state.save(path)  # the steps that follow may be interrupted, too
    return state


def say_resumed(done: int, images: int, bar: Bar) -> None:
    """Tell the user if a pass resumes where it was interrupted."""
    if done:
        bar.say(f"going on: {done:,} of {images:,} images were run before")
    bar.advance(done)


def kept_words(path: Path, images: int) -> str:
    """Return a sentence on how much of a pass is saved in a file."""
    try:
        done = read_header(path).done if path.is_file() else 0
    except InputError:
        done = 0
    if not done:
        return "nothing had been saved yet: the same command starts from the beginning"
    return f"what was found in {done:,} of {images:,} images is kept in {path.parent}: {AGAIN}"


def build_shard(request: BuildRequest, shard: tuple[int, int]) -> BuildReport:
    """Find the statistics of one shard of the images, to be merged with those of the others.

    Args:
        request: What to build; ``out`` is the folder of the shards' files.
        shard: (3, 16) for the third of sixteen.

    Raises:
        InputError: As in ``build``.
    """
    number, of = shard
    images, device = len(request.source), torch.device(request.device)
    if of > images:
        raise InputError(f"{of} shards of only {images} images; choose fewer")
    check_folder(request.out)
    job = prepare(request)
    tell_if_large(job.plan, request.options, request.out, device)
    path = shard_path(request.out, number, of)
    with locked(path), progress_bar() as progress:
        if not request.resume:
            path.unlink(missing_ok=True)
        span = spans(images, of)[number - 1]
        bar = Bar(progress, f"Running the network, shard {number} of {of}", len(span))
        network = network_facts(request.module, request.layouts, request.autoencoders)
        state = _run(job, span, device, path, bar, network)
    return BuildReport.of(path, state)


def shards_in(folder: Path) -> list[Path]:
    """Return the files of all shards in a folder.

    Raises:
        InputError: If there are none.
    """
    paths = sorted(folder.glob("shard-*.safetensors"))
    if not paths:
        raise InputError(f"{folder} holds no shards (files shard-…-of-….safetensors)")
    return paths


def merge(
    request: DatasetRequest, paths: Sequence[Path], *, generator: nn.Module | None = None
) -> BuildReport:
    """Merge shards into a dataset folder, bit for bit the same as that of a single pass.

    Args:
        request: What to write; the images of the exemplars are read again.
        paths: The files of all shards, as from ``shards_in``.
        generator: The network of a generator's shards that do not record how it was loaded.

    Raises:
        InputError: If shards are missing, unfinished or do not fit together, or if the images
            are not those of the shards.
    """
    check_target(request.out, request.overwrite)
    plan = read_header(paths[0]).plan
    difference = plan.difference(replace(plan, source=request.source.identity()))
    if difference:
        raise InputError(f"these are not the images of the shards: {difference} differ")
    whole = merge_files(paths)
    if not whole.network and generator is not None:
        whole.network = network_facts(generator)
    options = request.options or BuildOptions(plan.k, plan.quantile, masks=plan.masks)
    with (
        locked(request.out),
        progress_bar() as progress,
        atomic_folder(request.out, request.overwrite) as folder,
    ):
        write_dataset(folder, whole, request, options, progress)
    return BuildReport.of(request.out, whole)


def build_with_torchrun(request: BuildRequest) -> BuildReport | None:
    """Do what ``build`` does in every process that ``torchrun`` has started, together.

    Each process runs its share of the images; the first merges the results. The processes may run
    on several machines if those share the folder that ``out`` lies in.

    Returns:
        The report in the first process; None in the others.

    Raises:
        InputError: As in ``build``; also if ``torchrun`` has not started this process.
    """
    with process_group() as (rank, of, local):
        check_target(request.out, request.overwrite)
        device = torch.device(request.device)
        if device.type == "cuda":
            device = torch.device("cuda", local)
        work = unfinished_folder(request.out)
        build_shard(replace(request, out=work, device=device), (rank + 1, of))
        wait_for_all()
        if rank:
            return None
        report = merge(request, [shard_path(work, number, of) for number in range(1, of + 1)])
        with locked(request.out):
            discard_work(request.out)
        return report

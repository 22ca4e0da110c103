"""The pass: runs the images through the network once and saves the statistics of every layer."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from milannotations.errors import InputError
from milannotations.exemplars.batches import Loadable, collate
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.plan import PassPlan
from milannotations.exemplars.request import PassRequest
from milannotations.exemplars.shards import PartialStatistics, StatisticsHeader, missing, united
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.matching import find_hook_points, match_layers
from milannotations.hook_points.reading import activations
from milannotations.inputs.sources import Inputs, Source
from milannotations.interruption import held_back, leave_to_parent
from milannotations.tensors import check_network
from milannotations.units import UnitSelection
from milannotations.weights_hash import hash_of_weights

TORCH_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Advance = Callable[[int], None]
Say = Callable[[str], None]
Update = Callable[[str, Tensor, Tensor], Tensor]


@dataclass
class Job:
    """A network, images, and the statistics to collect.

    Attributes:
        module: The network, in evaluation mode, on the device that runs it.
        source: All images.
        points: The layers, as ``find_hook_points`` found them.
        plan: What all shards have in common.
        options: How the pass runs.
        autoencoders: Sparse autoencoders, by the name of the layer whose units they encode.
    """

    module: nn.Module
    source: Source
    points: list[HookPoint]
    plan: PassPlan
    options: BuildOptions
    autoencoders: dict[str, nn.Module] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Job:
        """Return the same job with the network on another device."""
        autoencoders = {name: encoder.to(device) for name, encoder in self.autoencoders.items()}
        module = self.module.to(device)
        return Job(module, self.source, self.points, self.plan, self.options, autoencoders)


def prepare(request: PassRequest) -> Job:
    """Check everything that can be checked before the pass, and find the layers' shapes.

    Raises:
        InputError: For anything a user can fix.
    """
    module, source, layers = request.module, request.source, request.layers
    options, device = request.options, request.device
    options.check(len(source))
    match_layers(module, layers)  # reports misspelt names before anything is run
    dtype = TORCH_DTYPES[options.dtype]
    if dtype != torch.float32:
        module = copy.deepcopy(module)  # the caller's network keeps its precision
    check_network(module, f"model {request.model}")
    weights = hash_of_weights(module)
    module.eval().to(device=device, dtype=dtype)
    if options.channels_last:
        torch.nn.Module.to(module, memory_format=torch.channels_last)
    encoders = {name: encoder.eval().to(device) for name, encoder in request.autoencoders.items()}
    first = first_inputs(source)
    points = find_hook_points(
        module,
        layers,
        as_batch(first, device, options),
        request.layouts,
        encoders,
        in_place=options.in_place,
    )
    if options.units is not None:
        choice = UnitSelection.parse(options.units)
        points = {name: _restricted(point, choice) for name, point in points.items()}
    if encoders:
        weights += "".join(f"+{hash_of_weights(encoder)}" for encoder in encoders.values())
    plan = PassPlan(
        model=request.model,
        dataset=request.dataset,
        weights=weights,
        layers={
            name: (point.read_units, point.height, point.width) for name, point in points.items()
        },
        source=source.identity(),
        k=options.k,
        quantile=options.quantile,
        dtype=options.dtype,
        layouts={name: str(point.layout) for name, point in points.items()},
        pooled=tuple(name for name, point in points.items() if point.height * point.width == 1),
        in_place=options.in_place,
        changed_in_place={
            n: point.changed_by[0] for n, point in points.items() if point.changed_by
        },
        masks=options.masks,
        units={
            name: list(point.numbers) for name, point in points.items() if point.numbers is not None
        },
    )
    if options.compile:
        module.compile()
    return Job(module, source, list(points.values()), plan, options, encoders)


def _restricted(point: HookPoint, choice: UnitSelection) -> HookPoint:
    """Return a hook point that reads only some of its layer's units."""
    numbers = choice.of(point.units, point.layer)
    return point if len(numbers) == point.units else replace(point, numbers=tuple(numbers))


def first_inputs(source: Source) -> Inputs:
    """Return the inputs of the first image that can be read, as a batch of one."""
    loadable = Loadable(source)
    problems = []
    for position in range(len(source)):
        item = loadable[position]
        if item.problem is None:
            return tuple(tensor[None] for tensor in item.inputs)
        problems.append(item.problem)
    first = f": the first, {problems[0]}" if problems else ""
    raise InputError(f"none of the {len(source)} images can be read{first}")


def as_batch(inputs: Inputs, device: torch.device | str, options: BuildOptions) -> Inputs:
    """Return inputs on the network's device, in its precision and memory layout."""
    moved = []
    for tensor in inputs:
        ready = tensor.to(device, non_blocking=True)
        if ready.is_floating_point():
            ready = ready.to(TORCH_DTYPES[options.dtype])
        if options.channels_last and ready.ndim == 4:
            ready = ready.contiguous(memory_format=torch.channels_last)
        moved.append(ready)
    return tuple(moved)


def collect(
    job: Job,
    state: PartialStatistics,
    span: range,
    device: torch.device | str,
    *,
    checkpoint: Path | None = None,
    advance: Advance = lambda _: None,
    say: Say = lambda _: None,
) -> None:
    """Run the images of a span that the statistics do not cover yet, and add them.

    Args:
        job: See ``prepare``.
        state: The statistics so far, on the device.
        span: Which images to run.
        device: Where the network is.
        checkpoint: File to which the statistics are saved every ``options.checkpoint_seconds``.
        advance: Called with the number of images done.
        say: Called with messages for people.

    Raises:
        InputError: For an unreadable image, activations that are not finite, or too little
            memory.
        KeyboardInterrupt: After Ctrl-C, once the batch is done and everything is saved.
    """
    saved = time.monotonic()
    # Not inference_mode: statistics made in it could not be merged outside of it.

    def update(layer: str, ids: Tensor, maps: Tensor) -> Tensor:
        return state.statistics[layer].update(ids, maps)

    with torch.no_grad(), Runner(job, update, device, say) as runner, held_back() as interrupted:
        for gap in missing(state, span):
            before = state.covered
            done = StatisticsHeader(job.plan)
            for batch in batches(job, gap, device):
                if batch.unreadable and not job.options.skip_unreadable:
                    raise InputError(
                        f"stopped at an unreadable image – {batch.unreadable[0]} (pass "
                        "--skip-unreadable to leave such images out)"
                    )
                state.unreadable += batch.unreadable
                if batch.inputs is not None:
                    runner.run(batch.ids.to(device), batch.inputs)
                    state.checksums[batch.ids] = batch.checksums
                count = len(batch.ids) + len(batch.unreadable)
                done.covered = [range(gap.start, gap.start + done.done + count)]
                state.covered = united([StatisticsHeader(job.plan, before), done])
                advance(count)
                due = time.monotonic() - saved > job.options.checkpoint_seconds
                if checkpoint and (due or interrupted()):
                    state.save(checkpoint)
                    saved = time.monotonic()
                if interrupted():
                    raise KeyboardInterrupt


def resumed(path: Path, plan: PassPlan, device: torch.device | str = "cpu") -> PartialStatistics:
    """Return the statistics of unfinished work that matches a plan, or empty statistics.

    Raises:
        InputError: If it was made from other images, another network or other options.
    """
    if not path.is_file():
        return PartialStatistics.empty(plan, device)
    state = PartialStatistics.load(path, device)
    difference = plan.difference(state.plan)
    if difference:
        raise InputError(
            f"{path} holds unfinished work, but since then these have changed: {difference}. "
            "Restore them, or pass --no-resume to discard that work"
        )
    return state


def batches(job: Job, span: range, device: torch.device | str) -> DataLoader[Any]:
    """Return the images of a span in batches; see ``Batch``."""
    return DataLoader(
        Loadable(job.source, span),
        batch_size=job.options.batch_size,
        num_workers=job.options.readers,
        collate_fn=collate,
        worker_init_fn=leave_to_parent,
        pin_memory=torch.device(device).type == "cuda",
    )


class Runner:
    """Runs batches, splitting them where memory does not suffice; used in a ``with`` block.

    Args:
        job: See ``prepare``.
        update: Given a layer, the ids of some images and the layer's maps of them, (images,
            units, height, width). It adds them, unless a map holds NaN or infinity, and returns a
            tensor of shape (images, units) that is True where one does.
        device: Where the network is.
        say: Called with messages for people.
    """

    def __init__(self, job: Job, update: Update, device: torch.device | str, say: Say) -> None:
        self.job = job
        self.update = update
        self.device = torch.device(device)
        self.say = say
        self.limit = job.options.batch_size
        self._ids = torch.empty(0, dtype=torch.int64)
        self._seen: set[str] = set()
        # Statistics are not part of the network and must not be compiled with it.
        keep = torch.compiler.disable(self._keep) if job.options.compile else self._keep
        self._hooks = activations(
            job.module, job.points, keep, autoencoders=job.autoencoders, stop_early=True
        )

    def __enter__(self) -> Runner:
        self._call = self._hooks.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._hooks.__exit__(*exception)

    def run(self, ids: Tensor, inputs: Inputs, seen: frozenset[str] = frozenset()) -> None:
        """Run one batch, from any device; layers in ``seen`` have these images already."""
        if len(ids) > self.limit:
            length = self.limit  # may be lowered by the calls below
            for first in range(0, len(ids), length):
                some = slice(first, first + length)
                self.run(ids[some], tuple(tensor[some] for tensor in inputs), seen)
            return
        self._ids, self._seen = ids, set(seen)
        try:
            # Moved here, so that a batch that does not fit on the device is halved as well.
            self._call(*as_batch(inputs, self.device, self.job.options))
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            if len(ids) == 1:
                raise InputError(
                    f"out of memory with a single image on {self.device}: {error}"
                ) from error
            self.limit = len(ids) // 2
            self.say(
                f"out of memory with {len(ids)} images at once; going on with {self.limit} "
                f"(pass --batch-size {self.limit} next time)"
            )
            seen = frozenset(self._seen)
        else:
            return
        # Outside the handler, because the traceback holds on to the memory of the failed pass.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.run(ids, inputs, seen)

    def _keep(self, layer: str, maps: Tensor) -> None:
        if layer in self._seen:
            return
        try:
            bad = self.update(layer, self._ids, maps)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            # Some of the batch may have been added, so it cannot be tried again.
            raise InputError(
                f"out of memory in the statistics of layer {layer!r}; choose a smaller "
                "--batch-size, or fewer layers at a time"
            ) from error
        if bool(bad.any()):
            image, unit = (int(n) for n in bad.nonzero()[0])
            name = self.job.source.name(int(self._ids[image]))
            cause = (
                "check the weights and the preprocessing"
                if self.job.options.dtype == "float32"
                else f"{self.job.options.dtype} may overflow here: try --dtype float32"
            )
            raise InputError(
                f"layer {layer!r}, unit {unit} gives NaN or infinity for image {name}; {cause}"
            )
        self._seen.add(layer)


def _out_of_memory(error: RuntimeError) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The messages of the allocators of the CPU and MPS, and the errors of cuBLAS and cuDNN.
    text = str(error)
    return (
        "can't allocate memory" in text
        or "out of memory" in text.lower()
        or "_ALLOC_FAILED" in text
    )

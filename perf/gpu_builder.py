"""Comparisons of the exemplar builder on a device with the CPU, for ``perf/gpu.py``."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from gpu_table import CPU, DeviceComparison, Sizes, tf32, timed
from PIL import Image
from torch import Tensor

from milannotations.catalog.models import load_model
from milannotations.exemplars.build import build
from milannotations.exemplars.collect import Job, Runner, as_batch, collect, prepare
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.exemplars.shards import PartialStatistics
from milannotations.exemplars.writing import write_dataset
from milannotations.inputs.sources import ImageFolder
from milannotations.progress import progress_bar

LAYERS = ["layer1", "layer2", "layer3", "layer4"]
EXACT = 1e-3  # tolerance in float32, as a share of activations
TF32, HALF = 0.03, 0.15  # shares of exemplars that may differ in lower precision
OTHER_MASKS = 0.03  # share of masks that may differ, because a pixel may lie at the threshold
ROOM = 3 * 2**30  # bytes, too few for a batch of a thousand images


class DecodedImages(ImageFolder):
    """The images of a folder, decoded in advance, so that reading files takes no time."""

    def decode(self) -> DecodedImages:
        """Decode all images."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self.tensors = list(pool.map(super().inputs, range(len(self))))
            self.checksums = list(pool.map(super().checksum, range(len(self))))
        return self

    def inputs(self, index: int) -> Tensor:
        """Return a decoded image."""
        return self.tensors[index]

    def checksum(self, index: int) -> int:
        """Return the checksum of its file."""
        return self.checksums[index]


class BuilderChecks:
    """Comparisons of the exemplars of a network with random weights.

    Args:
        device: Device that is compared with the CPU.
        sizes: Amounts of work.
        work: Folder for files.
    """

    def __init__(self, device: torch.device, sizes: Sizes, work: Path) -> None:
        self.device, self.sizes, self.work = device, sizes, work
        self.network = load_model(f"torchvision:{sizes.network}", "random")
        seen_as = replace(self.network.preprocessing, size=sizes.side, resize=sizes.side)
        write_images(work / "images", sizes)
        self.images = ImageFolder(work / "images", seen_as)
        self.decoded = DecodedImages(work / "images", seen_as).decode()
        self.exact = BuildOptions(batch_size=sizes.batch)
        self.half = replace(self.exact, dtype="bf16", channels_last=True)

    def request(
        self, device: torch.device, options: BuildOptions, source: ImageFolder | None = None
    ) -> BuildRequest:
        """Return a request to the builder, with decoded images unless others are given."""
        return BuildRequest(
            module=copy.deepcopy(self.network.module),
            source=source or self.decoded,
            layers=LAYERS,
            out=self.work / "built",
            model=self.sizes.network,
            dataset="random",
            options=options,
            device=device,
        )

    def job(
        self, device: torch.device, options: BuildOptions, source: ImageFolder | None = None
    ) -> Job:
        """Return the builder's pass over the images."""
        return prepare(self.request(device, options, source))

    def collected(self, job: Job, device: torch.device) -> tuple[PartialStatistics, float]:
        """Return the statistics of all images, and images per second."""

        def run() -> PartialStatistics:
            partial = PartialStatistics.empty(job.plan, device)
            collect(job, partial, range(self.sizes.images), device)
            return partial

        partial, seconds = timed(run, device)
        return partial, self.sizes.images / seconds

    @cached_property
    def expected(self) -> tuple[PartialStatistics, float]:
        """The statistics that the CPU computes in float32, and images per second."""
        return self.collected(self.job(CPU, replace(self.exact, batch_size=32)), CPU)

    def difference(self, partial: PartialStatistics) -> tuple[float, float]:
        """Compare statistics with those of the CPU in float32.

        Returns:
            The largest difference, and the share of exemplars that are not the CPU's. Compared are
            thresholds, activations of the same rank, and the CPU's activations of the images at the
            same rank. Differences are relative to the unit's largest activation or to the layer's
            median of these, whichever is larger, because some units hardly respond.
        """
        largest, shared, total = 0.0, 0, 0
        for layer, cpu in self.expected[0].statistics.items():
            ours = partial.statistics[layer]
            peaks = cpu.top.values[:, :1].abs()
            scale = peaks.clamp(min=float(peaks.median()))
            values, ids = ours.top.values.cpu(), ours.top.ids.cpu()
            match = ids[:, :, None] == cpu.top.ids[:, None, :]
            # An image that is not among the CPU's exemplars must tie with their last one.
            of_image = (cpu.top.values[:, None, :] * match).sum(2)
            of_image = torch.where(match.any(2), of_image, cpu.top.values[:, -1:])
            thresholds = (ours.quantile.quantile().cpu() - cpu.quantile.quantile())[:, None]
            for apart in (values - cpu.top.values, of_image - cpu.top.values, thresholds):
                largest = max(largest, float((apart.abs() / scale).max()))
            shared, total = shared + int(match.any(2).sum()), total + ids.numel()
        return largest, 1 - shared / total

    def bare(self, options: BuildOptions) -> float:
        """Return images per second of bare forward passes on the device."""
        job, size = self.job(self.device, options), options.batch_size
        batch = as_batch((torch.stack(self.decoded.tensors[:size]),), self.device, options)

        @torch.inference_mode()
        def run() -> None:
            for _ in range(0, self.sizes.images, size):
                job.module(*batch)

        return self.sizes.images / timed(run, self.device)[1]

    def resident(self, options: BuildOptions) -> tuple[PartialStatistics, float, float]:
        """Return the statistics of images that are on the device, and images per second.

        The second rate is that of the second half: by then, most activations need not be counted.
        """
        job, half = self.job(self.device, options), self.sizes.images // 2
        batches = []
        for span in torch.arange(self.sizes.images).split(options.batch_size):
            stacked = torch.stack([self.decoded.tensors[index] for index in span.tolist()])
            inputs = as_batch((stacked,), self.device, options)
            batches.append((span.to(self.device), inputs))
        middle = 0.0

        @torch.no_grad()
        def run() -> PartialStatistics:
            nonlocal middle
            partial = PartialStatistics.empty(job.plan, self.device)

            def update(layer: str, ids: Tensor, maps: Tensor) -> Tensor:
                return partial.statistics[layer].update(ids, maps)

            start = time.perf_counter()
            with Runner(job, update, self.device, print) as runner:
                for ids, inputs in batches:
                    if int(ids[0]) == half:  # reading it waits for the device
                        middle = time.perf_counter() - start
                    runner.run(ids, inputs)
            return partial

        partial, seconds = timed(run, self.device)
        return partial, self.sizes.images / seconds, half / (seconds - middle)

    def row(
        self,
        what: str,
        partial: PartialStatistics,
        rate: float,
        bare: float,
        others: float | None = None,
    ) -> DeviceComparison:
        """Return the table's row for some statistics and the rate at which they were computed.

        Up to the share ``others`` of exemplars may differ from the CPU's; without it, activations
        and thresholds must agree up to ``EXACT``.
        """
        largest, share = self.difference(partial)
        what = f"exemplars of {self.sizes.network}, {what}"
        if others is None:
            difference, tolerance, note = largest, EXACT, f"{share:.2%} of exemplars differ"
        else:
            what += ": share that differ"
            difference, tolerance, note = (
                share,
                others,
                f"activations differ by up to {largest:.1e}",
            )
        return DeviceComparison(
            what, difference, tolerance, "images", rate, self.expected[1], rate / bare, note
        )

    def builder(self) -> Iterator[DeviceComparison]:
        """Compare exemplars in float32, with TF32, and in bf16."""
        for name, options, allowed, others in (
            ("float32", self.exact, False, None),
            ("float32 with TF32", self.exact, True, TF32),
            ("bf16, channels last", self.half, True, HALF),
        ):
            with tf32(allowed):
                bare = self.bare(options)
                partial, rate, later = self.resident(options)
                in_memory = self.collected(self.job(self.device, options), self.device)
            row = self.row(f"{name}: images on the device", partial, rate, bare, others)
            second = f"second half: {later:,.0f} images/s, {later / bare:.2f} of bare passes"
            yield replace(row, note=f"{row.note}; {second}")
            yield self.row(f"{name}: images in memory", *in_memory, bare, others)

    def compiled(self) -> Iterator[DeviceComparison]:
        """Compare exemplars of a compiled network, only on CUDA: elsewhere it takes minutes."""
        if self.device.type == "cuda":
            bare = self.bare(self.half)
            job = self.job(self.device, replace(self.half, compile=True))
            measured = self.collected(job, self.device)
            yield self.row("bf16, compiled: images in memory", *measured, bare, HALF)

    def files(self) -> Iterator[DeviceComparison]:
        """Compare a pass over image files, and a whole build with masks and Parquet files."""
        options = replace(self.exact, readers=self.sizes.readers)
        bare = self.bare(options)
        job = self.job(self.device, options, self.images)
        name = f"float32: JPEG files, {options.readers} readers"
        yield self.row(name, *self.collected(job, self.device), bare)
        request = self.request(self.device, options, self.images)
        start = time.perf_counter()
        build(request)
        rate = self.sizes.images / (time.perf_counter() - start)
        plain = self.work / "by-cpu"
        plain.mkdir()
        with progress_bar() as progress:
            write_dataset(plain, self.expected[0], request, options, progress)
        masks = [
            [mask for path in sorted((folder / "data").glob("*.parquet"))
             for row in pq.read_table(path, columns=["masks"])["masks"].to_pylist()
             for mask in row]
            for folder in (request.out, plain)
        ]  # fmt: skip
        others = sum(ours != expected for ours, expected in zip(*masks, strict=True))
        yield DeviceComparison(
            "whole build from these files: share of other masks", others / len(masks[0]),
            OTHER_MASKS, "images", rate, of_bare=rate / bare, note=f"{len(masks[0]):,} masks",
        )  # fmt: skip

    def memory(self) -> Iterator[DeviceComparison]:
        """Give a batch too little memory: it must be halved until it fits, with the same result."""
        if self.device.type != "cuda":
            return
        messages: list[str] = []
        size = self.sizes.images
        job = self.job(self.device, replace(self.exact, batch_size=size))
        partial = PartialStatistics.empty(job.plan, self.device)
        torch.cuda.empty_cache()
        total = torch.cuda.mem_get_info(self.device)[1]
        share = (torch.cuda.memory_reserved(self.device) + ROOM) / total
        torch.cuda.set_per_process_memory_fraction(share, self.device)
        try:
            collect(job, partial, range(size), self.device, say=messages.append)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, self.device)
            torch.cuda.empty_cache()
        difference, share = self.difference(partial)
        # Without a halved batch, the check would show nothing.
        yield DeviceComparison(
            f"float32: a batch of {size} images in {ROOM // 2**30} GB",
            difference if messages else math.nan, EXACT,
            note=f"{share:.2%} of exemplars differ; {'; '.join(messages)}",
        )  # fmt: skip


def write_images(folder: Path, sizes: Sizes) -> None:
    """Write JPEG images of smooth random colours."""
    folder.mkdir()

    def write(index: int) -> None:
        pixels = np.random.default_rng(index).integers(0, 255, (14, 14, 3)).astype(np.uint8)
        picture = Image.fromarray(pixels)
        picture = picture.resize((sizes.side, sizes.side), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:05d}.jpg", quality=90)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(sizes.images)))

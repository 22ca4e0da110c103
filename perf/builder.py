"""Time and memory of the exemplar builder against bare forward passes, in one run.

ResNet-18 with random weights, five layers at once (conv1's output after ReLU, layer1 to layer4,
1,024 units in all). The whole build is timed: reading and decoding the images, the forward passes,
the statistics, masks, encoding, and the Parquet files. The bare passes use tensors that are already
in memory, and alternate with pieces of the build.

Run ``python perf/builder.py``, or only some parts: ``python perf/builder.py time memory``.
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from milannotations.catalog.models import load_model
from milannotations.exemplars.build import build
from milannotations.exemplars.collect import collect, prepare
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.quantile import quantile_of
from milannotations.exemplars.ray_engine import ray_engine
from milannotations.exemplars.request import BuildRequest
from milannotations.exemplars.shards import PartialStatistics
from milannotations.exemplars.writing import write_dataset
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder
from milannotations.progress import progress_bar

LAYERS = ["relu", "layer1", "layer2", "layer3", "layer4"]
BATCH = 32
PIECE = 4 * BATCH
PARTS = ("time", "options", "memory", "sketch", "ray")


def make_images(folder: Path, count: int, side: int = 224) -> ImageFolder:
    """Write square JPEG images, and return them as a source of network inputs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        pixels = rng.integers(0, 255, (14, 14, 3)).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:05d}.jpg", quality=90)
    return ImageFolder(folder, Preprocessing(size=side, resize=side))


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def bare(module: torch.nn.Module, batches: list[torch.Tensor], passes: int) -> None:
    """Run batches through a network and nothing else."""
    with torch.inference_mode():
        for number in range(passes):
            module(batches[number % len(batches)])


def some_batches(source: ImageFolder) -> list[torch.Tensor]:
    """Return a few batches in memory; more would not fit, and would not change the speed."""
    spans = [range(first, first + BATCH) for first in range(0, min(len(source), 8 * BATCH), BATCH)]
    return [torch.stack([source.inputs(index) for index in span]) for span in spans]


def compare(images: int, rounds: int, variants: dict[str, BuildOptions]) -> None:
    """Print the ratio of builds to bare forward passes, round by round.

    The speed of a shared machine changes from minute to minute. So the pass is divided into pieces,
    each timed beside a bare pass over as many images; writing is timed beside bare passes, too.
    """
    module = load_model("resnet18", "random").module.eval()
    with tempfile.TemporaryDirectory() as work:
        source = make_images(Path(work) / "images", images)
        batches = some_batches(source)
        pieces = [range(first, first + PIECE) for first in range(0, images, PIECE)]
        passes = PIECE // BATCH
        bare(module, batches, 2)  # warm-up
        ratios: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(rounds):
            for name, options in variants.items():
                out = Path(work) / f"out{number}-{name}"
                request = BuildRequest(
                    module=copy.deepcopy(module),
                    source=source,
                    layers=LAYERS,
                    out=out,
                    model="resnet18",
                    dataset="random",
                    options=options,
                )
                job = prepare(request)
                statistics_of_part = PartialStatistics.empty(job.plan)
                plain = whole = 0.0
                for piece in pieces:
                    plain += timed(bare, module, batches, passes)
                    whole += timed(collect, job, statistics_of_part, piece, "cpu")
                out.mkdir()
                before = timed(bare, module, batches, passes)
                with progress_bar() as progress:
                    writing = timed(
                        write_dataset, out, statistics_of_part, request, options, progress
                    )
                after = timed(bare, module, batches, passes)
                share = writing / ((before + after) / 2 * len(pieces))
                ratios[name].append(whole / plain + share)
                print(
                    f"{name}: bare {plain:.1f} s, pass {whole / plain:.2f}, writing {share:.2f}, "
                    f"in all {ratios[name][-1]:.2f}",
                    flush=True,
                )
    for name, found in ratios.items():
        print(
            f"{name}: median ratio of the build to bare float32 passes {np.median(found):.2f} "
            f"({images} images, {torch.get_num_threads()} threads)",
            flush=True,
        )


def memory(images: int) -> None:
    """Build once in this process, from small images, and print its peak resident memory."""
    module = load_model("resnet18", "random").module
    with tempfile.TemporaryDirectory() as work:
        source = make_images(Path(work) / "images", images, side=64)
        build(
            BuildRequest(
                module=module,
                source=source,
                layers=LAYERS,
                out=Path(work) / "out",
                model="resnet18",
                dataset="random",
                options=BuildOptions(batch_size=BATCH, size=64),
            )
        )
    # Not getrusage: on Linux a child's figure starts from its parent's.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(f"{images} images of 64 × 64: peak memory {peak:.0f} MB", flush=True)


def sketch(batches: int = 40) -> None:
    """Print activations per second of our quantile statistics, torch's topk, numpy's quantile."""
    images, units, side = BATCH, 64, 56
    maps = [torch.randn(images, units, side * side).relu() for _ in range(4)]
    total = batches * images * side * side
    made = quantile_of(units, 0.99, total)

    def ours() -> None:
        for number in range(batches):
            values = maps[number % 4]
            made.update(values, values.amin((0, 2)), values.amax((0, 2)))

    def with_torch() -> None:
        # The exact tail, selected by torch.
        kept = torch.empty(units, 0)
        for number in range(batches):
            flat = maps[number % 4].transpose(0, 1).flatten(1)
            both = torch.cat([kept, flat], 1)
            kept = both.topk(min(both.shape[1], total // 100), dim=1).values

    def with_numpy() -> None:
        # All values at once, because numpy cannot compute quantiles of a stream.
        every = np.concatenate([maps[n % 4].numpy() for n in range(batches)], axis=0)
        np.quantile(every.transpose(1, 0, 2).reshape(units, -1), 0.99, axis=1)

    values = total * units
    for name, work in (("ours", ours), ("torch topk", with_torch), ("numpy quantile", with_numpy)):
        took = timed(work)
        print(f"{name}: {values / took / 1e6:.0f} million activations per second", flush=True)


def with_ray(images: int) -> None:
    """Print how much faster two workers are than one, not counting the start of Ray."""
    import ray

    module = load_model("resnet18", "random").module
    with tempfile.TemporaryDirectory() as work:
        source = make_images(Path(work) / "images", images)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        took = {}
        for workers in (1, 2):
            # One thread each, so that workers are compared, not threads.
            torch.set_num_threads(workers)
            out = Path(work) / f"out{len(took)}-{workers}-{time.monotonic_ns()}"
            started = time.perf_counter()
            build(
                BuildRequest(
                    module=module,
                    source=source,
                    layers=LAYERS,
                    out=out,
                    model="resnet18",
                    dataset="random",
                    options=BuildOptions(batch_size=BATCH),
                ),
                engine=ray_engine(workers),
            )
            seconds = time.perf_counter() - started
            took.setdefault(workers, []).append(seconds)
            print(f"{workers} worker(s) of one thread: {seconds:.1f} s", flush=True)
        ray.shutdown()
        print(f"two workers are {min(took[1]) / min(took[2]):.2f} times as fast as one")


def main() -> None:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        memory(arguments.memory_of)
        return
    parts = arguments.parts or PARTS
    if "time" in parts:
        compare(arguments.images, arguments.rounds, {"build": BuildOptions(batch_size=BATCH)})
    if "options" in parts:
        variants = {
            "float32": BuildOptions(batch_size=BATCH),
            "channels last": BuildOptions(batch_size=BATCH, channels_last=True),
            "bf16, channels last": BuildOptions(batch_size=BATCH, channels_last=True, dtype="bf16"),
            "two readers": BuildOptions(batch_size=BATCH, readers=2),
            "compiled": BuildOptions(batch_size=BATCH, compile=True),
        }
        compare(arguments.images // 2, 1, variants)
    if "memory" in parts:
        for count in (1000, 5000, 20000):
            subprocess.run(
                [sys.executable, __file__, "--memory-of", str(count)], check=True, env=os.environ
            )
    if "sketch" in parts:
        sketch()
    if "ray" in parts:
        with_ray(arguments.images // 2)


if __name__ == "__main__":
    main()

"""Time and memory of the exemplar builder against bare forward passes, in one run.

ResNet-18 with random weights, five layers at once (conv1's output after ReLU, layer1 to layer4,
1,024 units in all), 224 × 224 images. What is timed is the whole build: reading and decoding the
images, the forward passes, the statistics, masks, encoding, and the Parquet files. The bare
passes are timed twice: with tensors that are already in memory, and reading the same files.

Run ``python perf/builder.py``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from milannotations.catalog.models import load_model
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.sources import ImageFolder, Preprocessing

LAYERS = ["relu", "layer1", "layer2", "layer3", "layer4"]
BATCH = 32


def make_images(folder: Path, count: int) -> None:
    """Write JPEG images of 224 × 224."""
    rng = np.random.default_rng(0)
    for index in range(count):
        pixels = rng.integers(0, 255, (14, 14, 3)).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:05d}.jpg", quality=90)


def compare(images: int, rounds: int) -> None:
    """Print the ratio of a build to the bare forward passes, round by round."""
    torch.manual_seed(0)
    module = load_model("resnet18", "random").module.eval()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "images"
        folder.mkdir()
        make_images(folder, images)
        source = ImageFolder(folder, Preprocessing(resize=224))
        spans = [range(first, min(first + BATCH, images)) for first in range(0, images, BATCH)]
        batches = [torch.stack([source.inputs(i) for i in span]) for span in spans]
        ratios = []
        for number in range(rounds + 1):
            start = time.perf_counter()
            with torch.inference_mode():
                for batch in batches:
                    module(batch)
            bare = time.perf_counter() - start
            start = time.perf_counter()
            with torch.inference_mode():
                for span in spans:
                    module(torch.stack([source.inputs(i) for i in span]))
            reading = time.perf_counter() - start
            start = time.perf_counter()
            build(
                module, source, LAYERS, Path(work) / f"out{number}", model="resnet18",
                dataset="random", options=BuildOptions(batch_size=BATCH),
            )  # fmt: skip
            whole = time.perf_counter() - start
            if number:  # the first round warms up
                ratios.append((whole / bare, whole / reading))
                print(f"bare {bare:.2f} s, with reading {reading:.2f} s, build {whole:.2f} s")
    in_memory, from_files = np.median(ratios, axis=0)
    print(
        f"median ratio of the build to bare passes: {in_memory:.2f} with tensors in memory, "
        f"{from_files:.2f} with images read from files ({images} images, "
        f"{torch.get_num_threads()} threads)"
    )


def memory(images: int) -> None:
    """Build once in this process and print its peak resident memory."""
    torch.manual_seed(0)
    module = load_model("resnet18", "random").module
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "images"
        folder.mkdir()
        make_images(folder, images)
        source = ImageFolder(folder, Preprocessing(resize=224))
        build(
            module, source, LAYERS, Path(work) / "out", model="resnet18", dataset="random",
            options=BuildOptions(batch_size=BATCH),
        )  # fmt: skip
    # Not getrusage: on Linux a child's figure starts from its parent's.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(f"{images} images: peak memory {peak:.0f} MB")


def main() -> None:
    """Compare times, then peak memory for several numbers of images, each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        memory(arguments.memory_of)
        return
    compare(arguments.images, arguments.rounds)
    for count in (128, 256, 512, 1024):
        subprocess.run(
            [sys.executable, __file__, "--memory-of", str(count)], check=True, env=os.environ
        )


if __name__ == "__main__":
    main()

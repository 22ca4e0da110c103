"""Check everything that runs on a GPU against the CPU: the same results, and how much faster.

    make gpu-check
    python perf/gpu.py --device cuda

Each row of the table that is printed compares a computation on the device with the same one on the
CPU of the same machine: the rates, their ratio, the largest difference between the results, and
the tolerance. The command fails if a difference exceeds its tolerance. All weights are random, so
nothing is downloaded. On a CUDA device this takes less than eight minutes. Without one, a smaller
form compares the CPU with itself, which only shows that the checks run.

Rates on CUDA are those of the second of two runs, because the first one also loads kernels. The
builder's rate is also given as a share of the rate of bare forward passes: those of the same
network on the same device, over images that are already on the device.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import gpu_describers
import torch
import transformers
from gpu_builder import BuilderChecks
from gpu_table import SMALL, DeviceComparison, Sizes, table

from milannotations.device import resolve_device
from milannotations.progress import silence_libraries

OF_BUILDER = ("builder", "compiled", "files", "memory")
OF_DESCRIBERS = ("encoder", "milan", "bertscore", "counting", "ablation")


def checks_of(
    names: list[str], device: torch.device, sizes: Sizes, work: Path
) -> Iterator[tuple[str, Callable[[], Iterator[DeviceComparison]]]]:
    """Yield the name of each check and the function that runs it."""
    builder = None
    for name in names:
        if name in OF_BUILDER:
            builder = builder or BuilderChecks(device, sizes, work)
            yield name, getattr(builder, name)
        else:
            check = getattr(gpu_describers, name)
            yield name, lambda check=check: check(device, sizes, work)


def run(name: str, check: Callable[[], Iterator[DeviceComparison]]) -> list[DeviceComparison]:
    """Run one check, show its rows, and return them; an error gives a row that fails."""
    start = time.perf_counter()
    rows = []
    try:
        for row in check():
            rows.append(row)
            print("  " + "  ".join(cell for cell in row.cells() if cell), flush=True)
    except Exception as error:  # the other checks can still run
        traceback.print_exc()
        rows.append(DeviceComparison(name, math.nan, 0, note=f"stopped by {type(error).__name__}"))
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def main() -> None:
    """Run the requested checks, and fail if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [*OF_BUILDER, *OF_DESCRIBERS]
    parser.add_argument("checks", nargs="*", choices=[*names, []], help="default: all")
    parser.add_argument("--device", default="auto", help="default: cuda if there is one, else cpu")
    arguments = parser.parse_args()
    silence_libraries()
    device = resolve_device(arguments.device)
    on_cuda = device.type == "cuda"
    if on_cuda and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    card = torch.cuda.get_device_name(device) if on_cuda else "no GPU"
    print(
        f"{card}; torch {torch.__version__}, transformers {transformers.__version__}, Python "
        f"{platform.python_version()}; CPU in {torch.get_num_threads()} threads",
        flush=True,
    )
    start = time.perf_counter()
    rows: list[DeviceComparison] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MILANNOTATIONS_HOME"] = f"{folder}/home"
        sizes = Sizes() if on_cuda else SMALL
        for name, check in checks_of(arguments.checks or names, device, sizes, Path(folder)):
            rows += run(name, check)
    failed = [row.what for row in rows if not row.passed]
    seconds = time.perf_counter() - start
    print(f"\n{table(rows, device)}\n")
    print(f"{len(rows) - len(failed)} of {len(rows)} pass, in {seconds:.0f} s")
    if failed:
        sys.exit("failed: " + "; ".join(failed))


if __name__ == "__main__":
    main()

"""A release of real size: import it, load one record, read all, compared with the original loader.

A synthetic release with the shape of ResNet-152's (5 layers, 3,904 units, 15 exemplars of
224 × 224) is written, zipped, imported and loaded. The original loader reads all arrays and
converts them to float32 tensors, which takes 47 GB for this release; here the same is done on 16
units at a time and the results are discarded, so the time is a lower bound, and memory is computed.

Run ``python perf/release.py --work FOLDER``; it needs 25 GB of disk, and 13 GB of memory for the
page cache. Each step runs in a separate process; the release is made and imported once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CONFIG = "resnet152-places365"
LAYERS = {"0": 64, "4": 256, "5": 512, "6": 1024, "7": 2048}
K, SIZE = 15, 224
AT_ONCE = 16  # units that are processed at a time in place of the original loader


def peak_mb() -> float:
    """Return this process's peak resident memory."""
    # Not getrusage: on Linux a child's figure starts from its parent's.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def size_mb(path: Path) -> float:
    """Return the bytes of a file, or of all files below a folder, in MB."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files) / 1e6


def forget(places: Sequence[Path]) -> None:
    """Remove all files below some folders from the operating system's page cache."""
    os.sync()
    for path in (p for place in places for p in place.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def generate(work: Path, scale: float) -> dict[str, Any]:
    """Write the release, with pictures of the demo configuration, and zip it as the authors did."""
    from milannotations.loading import load_split
    from milannotations.worlds.release import write_release

    shown = load_split("demo", "network")
    pictures = [image for row in range(0, 240, 2) for image in shown[row]["images"][:3]]
    folder = work / CONFIG
    layers = {name: max(1, int(units * scale)) for name, units in LAYERS.items()}
    write_release(folder, layers, k=K, size=SIZE, pictures=pictures)
    with zipfile.ZipFile(work / f"{CONFIG}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            packed.write(path, path.relative_to(folder))
    return {"arrays_mb": size_mb(folder), "zip_mb": size_mb(work / f"{CONFIG}.zip")}


def import_zip(work: Path) -> dict[str, Any]:
    """Import the zip."""
    from milannotations.data_home import config_folder
    from milannotations.release.importer import import_release

    start = time.perf_counter()
    report = import_release(work / f"{CONFIG}.zip", config_folder(CONFIG), overwrite=True)
    return {
        "seconds": time.perf_counter() - start,
        "neurons": report.neurons,
        "parquet_mb": size_mb(config_folder(CONFIG)),
    }


def original(work: Path) -> dict[str, Any]:
    """Do what the original loader does to every array: read, convert to float32, scale."""
    import numpy as np
    import torch

    start = time.perf_counter()
    total = 0
    for layer in sorted(p for p in (work / CONFIG).iterdir() if p.is_dir()):
        images = np.load(layer / "images.npy", mmap_mode="r")
        masks = np.load(layer / "masks.npy", mmap_mode="r")
        for first in range(0, len(images), AT_ONCE):
            span = slice(first, first + AT_ONCE)
            pixels, covered = (torch.from_numpy(np.array(a[span])) for a in (images, masks))
            some, more = pixels.float(), covered.float()
            some = some.mul(1 / 255).add_(0)
            total += some.nbytes + more.nbytes
            del pixels, covered, some, more
    return {"seconds": time.perf_counter() - start, "would_hold_mb": total / 1e6}


def first_record(work: Path) -> dict[str, Any]:
    """Load the config and decode its first record, in a process that has finished its imports."""
    before = time.perf_counter()
    import milannotations

    milannotations.load("demo", "test")[0]  # `datasets` imports many modules only when it loads
    start = time.perf_counter()
    record = milannotations.load(CONFIG)[0]
    end = time.perf_counter()
    assert record["images"][0].size == (SIZE, SIZE)
    return {"seconds": end - start, "imports_and_warm_up": start - before}


def sequential(work: Path) -> dict[str, Any]:
    """Read every record's bytes: through the dataset, and from the Parquet files directly."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from milannotations.builder import shards
    from milannotations.loading import load_split

    neurons = load_split(CONFIG).with_format("arrow")

    def consumed(table: pa.Table | pa.RecordBatch) -> int:
        """Read every byte of the images and masks, and return their number."""
        count = 0
        for name in ("images", "masks"):
            column = table[name]
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                encoded = chunk.flatten().field("bytes")
                first, last = (encoded.offset, encoded.offset + len(encoded))
                offsets = np.frombuffer(encoded.buffers()[1], np.int32)[first : last + 1]
                data = np.frombuffer(encoded.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
                data.max(initial=0)
                count += len(data)
        return count

    def through_dataset() -> int:
        return sum(consumed(table) for table in neurons.iter(16))

    def from_parquet() -> int:
        files = [pq.ParquetFile(path, pre_buffer=False) for path in shards(CONFIG)]
        return sum(consumed(batch) for file in files for batch in file.iter_batches(16))

    def speed(read: Callable[[], int]) -> float:
        read()  # the second time, the files are in the page cache
        start = time.perf_counter()
        return read() / 1e6 / (time.perf_counter() - start)

    ours, parquet = speed(through_dataset), speed(from_parquet)
    start = time.perf_counter()
    count = min(200, len(neurons))
    for _ in neurons.with_format(None).select(range(count)):
        pass
    return {
        "dataset_mb_per_s": ours,
        "parquet_mb_per_s": parquet,
        "decoded_records_per_s": count / (time.perf_counter() - start),
    }


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "import_zip": import_zip,
    "original": original,
    "first_record": first_record,
    "sequential": sequential,
}


def main() -> None:
    """Run all steps and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1, help="share of the units, for a trial")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", choices=[*STEPS, "generate"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.environ["MILANNOTATIONS_HOME"] = str(work / "home")
    os.environ["HF_HOME"] = str(work / "huggingface")
    if arguments.step:
        step = arguments.step
        found = generate(work, arguments.scale) if step == "generate" else STEPS[step](work)
        print(json.dumps({**found, "peak_mb": peak_mb()}))
        return

    def run(step: str) -> dict[str, Any]:
        command = [sys.executable, __file__, "--work", str(work), "--step", step]
        command += ["--scale", str(arguments.scale)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        shown = ", ".join(f"{name} {value:,.3f}" for name, value in found.items())
        print(f"{step}: {shown}", flush=True)
        return found

    if not (work / f"{CONFIG}.zip").exists():
        shutil.rmtree(work / CONFIG, ignore_errors=True)
        run("generate")
    imported = work / "home" / "configs" / CONFIG
    if not imported.exists():
        run("import_zip")
    print("the first load copies the shards into the memory-mapped cache:")
    run("first_record")
    run("original")  # so that the operating system has the arrays in memory
    for what, places in (
        ("files in the page cache", []),
        ("files on disk", [work / CONFIG, work / "huggingface"]),
    ):
        rounds = []
        for _ in range(arguments.repeats):
            forget(places)
            rounds.append((run("original"), run("first_record")))
        ratios = sorted(old["seconds"] / new["seconds"] for old, new in rounds)
        print(
            f"load(...)[0] against the original way, {what}: {ratios[len(ratios) // 2]:,.0f} "
            f"times faster (median of {len(ratios)}; {ratios[0]:,.0f} to {ratios[-1]:,.0f}), peak "
            f"memory {max(new['peak_mb'] for _, new in rounds):.0f} MB against at least "
            f"{rounds[0][0]['would_hold_mb']:,.0f} MB"
        )
    run("sequential")
    arrays, zipped = size_mb(work / CONFIG), size_mb(work / f"{CONFIG}.zip")
    cache = size_mb(work / "huggingface")
    print(
        f"on disk: arrays {arrays:,.0f} MB, zip {zipped:,.0f} MB, Parquet "
        f"{size_mb(imported):,.0f} MB ({size_mb(imported) / zipped:.2f} of the zip), "
        f"memory-mapped cache {cache:,.0f} MB"
    )


if __name__ == "__main__":
    main()

"""Measure time, memory and size of the viewer's pages, and how fast a browser shows the first one.

This script makes a dataset of many units from the photographs of the embedded demo (each with 15
exemplars of 224 × 224 and their masks, statistics and annotations), writes its pages in a separate
process, and opens them from disk in Chromium. The time is from the navigation until every picture
in the window (1280 × 900) is decoded; the bytes are those of all requested files. A small dataset
of 100 units is measured in the same way, for comparison.

Run ``python perf/viewer.py``; ``--layers 1`` puts all units into one layer, the worst case.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from milannotations.viewer.config import ViewConfig

K = 15
WAIT_FOR_PICTURES = """async () => {
  const seen = () => [...document.querySelectorAll(".card img")].filter((image) => {
    const box = image.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
  });
  while (!seen().length) await new Promise(requestAnimationFrame);
  await Promise.all(seen().map((image) => image.decode()));
  return [performance.now(), seen().length];
}"""


def make_dataset(folder: Path, units: int, layers: int) -> None:
    """Write a dataset with ``units`` units in all."""
    from milannotations.folder import write_card, write_records
    from milannotations.loading import load_split
    from milannotations.record import encoded_records

    rng = np.random.default_rng(0)
    demo = list(encoded_records(load_split("demo", "network").select(range(64))))
    images = [image["bytes"] for record in demo for image in record["images"]]
    masks = [mask["bytes"] for record in demo for mask in record["masks"]]
    rows: list[dict[str, Any]] = []

    def records() -> Iterator[dict[str, Any]]:
        for index in range(units):
            key = {"model": "net", "dataset": "demo", "layer": f"layer{index * layers // units}"}
            key["unit"] = index
            chosen = rng.integers(0, len(images), K)
            peaks = np.sort(rng.exponential(5, K))[::-1] + 10
            counts = np.histogram(rng.exponential(2, 2048), 48)[0]
            ends = {"minimum": 0, "low": 0, "maximum": float(peaks[0]), "high": float(peaks[0])}
            rows.append(key | ends | {"images": 300, "threshold": 9.0, "counts": counts.tolist()})
            yield key | {
                "images": [images[i] for i in chosen],
                "masks": [masks[i] for i in chosen],
                "activations": peaks.tolist(),
                "image_ids": chosen.tolist(),
                "threshold": 9.0,
                "annotations": [f"{index % 97} round red things on grass"] * 3,
            }

    (folder / "data").mkdir(parents=True)
    write_records(folder / "data" / "train.parquet", records())
    pq.write_table(pa.Table.from_pylist(rows), folder / "statistics.parquet")
    write_card(folder, "A large dataset", "Made for a measurement.")


def write(dataset: Path, out: Path) -> None:
    """Write pages in this process, and print time and peak memory as JSON."""
    from milannotations.viewer.pages import write_pages

    # The system can reclaim memory that maps files, so both figures are given.
    own: list[float] = []
    stop = threading.Event()

    def sample() -> None:
        own.append(_memory("RssAnon"))
        while not stop.wait(0.2):
            own.append(_memory("RssAnon"))

    watch = threading.Thread(target=sample)
    watch.start()
    start = time.perf_counter()
    report = write_pages(ViewConfig(dataset=str(dataset), out=out))
    seconds = time.perf_counter() - start
    stop.set()
    watch.join()
    peak = _memory("VmHWM")
    facts = {"seconds": seconds, "peak": peak, "own": max(own)}
    print(json.dumps(facts | {"units": report.units, "layers": report.layers}))


def _memory(what: str) -> float:
    """Return a figure of this process in MB; getrusage's would start from the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0]) / 1024


def open_page(page: Path, rounds: int) -> tuple[float, int, int, int]:
    """Return milliseconds to the first pictures (median), and bytes, requests and pictures."""
    from playwright.sync_api import sync_playwright

    times = []
    size = count = pictures = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        for number in range(rounds + 1):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            asked: list[str] = []
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.goto(page.as_uri(), wait_until="commit")
            elapsed, pictures = tab.evaluate(WAIT_FOR_PICTURES)
            files = [Path(unquote(urlsplit(url).path)) for url in asked if url.startswith("file:")]
            size, count = sum(file.stat().st_size for file in files), len(files)
            if number:  # the first round starts the browser's processes
                times.append(elapsed)
            tab.close()
        browser.close()
    return statistics.median(times), size, count, pictures


def measure(units: int, layers: int, rounds: int) -> None:
    """Print everything about a dataset with ``units`` units."""
    with tempfile.TemporaryDirectory() as work:
        dataset, out = Path(work) / "dataset", Path(work) / "out"
        make_dataset(dataset, units, layers)
        environment = {**os.environ, "HF_DATASETS_CACHE": str(Path(work) / "cache")}
        # The first use of a dataset copies it into the cache of `datasets`, which is not measured.
        load = f"from milannotations.loading import load; load({str(dataset)!r})"
        subprocess.run([sys.executable, "-c", load], check=True, env=environment)
        command = [sys.executable, __file__, "--write", str(dataset), str(out)]
        done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE)
        facts = json.loads(done.stdout.splitlines()[-1])
        files = [path for path in out.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        print(
            f"{units} units of {facts['layers']} layers: written in {facts['seconds']:.1f} s "
            f"({1000 * facts['seconds'] / units:.1f} ms a unit), {size / 1e6:.1f} MB in "
            f"{len(files)} files ({size / units / 1e3:.1f} kB a unit), "
            f"peak memory {facts['peak']:.0f} MB with mapped files, {facts['own']:.0f} MB without",
            flush=True,
        )
        if shutil.which("chromium"):
            elapsed, read, count, pictures = open_page(out / "index.html", rounds)
            print(
                f"  first pictures after {elapsed:.0f} ms (median of {rounds}; {pictures} "
                f"pictures in the window), {read / 1e6:.2f} MB read in {count} files",
                flush=True,
            )


def main() -> None:
    """Measure a small and a large dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write(*arguments.write)
        return
    measure(100, 1, arguments.rounds)
    measure(arguments.units, arguments.layers, arguments.rounds)


if __name__ == "__main__":
    main()

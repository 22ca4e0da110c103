"""Render a board of 100 methods × 30 columns × 12,000 neurons, and open it in a browser.

``python perf/site.py [--methods M] [--neurons N] [--splits S] [--varied SHARE] [--keep FOLDER]``
makes results of fictitious methods, and neurons with exemplars of noise, renders them, and prints
the time for rendering, the size of the site, and the time of a page in headless Chromium from the
start of navigation until it can be used: median and longest of several loads, each in a fresh
profile, at full speed and with the processor slowed four times.

Descriptions are drawn from 3,200 words by Zipf's law. A share of the methods has a new description
for almost every neuron, as people do (of 3,904 descriptions of ResNet-152's units by one person,
2,510 to 3,463 are distinct, and gzip needs 6 to 10 bytes for each; here, 3,420 and 9 bytes). The
others choose among 547 descriptions, as many as the authors' MILAN gives for these units (2.3 bytes
for each).
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, Features, concatenate_datasets
from PIL import Image as PILImage

from benchmark.result import Method, MetricInfo, Result, Score, SplitResult
from benchmark.result_files import save_result_files
from leaderboard.render import render
from milannotations.progress import silence_libraries
from milannotations.record import FEATURES, encode_image, encode_mask

LAYERS = 5
METRICS = {
    "identification": MetricInfo(title="Identification AUC", chance=0.5),
    "bertscore": MetricInfo(title="BERTScore F1"),
    "bleu": MetricInfo(title="BLEU"),
}
# For each page, a condition that holds once the page can be used.
PAGES = {
    "index.html": "performance.getEntriesByName('interactive').length > 0",
    "methods/method-0.html": "document.readyState === 'complete'",
    "neuron.html": "!document.getElementById('neuron').hidden",
    "compare.html": "!document.getElementById('comparison').hidden",
}
LOADS = 5
LONGEST = 60_000  # milliseconds


def main() -> None:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=int, default=100)
    parser.add_argument("--neurons", type=int, default=12_000)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--varied", type=float, default=0.5)
    parser.add_argument("--keep", type=Path, help="where the site is to stay")
    options = parser.parse_args()
    silence_libraries()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = neurons(options.neurons // options.splits, options.splits)
        for number in range(options.methods):
            save(folder / "results", number, data, number < options.varied * options.methods)
        start = time.perf_counter()
        index = render(folder / "results", data, folder / "site")
        seconds = time.perf_counter() - start
        site = index.parent
        print(
            f"render, {options.methods} methods × {options.splits * len(METRICS)} columns × "
            f"{options.neurons:,} neurons: {seconds:.1f} s"
        )
        for place in (".", "data", "pictures", "methods"):
            files = [path for path in (site / place).rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files) / 1e6
            print(f"  {place}: {size:.1f} MB in {len(files):,} files")
        print(f"  index.html: {index.stat().st_size / 1e6:.2f} MB")
        print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")
        for slowed in (1, 4):
            for page, ready in PAGES.items():
                took = sorted(loads(site / page, ready, slowed))
                print(
                    f"{page}, processor slowed {slowed} ×: median "
                    f"{statistics.median(took):.0f} ms, longest {took[-1]:.0f} ms"
                )
        if options.keep:
            shutil.copytree(site, options.keep, dirs_exist_ok=True)


def neurons(units: int, splits: int) -> dict[str, Dataset]:
    """Make each split's neurons, with nine exemplars of noise and three references."""
    rng = np.random.default_rng(0)
    words = Words(0)
    images, masks = [], []
    for _ in range(9):
        image = PILImage.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((64, 64))
        images.append({"bytes": encode_image(image), "path": None})
        mask = np.zeros((64, 64), dtype=bool)
        mask[:32] = True
        masks.append({"bytes": encode_mask(mask), "path": None})
    made = {}
    for split in range(splits):
        rows = [
            {
                "model": f"net{split}", "dataset": "data", "layer": f"layer{i % LAYERS}",
                "unit": i // LAYERS, "images": images, "masks": masks,
                "activations": [1.0] * 9, "image_ids": list(range(9)), "threshold": 0.5,
                "annotations": [words.text() for _ in range(3)],
            }
            for i in range(units)
        ]  # fmt: skip
        parts = [
            Dataset.from_list(rows[i : i + 500], features=Features(FEATURES))
            for i in range(0, units, 500)
        ]
        made[f"split-{split}"] = concatenate_datasets(parts)
    return made


class Words:
    """Texts of made-up words, some of which are frequent."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._words = [f"{'aeiou'[i % 5]}word{i}" for i in range(3200)]
        self._weights = list(np.cumsum([1 / (i + 1) for i in range(3200)]))

    def text(self) -> str:
        """Return one text."""
        count = min(20, 1 + int(self._rng.expovariate(1 / 4.1)))
        return " ".join(self._rng.choices(self._words, cum_weights=self._weights, k=count))


def save(folder: Path, number: int, data: dict[str, Dataset], varied: bool) -> None:
    """Save the result of one method."""
    rng = np.random.default_rng(number)
    words = Words(number)
    few = [words.text() for _ in range(547)]
    often = list(np.cumsum([1 / (i + 1) for i in range(547)]))
    pick = random.Random(number)
    tables, splits = [], {}
    for split, part in data.items():
        table: dict[str, Any] = {"split": [split] * len(part)}
        table |= {c: part[c] for c in ("model", "dataset", "layer", "unit")}
        table["description"] = (
            [words.text() for _ in range(len(part))]
            if varied
            else pick.choices(few, cum_weights=often, k=len(part))
        )
        scores = {}
        for metric in METRICS:
            values = rng.beta(4, 3, len(part)) + 0.001 * number
            table[metric] = values
            value = float(values.mean())
            half = 1.96 * float(values.std()) / len(part) ** 0.5
            scores[metric] = Score(
                value=value, low=value - half, high=value + half, n=len(part), signature=metric
            )
        tables.append(pd.DataFrame(table))
        splits[split] = SplitResult(
            fingerprint="0" * 16, neurons=len(part), scored=len(part), scores=scores
        )
    name = f"method-{number}"
    method = Method(name=name, title=f"A method, number {number}", authors="Somebody")
    result = Result(method=method, metrics=METRICS, splits=splits)
    save_result_files(result, folder, pd.concat(tables))


def loads(path: Path, ready: str, slowed: int) -> Iterator[float]:
    """Yield the milliseconds of each load of a page."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        raise SystemExit("install chromium to measure pages in a browser")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for _ in range(LOADS):
            page = chromium.new_page()
            page.context.new_cdp_session(page).send(
                "Emulation.setCPUThrottlingRate", {"rate": slowed}
            )
            page.goto(path.as_uri(), wait_until="commit")
            # Polled from outside, because the pages' security policy forbids polling within them.
            while not page.evaluate(f"document.readyState !== 'loading' && ({ready})"):
                time.sleep(0.001)
                if page.evaluate("performance.now()") > LONGEST:
                    raise SystemExit(f"{path.name} cannot be used after {LONGEST / 1000} s")
            yield float(page.evaluate(_WHEN))
            page.close()
        chromium.close()


_WHEN = """() => {
  const mark = performance.getEntriesByName("interactive")[0];
  return mark ? mark.startTime : performance.now();
}"""

if __name__ == "__main__":
    main()

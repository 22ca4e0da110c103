"""Build exemplars with the MILAN paper's own code and with this project, and print differences.

    git clone https://github.com/evandez/neuron-descriptions CLONE
    python scripts/compare_with_original.py --original CLONE --model resnet18 --images 192 --k 5

The clone is neither changed nor copied: its ``src/exemplars/compute.py`` is imported and run. Of
its requirements, only PyTorch and SciPy are needed. Both sides get the same network and the same
images: crops of those of the demo, or those of ``--folder``, a folder of class folders. Weights are
random, with biases that make activations as sparse as in trained networks, or from
``--weights FILE``. Times are processor seconds of this process, which other work on the machine
hardly affects.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import datasets, transforms

from milannotations.catalog.models import LoadedModel, load_model
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.render import render_masks
from milannotations.exemplars.request import BuildRequest
from milannotations.inputs.sources import ImageFolder
from milannotations.loading import load_split

QUANTILE = 0.99
SIZE = 224
UNIT_STEP = 4  # masks with the original's thresholds are compared for every fourth unit
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "--masks bilinear": {"masks": "bilinear"},
    "--in-place before": {"in_place": "before"},
}


@dataclass
class Layer:
    """One side's results for a layer: arrays with a row for each unit."""

    ids: np.ndarray
    peaks: np.ndarray
    thresholds: np.ndarray
    masks: Callable[[int], np.ndarray]


def original_compute(clone: Path) -> Any:
    """Import the original's module that builds exemplars, without the packages it does not use."""
    if not (clone / "src" / "exemplars" / "compute.py").is_file():
        raise SystemExit(f"{clone} is no clone of the original: it has no src/exemplars/compute.py")
    sys.path.insert(0, str(clone))
    package = types.ModuleType("src.exemplars")  # its own imports the whole project
    package.__path__ = [str(clone / "src" / "exemplars")]
    sys.modules["src.exemplars"] = package
    for name in ("statsmodels", "statsmodels.stats", "statsmodels.stats.correlation_tools"):
        module = types.ModuleType(name)
        module.cov_nearest = module.corr_nearest = None  # type: ignore[attr-defined]
        sys.modules.setdefault(name, module)
    from src.exemplars import compute  # type: ignore[import-not-found]

    return compute


def write_crops(folder: Path, count: int) -> Path:
    """Write square crops of the demo's photographs and rendered scenes, 256 pixels wide."""
    neurons = load_split("demo", "network")
    pictures: dict[int, Image.Image] = {}
    for record in neurons.remove_columns("masks"):
        pictures |= dict(zip(record["image_ids"], record["images"], strict=True))
    rng = np.random.default_rng(0)
    names = sorted(pictures)
    (folder / "crops").mkdir(parents=True)
    for index in range(count):
        picture = pictures[names[index % len(names)]]
        side = int(rng.uniform(0.5, 1) * min(picture.size))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        crop = picture.crop((left, top, left + side, top + side)).resize((256, 256))
        crop.save(folder / "crops" / f"{index:04d}.png")
    return folder


def make_sparse(module: nn.Module, images: Tensor) -> None:
    """Lower biases, so that random units are silent at most positions, like trained ones.

    Means and variances of batch normalization are then set to those of some images; otherwise most
    units of deep layers would be silent everywhere.
    """
    generator = torch.Generator().manual_seed(1)
    norms = [child for child in module.modules() if isinstance(child, nn.BatchNorm2d)]
    with torch.no_grad():
        for child in module.modules():
            if isinstance(child, nn.Conv2d) and child.bias is not None:
                spread = child.weight.flatten(1).std(1)
                child.bias.copy_(-torch.rand(len(spread), generator=generator) * 2 * spread)
        for norm in norms:
            norm.bias.copy_(-torch.rand(len(norm.bias), generator=generator))
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches, here a single one
            norm.train()
        module(images)
    module.eval()


def run_original(
    compute: Any, loaded: LoadedModel, images: Path, work: Path, k: int, batch_size: int
) -> tuple[dict[str, Layer], float]:
    """Run the original's code for all layers; return its results and the seconds it took."""
    prepared = loaded.preprocessing
    transform = transforms.Compose(
        [
            transforms.Resize(prepared.resize), transforms.CenterCrop(prepared.size),
            transforms.ToTensor(), transforms.Normalize(prepared.mean, prepared.std),
        ]
    )  # fmt: skip
    dataset = datasets.ImageFolder(str(images), transform)
    layers = {}
    start = time.process_time()
    for layer in loaded.layers:
        topk, quantiles = compute.discriminative(
            loaded.module, dataset, layer=layer, device="cpu", results_dir=work, save_viz=False,
            k=k, batch_size=batch_size, num_workers=0, display_progress=False,
        )  # fmt: skip
        masks = np.load(work / layer / "masks.npy", mmap_mode="r")
        peaks, ids = topk.result()
        levels = quantiles.quantiles(QUANTILE).reshape(-1)
        layers[layer] = Layer(
            ids.numpy(), peaks.numpy(), levels.numpy().astype(np.float32),
            lambda unit, masks=masks: np.asarray(masks[unit, :, 0] > 0),
        )  # fmt: skip
    return layers, time.process_time() - start


def run_ours(
    loaded: LoadedModel, images: Path, out: Path, k: int, batch_size: int, changes: dict[str, Any]
) -> tuple[dict[str, Layer], float]:
    """Build all layers in one pass, with the catalog's defaults except for ``changes``."""
    rules = {"in_place": loaded.in_place, "masks": loaded.masks, **changes}
    options = BuildOptions(k=k, batch_size=batch_size, **rules)
    start = time.process_time()
    build(
        BuildRequest(
            module=loaded.module,
            source=ImageFolder(images, loaded.preprocessing),
            layers=loaded.layers,
            out=out,
            model=loaded.name,
            dataset=loaded.dataset,
            options=options,
            layouts=loaded.layouts,
        )
    )
    seconds = time.process_time() - start
    layers = {}
    for layer, file in zip(loaded.layers, sorted((out / "data").glob("*.parquet")), strict=True):
        columns = ["image_ids", "activations", "threshold", "masks"]
        rows = pq.read_table(file, columns=columns).to_pylist()
        layers[layer] = Layer(
            np.array([row["image_ids"] for row in rows]),
            np.array([row["activations"] for row in rows]),
            np.array([row["threshold"] for row in rows], np.float32),
            lambda unit, rows=rows: np.stack(
                [np.asarray(Image.open(io.BytesIO(m["bytes"])).convert("1"))
                 for m in rows[unit]["masks"]]
            ),
        )  # fmt: skip
    return layers, seconds


def bare_pass(loaded: LoadedModel, images: Path, batch_size: int) -> float:
    """Return the seconds that the network alone takes for all images, without reading them."""
    source = ImageFolder(images, loaded.preprocessing)
    batches = [
        torch.stack([source.inputs(i) for i in range(at, min(at + batch_size, len(source)))])
        for at in range(0, len(source), batch_size)
    ]
    start = time.process_time()
    with torch.inference_mode():
        for batch in batches:
            loaded.module(batch)
    return time.process_time() - start


def rank_errors(
    loaded: LoadedModel, images: Path, layer: str, sides: list[np.ndarray]
) -> list[np.ndarray]:
    """Return how far the share of activations above the threshold is from 1 %, for each unit.

    If several activations equal the threshold, any share between that of the activations above it
    and that of the activations not below it counts as right.
    """
    source = ImageFolder(images, loaded.preprocessing)
    above = [torch.zeros(len(side)) for side in sides]
    least = [torch.zeros(len(side)) for side in sides]
    positions = 0
    for maps in _plain_maps(loaded.module, layer, source):
        flat = maps[0].flatten(1)
        positions += flat.shape[1]
        for number, side in enumerate(sides):
            level = torch.from_numpy(side)[:, None]
            above[number] += (flat > level).sum(1)
            least[number] += (flat >= level).sum(1)
    wanted = 1 - QUANTILE
    return [
        torch.maximum(a / positions - wanted, wanted - b / positions).clamp(min=0).numpy()
        for a, b in zip(above, least, strict=True)
    ]


def _plain_maps(module: nn.Module, layer: str, source: ImageFolder) -> Iterator[Tensor]:
    outputs: list[Tensor] = []
    handle = module.get_submodule(layer).register_forward_hook(lambda _m, _i, o: outputs.append(o))
    with torch.no_grad():
        for index in range(len(source)):
            module(source.inputs(index)[None])
            yield outputs.pop()
    handle.remove()


def compare_rule(
    loaded: LoadedModel, images: Path, layer: str, theirs: Layer
) -> tuple[int, int, int]:
    """Make masks by the original's rule, with its ids and thresholds.

    Returns:
        How many masks were compared, how many are equal, and how many pixels differ in all.
    """
    source = ImageFolder(images, loaded.preprocessing)
    units = np.arange(0, len(theirs.ids), UNIT_STEP)
    maps = torch.cat([m[:, units] for m in _plain_maps(loaded.module, layer, source)])
    masks = equal = pixels = 0
    for column, unit in enumerate(units.tolist()):
        best = maps[torch.from_numpy(theirs.ids[unit]), column]
        level = torch.tensor([theirs.thresholds[unit]])
        ours = render_masks(best[None], level, level, SIZE, "original")[0].numpy()
        wrong = (ours != theirs.masks(unit)).sum((1, 2))
        masks += len(wrong)
        equal += int((wrong == 0).sum())
        pixels += int(wrong.sum())
    return masks, equal, pixels


def compare_layer(theirs: Layer, ours: Layer) -> list[str]:
    """Return cells: units with equal ids, with ties, mean IoU of masks, and equal masks."""
    same = (theirs.ids == ours.ids).all(1)
    scale = np.abs(theirs.peaks).max(1, keepdims=True) + 1e-12
    tied = ~same & (np.abs(theirs.peaks - ours.peaks) <= 1e-5 * scale).all(1)
    overlaps, equal = [], 0
    for unit in np.flatnonzero(same):
        their_masks, our_masks = theirs.masks(unit), ours.masks(unit)
        either = (their_masks | our_masks).sum((1, 2))
        both = (their_masks & our_masks).sum((1, 2))
        overlaps += np.where(either > 0, both / np.maximum(either, 1), 1.0).tolist()
        equal += int((their_masks == our_masks).all((1, 2)).sum())
    overlap = f"{np.mean(overlaps):.4f}" if overlaps else "–"
    share = f"{equal / len(overlaps):.1%}" if overlaps else "–"
    return [f"{same.sum()} of {len(same)}", str(tied.sum()), overlap, share]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run both sides and print Markdown tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--original", type=Path, required=True, help="clone of the original code")
    parser.add_argument("--model", default="resnet18", help="a classifier of the original's list")
    parser.add_argument("--weights", help="file; default random ones, made sparse")
    parser.add_argument(
        "--images", type=int, default=320, help="how many crops of the demo's images"
    )
    parser.add_argument("--folder", type=Path, help="folder of class folders, instead of crops")
    parser.add_argument("--k", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=32)
    chosen = parser.parse_args()
    compute = original_compute(chosen.original.resolve())
    loaded = load_model(chosen.model, chosen.weights or "random")
    loaded.module.eval()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        images = chosen.folder or write_crops(work / "images", chosen.images)
        if chosen.weights is None:
            source = ImageFolder(images, loaded.preprocessing)
            some = range(0, len(source), max(1, len(source) // 32))
            make_sparse(loaded.module, torch.stack([source.inputs(index) for index in some]))
        size = (chosen.k, chosen.batch_size)
        theirs, seconds = run_original(compute, loaded, images, work / "original", *size)
        times = {"the original": seconds}
        print(_row(["ours with", "layer", "equal ids", "tied", "mask IoU", "equal masks"]))
        print(_row(["---", "---", "---:", "---:", "---:", "---:"]))
        thresholds = {}
        for name, changes in VARIANTS.items():
            ours, seconds = run_ours(loaded, images, work / name.strip("-"), *size, changes)
            times[name] = seconds
            for layer in loaded.layers:
                thresholds[name, layer] = ours[layer].thresholds
                print(_row([name, layer, *compare_layer(theirs[layer], ours[layer])]), flush=True)
        print("\n" + _row(["layer", "rank error, the original", "rank error, ours"]))
        print(_row(["---", "---:", "---:"]))
        for layer in loaded.layers:
            sides = [theirs[layer].thresholds, thresholds["defaults", layer]]
            errors = rank_errors(loaded, images, layer, sides)
            print(_row([layer, *(f"{e.mean():.5f}, at most {e.max():.5f}" for e in errors)]))
        print("\n" + _row(["layer", "masks", "equal", "pixels that differ"]))
        print(_row(["---", "---:", "---:", "---:"]))
        for layer in loaded.layers:
            print(_row([layer, *map(str, compare_rule(loaded, images, layer, theirs[layer]))]))
        bare = bare_pass(loaded, images, chosen.batch_size)
        print("\n" + _row(["time", "bare passes"]) + "\n" + _row(["---", "---:"]))
        for name, seconds in times.items():
            print(_row([name, f"{seconds / bare:.1f}"]))


if __name__ == "__main__":
    main()

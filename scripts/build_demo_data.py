"""Make the embedded demo data, milannotations/data/demo.

Run ``make demo-data``. It needs the extra ``data`` (scikit-image, for photographs in the public
domain) and takes about five minutes on two cores. The splits train, validation and test hold
synthetic neurons, each split with its own scenes; the split network holds units of
EfficientNet-Lite0, dissected on further scenes and on crops of photographs.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_dataset
from PIL import Image
from skimage import data as photographs

from milannotations.catalog.models import load_model
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.fingerprints import fingerprint_of_files
from milannotations.folder import RecordWriter
from milannotations.inputs.sources import ImageFolder
from milannotations.record import undecoded
from milannotations.storage import atomic_path
from milannotations.worlds import (
    DEMO_SCENES,
    SPLITS,
    SyntheticNetwork,
    World,
    synthetic_neurons,
)

OUT = Path(__file__).parents[1] / "milannotations" / "data" / "demo"
LAYERS = ("_blocks.3", "_blocks.10", "_blocks.15")
UNITS_PER_LAYER = 100
# All in the public domain or CC0; the sources are in the dataset card.
PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "chelsea", "clock", "coffee", "grass", "gravel",
    "hubble_deep_field", "retina", "rocket",
)  # fmt: skip
CROPS = 12


def synthetic(split: str, work: Path) -> Dataset:
    """Build the synthetic neurons of a split."""
    neurons = [neuron for neuron in synthetic_neurons() if neuron.split == split]
    world = World(*DEMO_SCENES[split])
    network = SyntheticNetwork(neurons, world)
    report = build(
        BuildRequest(
            module=network,
            source=world,
            layers=network.names,
            out=work / split,
            model="synthetic",
            dataset="worlds",
            options=BuildOptions(image_format="webp"),
        )
    )
    built = load_dataset(str(report.folder), split="train", cache_dir=str(work / "cache"))
    # The builder numbers the channels of this split; neurons are numbered across all splits.
    by_layer = {name: [n for n in neurons if n.layer == name] for name in network.names}

    def name_unit(row: dict[str, Any]) -> dict[str, Any]:
        neuron = by_layer[row["layer"]][row["unit"]]
        return {"unit": neuron.unit, "annotations": list(neuron.references)}

    return undecoded(built).map(name_unit, load_from_cache_file=False)


def network(work: Path) -> Dataset:
    """Dissect EfficientNet-Lite0 on scenes and photographs."""
    folder = work / "images"
    for index in range(len(world := World(*DEMO_SCENES["network"]))):
        save(world.image(index), folder / "scenes" / f"{index:03d}.png")
    rng = np.random.default_rng(0)
    for name in PHOTOGRAPHS:
        picture = Image.fromarray(getattr(photographs, name)()).convert("RGB")
        for index in range(CROPS):
            side = int(rng.uniform(0.35, 0.95) * min(picture.size))
            left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
            crop = picture.crop((left, top, left + side, top + side))
            save(
                crop.resize((256, 256), Image.Resampling.LANCZOS),
                folder / name / f"{index:02d}.png",
            )
    model = load_model("efficientnet_lite0")
    source = ImageFolder(folder, model.preprocessing)
    report = build(
        BuildRequest(
            module=model.module,
            source=source,
            layers=LAYERS,
            out=work / "network",
            model=model.name,
            dataset=model.dataset,
            options=BuildOptions(),
        )
    )
    built = load_dataset(str(report.folder), split="train", cache_dir=str(work / "cache"))
    chosen = [i for i, unit in enumerate(built["unit"]) if unit < UNITS_PER_LAYER]
    return undecoded(built.select(chosen))


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def write(neurons: Dataset, path: Path) -> None:
    """Write one split."""
    with atomic_path(path) as temporary, RecordWriter(temporary) as writer:
        # One row group, so that an image that many neurons share is stored once.
        writer.write(
            [
                {
                    **row,
                    "images": [image["bytes"] for image in row["images"]],
                    "masks": [mask["bytes"] for mask in row["masks"]],
                }
                for row in neurons
            ]
        )
    print(f"{path.name}: {len(neurons)} neurons, {path.stat().st_size / 1e6:.1f} MB")


def register() -> None:
    """Write the fingerprints of the demo's splits, which are part of every installation."""
    found = {f"demo/{path.stem}": fingerprint_of_files([path]) for path in sorted(OUT.glob("*"))}
    with atomic_path(OUT.parent / "fingerprints.json") as path:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Make all four splits and register them."""
    work = Path(tempfile.mkdtemp())
    try:
        OUT.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            write(synthetic(split, work), OUT / f"{split}.parquet")
        write(network(work), OUT / "network.parquet")
        register()
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

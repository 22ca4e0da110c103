"""What every describer says of some neurons, and which exemplars are built: as JSON.

Run as ``python -m tests.baselines.said_by_all FOLDER`` by the test of thread counts, since the
libraries read the number of threads when they are loaded. The models lie in the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets

import milannotations
from baselines.features.encoder import PyramidEncoder, encoder_spec
from baselines.milan.config import MilanSpec
from baselines.milan.decoder import DecoderSpec
from baselines.milan.examples import examples_of
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from milannotations.catalog.models import load_model
from milannotations.describer import accepts, create
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.fingerprints import fingerprint
from milannotations.inputs.sources import ImageFolder

_HIDDEN = 48
_SCENES = "worlds:5:24"


def describers(models: Path, milan: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what is tried: describers and options, by a name."""
    clip = str(models / "clip")
    describers: dict[str, tuple[str, dict[str, Any]]] = {
        "retrieval": ("retrieval", {}),
        "clip-dissect": ("clip-dissect", {"clip": clip}),
        "clip-dissect, probed": ("clip-dissect", {"clip": clip, "images": str(models / "images")}),
        "netdissect": ("netdissect", {"concepts": _SCENES}),
        "compexp": ("compexp", {"concepts": _SCENES, "length": 2}),
        "milan-2": ("milan-2", {"model": str(models / "blip"), "clip": clip}),
        "random-train": ("random-train", {}),
        "constant-frequent": ("constant-frequent", {}),
        "milan, reranked by CLIP": ("milan", {"model": str(milan), "clip": clip}),
    }
    for variant in ("rerank", "sample", "mi-beam"):
        describers[f"milan, {variant}"] = ("milan", {"model": str(milan), "variant": variant})
    return describers


def _train(neurons: Dataset, folder: Path) -> None:
    """Train a small MILAN, once for all of its searches."""
    encoder = PyramidEncoder(encoder_spec("efficientnet_lite0"))
    spec = MilanSpec(
        decoder=DecoderSpec(hidden=_HIDDEN), language_model=LanguageModelSpec(hidden=_HIDDEN)
    )
    examples = examples_of(encoder, neurons, "cpu")
    options = TrainingConfig(epochs=3)
    train(examples, encoder, folder, options=options, spec=spec, overwrite=True)


def main(models: Path) -> None:
    """Print everything."""
    training = milannotations.load("demo", "train").select(range(0, 96, 2))
    synthetic = milannotations.load("demo", "test").select(range(0, 85, 10))
    network = milannotations.load("demo", "network").select(range(0, 240, 24))
    descriptions: dict[str, Any] = {"threads": torch.get_num_threads()}
    milan = models / f"milan-{descriptions['threads']}"
    _train(training, milan)
    for name, (method, options) in describers(models, milan).items():
        device = {"device": "cpu"} if accepts(method, "device") else {}
        describer = create(method, **device, **options)
        describer.fit(training)
        # The dissection baselines run the network that neurons belong to.
        dissects = method in ("netdissect", "compexp") or "images" in options
        neurons = network if dissects else concatenate_datasets([synthetic, network])
        descriptions[name] = [d.text for d in describer.describe(neurons)]
    loaded = load_model("efficientnet_lite0")
    source = ImageFolder(models / "images", loaded.preprocessing)
    out = models / f"built-{descriptions['threads']}"
    build(
        BuildRequest(
            module=loaded.module,
            source=source,
            layers=["_blocks.4", "_blocks.15"],
            out=out,
            model="m",
            dataset="d",
            options=BuildOptions(k=3),
            layouts=loaded.layouts,
            overwrite=True,
        )
    )
    built = milannotations.load(str(models / f"built-{descriptions['threads']}"))
    descriptions["exemplars"] = fingerprint(built)
    print(json.dumps(descriptions))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

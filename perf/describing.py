"""Time the description of every unit of a network, end to end: seconds for 1,000 units, by step.

    python perf/describing.py

The units are those of the four stages of ResNet-18 with random weights (960), with exemplars from
rendered scenes, described by retrieval and by MILAN, both trained on the demo's neurons. Total
times are compared with that of bare passes: one of the network over the images and one of the
describer's encoder over all exemplars, both from memory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from milannotations.progress import silence_libraries
from milannotations.worlds import make_scene

LAYERS = ["layer1", "layer2", "layer3", "layer4"]


def timed(what: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def main(scenes: int) -> None:
    """Print the table."""
    from applications.trials.trial_networks import SMALL_MILAN
    from baselines.milan.describer import MilanDescriber
    from baselines.retrieval.describer import Retrieval
    from milannotations.catalog.models import load_model
    from milannotations.exemplars.build import build
    from milannotations.exemplars.request import BuildRequest
    from milannotations.inputs.sources import ImageFolder
    from milannotations.loading import load_split

    silence_libraries()
    with tempfile.TemporaryDirectory() as place:
        os.environ["MILANNOTATIONS_HOME"] = f"{place}/home"
        folder = Path(place) / "images"
        folder.mkdir()
        for index in range(scenes):
            make_scene(77, index).image.save(folder / f"{index:04d}.jpg", quality=92)
        loaded = load_model("torchvision:resnet18", "random")
        source = ImageFolder(folder, loaded.preprocessing)
        learned = load_split("demo", "train")
        retrieval, milan = Retrieval(device="cpu"), MilanDescriber(device="cpu", **SMALL_MILAN)
        for describer in (retrieval, milan):
            describer.fit(learned)
        module = loaded.module.eval()
        inputs = torch.stack([source.inputs(i) for i in range(len(source))])
        encoder = load_model("efficientnet_lite0").module.eval()
        picture = torch.randn(32, 3, 224, 224)
        with torch.inference_mode():
            passes = timed(lambda: [module(part) for part in inputs.split(32)])
            one = timed(lambda: [encoder(picture) for _ in range(8)]) / (8 * 32)
        out = Path(place) / "built"
        building = timed(
            lambda: build(
                BuildRequest(
                    module=module,
                    source=source,
                    layers=LAYERS,
                    out=out,
                    model="resnet18",
                    dataset="random",
                )
            )
        )
        neurons = load_split(str(out))
        least = passes + one * 15 * len(neurons)
        scale = 1000 / len(neurons)
        print(f"{len(neurons)} units, 15 exemplars each of {scenes} images")
        print(f"bare passes           {scale * least:7.1f} s for 1,000 units")
        print(f"exemplars             {scale * building:7.1f} s")
        # The second describer finds the features of the first in the cache.
        first = timed(lambda: retrieval.describe(neurons))
        second = timed(lambda: milan.describe(neurons))
        print(f"retrieval             {scale * first:7.1f} s, of which features are nearly all")
        print(f"MILAN, features kept  {scale * second:7.1f} s")
        for name, whole in (("retrieval", building + first), ("both", building + first + second)):
            print(
                f"end to end, {name:9s} {scale * whole:7.1f} s for 1,000 units, "
                f"{whole / least:.2f} × bare passes"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=300)
    main(parser.parse_args().scenes)

"""Many ablations of ResNet-18's last layers: from the ablated layer on, against full passes.

    python perf/ablation.py

Each ablation sets a single unit, as when the effect of every unit is measured. The simple method
uses a hook and a full forward pass for each ablation; the method of this project runs the pass up
to the layer once per batch. Both give the same scores, which is checked. They are timed in turn,
and the median of the rounds' ratios is printed.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torchvision

from milannotations.ablation import AblationRunner, ablated
from milannotations.hook_points.matching import find_hook_points

LAYERS = (
    "layer4", "layer4.1.conv2", "layer4.1.conv1", "layer4.0.conv2", "layer4.0.conv1", "layer3",
    "layer2", "layer1",
)  # fmt: skip


@torch.no_grad()
def measure(layer: str, images: int, units: int, rounds: int) -> None:
    """Print a row of the table."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None).eval()
    inputs = torch.randn(images, 3, 224, 224)
    points = find_hook_points(model, [layer], (inputs[:2],))
    runner = AblationRunner(model, points, (inputs[:2],))
    ablations = [{layer: [unit]} for unit in range(units)]
    ratios = []
    for _ in range(rounds):
        start = time.perf_counter()
        plain = []
        for ablation in ablations:
            with ablated(model, points, ablation):
                plain.append(model(inputs))
        middle = time.perf_counter()
        found = dict(runner.outputs((inputs,), ablations))
        end = time.perf_counter()
        for position, expected in enumerate(plain):
            assert torch.allclose(found[position], expected, rtol=1e-3, atol=1e-4)
        ratios.append((middle - start) / (end - middle))
    spread = ", ".join(f"{ratio:.1f}" for ratio in sorted(ratios))
    print(f"{layer:16s} {statistics.median(ratios):6.1f} times faster ({spread})", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16, help="images of the batch")
    parser.add_argument("--units", type=int, default=24, help="ablations of each layer")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    for name in LAYERS:
        measure(name, chosen.images, chosen.units, chosen.rounds)

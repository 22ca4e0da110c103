"""Test the audit's estimate of false matches on networks for which the truth is known.

    python scripts/calibrate_audit.py --out calibration --seeds 2

renders a small task with class names on half of the training images, once per seed, and describes
four kinds of units by retrieval from the lessons:

- units of networks with random weights: they have learned nothing, so every match is false;
- units of networks trained on the same images without text: none has learned text, so again every
  match is false, but they have learned other things;
- planted text units, whose activation is the box of the text, with noise: their matches are true;
- decoys of the networks with random weights.

A unit's description does not depend on the other units. So networks with a known number of text
units are composed from these: in a network of one of the first two kinds, some units are replaced
by planted ones of the same layer. The false matches of each composed network are estimated as in
``experiment audit``, by decoys and by other networks with random weights. The script writes

- ``calibration.csv``: true and estimated share of false matches of each composed network;
- ``table.md``: these shares, summarized over seeds, networks and draws;
- ``masks.csv``: how much of the masks of units and decoys lies on text.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor, nn

from applications.audit.decoys import make_decoys
from applications.audit.false_matches import DECOYS, UNTRAINED, NullUnits, estimate_false_matches
from applications.audit.untrained import initialized_again
from applications.classifier import read_images
from applications.network_descriptions import (
    DescribedNetwork,
    LazyDescriber,
    describe,
    describe_network,
)
from applications.spurious_data.text_cue import TextCue
from applications.trials.trial_networks import TrialScale, cue_images, lesson_describer, probe_of
from applications.word_lists import WordList
from milannotations.catalog import small
from milannotations.catalog.models import LoadedModel
from milannotations.exemplars.options import BuildOptions
from milannotations.hook_points.matching import find_hook_points
from milannotations.inputs.sources import ImageFolder
from milannotations.progress import silence_libraries

SCALE = TrialScale(classes=4, train=60, validation=10, test=4, epochs=10, noise=28.0, k=10)
WIDTHS = (16, 20, 24, 24, 24)
WORDS = ("text", "words", "letters")
PLANTED = (0.0, 0.1, 0.25, 0.5)  # share of the units
SIDES = dict(zip(small.LAYERS, (48, 24, 24, 12, 12), strict=True))  # of the layers' maps
CONTROLS = 3
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Units:
    """Described units: by layer, whether each matches, and the describer's confidence."""

    matched: Mapping[str, Flags]
    scores: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, layers: Sequence[str], texts: Sequence[str], scores: Sequence[float]) -> Units:
        """Search descriptions for the words."""
        words = WordList.parse(*WORDS)
        names = np.array(layers)
        hits = np.array([bool(words.matches(text)) for text in texts])
        values = np.array(scores, dtype=float)
        return cls(
            {layer: hits[names == layer] for layer in small.LAYERS},
            {layer: values[names == layer] for layer in small.LAYERS},
        )


class Planted(nn.Module):
    """Text units: each cell of a layer's map holds its share of text, plus noise of varying size.

    Args:
        masks: The pixels with text in each image, by the bytes of its input.
        seed: Seed of the noise.
    """

    def __init__(self, masks: Mapping[bytes, Flags], seed: int) -> None:
        super().__init__()
        self._masks = masks
        self._seed = seed
        for layer in small.LAYERS:
            self.add_module(layer, nn.Identity())

    def forward(self, images: Tensor) -> Tensor:
        """Return the last layer's maps, (n, units, side, side)."""
        for layer_number, (layer, units) in enumerate(zip(small.LAYERS, WIDTHS, strict=True)):
            maps = self.get_submodule(layer)(self._maps(images, layer, layer_number, units))
        return torch.as_tensor(maps)

    def _maps(self, images: Tensor, layer: str, layer_number: int, units: int) -> Tensor:
        side = SIDES[layer]
        maps = np.zeros((len(images), units, side, side), dtype=np.float32)
        cell = small.SIZE // side
        noise = np.linspace(0.1, 0.9, units)[:, None, None]
        for row, image in enumerate(images):
            key = image.cpu().numpy().tobytes()
            mask = self._masks.get(key)
            if mask is None:
                continue
            share = mask.reshape(side, cell, side, cell).mean((1, 3))
            rng = np.random.default_rng([self._seed, layer_number, *key[-8:]])
            strength = 1 - noise * rng.uniform(0, 0.5, (units, 1, 1))
            maps[row] = strength * share + 0.15 * noise * rng.standard_normal((units, side, side))
        return torch.from_numpy(maps.clip(0))


def text_masks(folder: Path) -> dict[str, Flags]:
    """Return the pixels with text in each image of a folder, by file; bool (96, 96)."""
    masks = {}
    for entry in json.loads((folder / TextCue.listing).read_text(encoding="utf-8"))["files"]:
        mask = np.zeros((small.SIZE, small.SIZE), dtype=bool)
        if entry["box"]:
            left, top, right, bottom = entry["box"]
            mask[top:bottom, left:right] = True
        masks[entry["file"]] = mask
    return masks


def train(folder: Path, seed: int) -> small.SmallNet:
    """Train a small network without augmentation, long enough that its units are not random."""
    images = read_images(folder, small.PREPROCESSING)
    torch.manual_seed(seed)
    net = small.SmallNet(len(images.classes), WIDTHS)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(SCALE.epochs):
        for batch in torch.randperm(len(images.labels)).split(32):
            scores = net(images.inputs(batch, torch.device("cpu")))
            loss = nn.functional.cross_entropy(scores, images.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def described(
    net: nn.Module, name: str, probe: Path, work: Path, who: LazyDescriber
) -> DescribedNetwork:
    """Describe all units of a network."""
    loaded = LoadedModel(net.eval(), small.NAME, name, small.PREPROCESSING, small.LAYERS)
    source = ImageFolder(probe, small.PREPROCESSING)
    inputs = torch.stack([source.inputs(0), source.inputs(1)])
    points = find_hook_points(net, small.LAYERS, (inputs,))
    return describe_network(
        loaded, points, probe, work, who, options=BuildOptions(k=SCALE.k), device="cpu"
    )


def units_of(network: DescribedNetwork) -> Units:
    """Return a network's units."""
    return Units.of(
        [layer for layer, _ in network.units], network.texts,
        [np.nan if score is None else score for score in network.scores],
    )  # fmt: skip


def on_text(neurons: Dataset, masks: Mapping[str, Flags], names: Sequence[str]) -> list[float]:
    """Return the share of each unit's mask area that lies on text."""
    shares = []
    for record in neurons:
        area = text = 0.0
        for stored, image in zip(record["masks"], record["image_ids"], strict=True):
            mask = np.asarray(stored) > 0
            step = mask.shape[0] / small.SIZE
            rows = (np.arange(mask.shape[0]) / step).astype(int)
            area += mask.sum()
            text += (mask & masks[names[image]][np.ix_(rows, rows)]).sum()
        shares.append(text / area if area else 0.0)
    return shares


def composed(
    base: Units, planted: Units, share: float, rng: np.random.Generator
) -> tuple[dict[tuple[str, int], float], int, int]:
    """Replace some units of a network by planted ones of the same layer.

    Returns:
        The matching units with their confidence, the number of units, and the number of false
        matches.
    """
    places = [(layer, unit) for layer in small.LAYERS for unit in range(len(base.matched[layer]))]
    chosen = rng.permutation(len(places))[: round(share * len(places))].tolist()
    replaced = {places[i] for i in chosen}
    matched, false = {}, 0
    for layer, unit in places:
        own = planted if (layer, unit) in replaced else base
        if own.matched[layer][unit]:
            matched[layer, unit] = float(own.scores[layer][unit])
            false += own is base
    return matched, len(places), false


def nulls_of(kind: str, networks: Sequence[Units]) -> NullUnits:
    """Return the units of networks as null units."""
    rows = [
        (layer, bool(hit), float(score), number)
        for number, network in enumerate(networks)
        for layer in small.LAYERS
        for hit, score in zip(network.matched[layer], network.scores[layer], strict=True)
    ]
    layers, hits, scores, numbers = zip(*rows, strict=True)
    return NullUnits(kind, layers, hits, scores, numbers)


def study(seed: int, networks: int, draws: int, out: Path, who: LazyDescriber) -> tuple[list, list]:
    """Describe the units of one seed and estimate composed networks."""
    seed_folder = out / f"seed-{seed}"
    seed_folder.mkdir(parents=True, exist_ok=True)
    data = cue_images(seed_folder, SCALE, seed, "text")
    probe, work = probe_of(seed_folder, "text"), seed_folder / "work"
    source = ImageFolder(probe, small.PREPROCESSING)
    names = [source.name(i) for i in range(len(source))]
    masks = text_masks(data)
    by_input = {source.inputs(i).numpy().tobytes(): masks[name] for i, name in enumerate(names)}
    blank = small.SmallNet(SCALE.classes, WIDTHS)
    random = [
        described(initialized_again(blank, 100 * seed + n), f"random-{n}", probe, work, who)
        for n in range(networks)
    ]
    trained = described(train(seed_folder / "plain" / "train", seed), "plain", probe, work, who)
    planted = described(Planted(by_input, seed), "planted", probe, work, who)
    rows, areas = [], []
    for what, network in (("random weights", random[0]), ("trained without text", trained),
                          ("planted", planted)):  # fmt: skip
        areas.append([seed, what, float(np.mean(on_text(network.exemplars, masks, names)))])
    areas.append([seed, "all pixels", float(np.mean([masks[name] for name in names]))])
    pool = [units_of(net) for net in random]
    text = units_of(planted)
    for kind, own, base in (
        ("random weights", random[0], 0),
        ("trained without text", trained, -1),
    ):
        decoy_units = make_decoys(own.exemplars, own.images, seed)
        descriptions = describe(decoy_units.neurons, work, who, "cpu")
        areas.append(
            [seed, f"decoys: {kind}", float(np.mean(on_text(decoy_units.neurons, masks, names)))]
        )
        decoys = nulls_of(
            DECOYS,
            [Units.of(decoy_units.layers, descriptions["description"], descriptions["score"])],
        )
        bases = range(networks) if base == 0 else [-1]
        for number in bases:
            rng = np.random.default_rng([seed, number + 1])
            others = [units for index, units in enumerate(pool) if index != number]
            for share in PLANTED:
                for draw in range(draws):
                    some = [others[i] for i in rng.permutation(len(others))[:CONTROLS]]
                    matched, count, false = composed(
                        pool[number] if number >= 0 else units_of(own), text, share, rng
                    )
                    keys = [(layer, u) for layer, w in zip(small.LAYERS, WIDTHS, strict=True)
                            for u in range(w)]  # fmt: skip
                    by_control = estimate_false_matches(keys, matched, nulls_of(UNTRAINED, some))
                    by_decoys = estimate_false_matches(keys, matched, decoys)
                    rows.append([
                        seed, kind, number, share, draw, count, len(matched), false,
                        false / max(1, len(matched)), by_decoys.rate, by_control.rate,
                        by_control.low, by_control.high,
                    ])  # fmt: skip
    return rows, areas


def summary(table: pd.DataFrame) -> str:
    """Return the table of the study as Markdown."""
    lines = [
        "| network | planted | matching | truly false, % | by decoys, % | by random weights, % | "
        "error, points | in the interval |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (kind, share), group in table.groupby(["network", "planted"], sort=True):
        error = 100 * (group["by_control"] - group["truth"])
        inside = (group["low"] <= group["truth"]) & (group["truth"] <= group["high"])
        matching = (group["matched"] / group["units"]).mean()
        lines.append(
            f"| {kind} | {100 * share:.0f} % | {100 * matching:.0f} % | "
            f"{100 * group['truth'].mean():.0f} | {100 * group['by_decoys'].mean():.0f} | "
            f"{100 * group['by_control'].mean():.0f} | {error.mean():+.0f} "
            f"({error.quantile(0.025):+.0f} to {error.quantile(0.975):+.0f}) | "
            f"{100 * inside.mean():.0f} % |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2, help="sets of images")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of them")
    parser.add_argument("--networks", type=int, default=6, help="networks with random weights")
    parser.add_argument("--draws", type=int, default=20, help="composed networks of each kind")
    parser.add_argument("--method", default="retrieval", help="describer: retrieval or milan")
    options = parser.parse_args()
    if options.networks <= CONTROLS:
        parser.error(f"--networks {options.networks}: take at least {CONTROLS + 1}")
    silence_libraries()
    who = lesson_describer(options.method, SCALE.k, "cpu")
    rows, areas = [], []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        more, shares = study(seed, options.networks, options.draws, options.out, who)
        rows += more
        areas += shares
        print(f"seed {seed}: finished", flush=True)
    table = pd.DataFrame(rows, columns=[
        "seed", "network", "base", "planted", "draw", "units", "matched", "false", "truth",
        "by_decoys", "by_control", "low", "high",
    ])  # fmt: skip
    table.to_csv(options.out / "calibration.csv", index=False)
    masks = pd.DataFrame(areas, columns=["seed", "units", "share_on_text"])
    masks.to_csv(options.out / "masks.csv", index=False)
    text = summary(table)
    (options.out / "table.md").write_text(text, encoding="utf-8")
    print(text)
    print(masks.groupby("units")["share_on_text"].agg(["mean", "min", "max"]).to_string())


if __name__ == "__main__":
    main()

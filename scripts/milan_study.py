"""Does mutual information help? MILAN on neurons with a known concept, over several seeds.

    python scripts/milan_study.py --out study --seeds 5

trains models on the demo's synthetic training neurons (with ``--more``, on those of further seeds
too, without any concept combination of the validation and test splits) and describes the test split
with every strategy, with and without PMI under the same search, with several weights, with the
weight that training chose on the validation split ("chosen"), and with a model that ignores masks.
For comparison it also scores retrieval, the controls and the oracle. With ``--vague P``, each
training reference is replaced, with probability P, by a true but uninformative one ("objects",
"things"), as people often write; the references of the test split stay unchanged. Models that
exist in the folder are not trained again. It writes

- ``table.md``: the mean over seeds of every metric, its standard deviation, and the fraction of
  the distance from the shuffled oracle to the oracle; paired differences with and without PMI; and
  the values by which training chose λ;
- ``sweep.csv``: identification by the weight λ of p(d), for ``scripts/milan_figure.py``;
- ``results/`` and ``index.html``: the first seed's results as on the leaderboard, with the words of
  all variants under each of thirty neurons.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, concatenate_datasets, load_dataset, load_from_disk

from baselines.features.encoder import PyramidEncoder, encoder_spec
from baselines.milan.config import MilanSpec
from baselines.milan.decoder import DecoderSpec
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.examples import Examples, examples_of
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.pmi_weight import WeightChoice, choose_weight, descriptions
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from benchmark.harness import (
    Predictions,
    Scored,
    Task,
    describe,
    fixed_predictions,
    make_task,
    score,
)
from benchmark.metrics.base import Metric
from benchmark.metrics.bertscore import BertScore
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.identification import Identification
from benchmark.result import Method
from benchmark.significance import paired_difference
from leaderboard.render import render
from milannotations.describer import create
from milannotations.device import resolve_device
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.loading import load_split
from milannotations.progress import silence_libraries
from milannotations.provenance import TrainingData
from milannotations.record import keys_of, undecoded
from milannotations.seeds import stable_generator
from milannotations.storage import atomic_folder
from milannotations.worlds import SyntheticNetwork, World, synthetic_neurons

ENCODER = "packaged/all-MiniLM-L6-v2"
HIDDEN = 256
OPTIONS = TrainingConfig(
    batch_size=32, language_model_batch_size=32, learning_rate=0.003, patience=6, stop_on="loss"
)
LARGER = TrainingConfig(learning_rate=0.002, stop_on="loss")
WEIGHTS = (0.1, 0.3, 0.4, 0.5, 0.7, 1.0)
SEARCHES: dict[str, Decoding] = {
    name: VARIANTS[name] for name in ("greedy", "mi-greedy", "mi-beam", "sample")
}
# These reorder the candidates of one beam; "chosen" uses the λ that training chose.
RERANKED = {"beam": 0.0, "rerank": 0.2, **{f"rerank-{round(100 * w):03d}": w for w in WEIGHTS}}
CHOSEN = "chosen"
# First each search with and without PMI; then PMI against other methods.
PAIRS = (
    ("mi-greedy", "greedy"), ("mi-beam", "beam"), ("rerank", "beam"), ("rerank-050", "beam"),
    (CHOSEN, "beam"), (CHOSEN, "rerank"), ("rerank", "retrieval"), ("rerank-050", "retrieval"),
    (CHOSEN, "retrieval"), ("rerank", "nomasks-rerank"),
)  # fmt: skip
UNMASKED = {"nomasks-beam": 0.0, "nomasks-rerank": 0.2}
VAGUE = ("objects", "things", "shapes", "colored objects")
CONTROLS = ("oracle", "shuffled-oracle", "random-train", "constant-frequent")


def further_neurons(count: int, work: Path) -> Iterator[Dataset]:
    """Yield training neurons of other seeds, without combinations of validation and test."""
    held = {n.concept.key for n in synthetic_neurons() if n.split != "train"}
    for seed in range(1, count + 1):
        place = work / f"seed{seed}"
        if not place.is_dir():
            neurons = [n for n in synthetic_neurons(seed) if n.concept.key not in held]
            world = World(100 + seed, 256)
            network = SyntheticNetwork(neurons, world)
            report = build(
                BuildRequest(
                    module=network,
                    source=world,
                    layers=network.names,
                    out=work / f"built{seed}",
                    model="synthetic",
                    dataset=f"worlds{seed}",
                    options=BuildOptions(image_format="webp"),
                )
            )
            built = load_dataset(str(report.folder), split="train", cache_dir=str(work / "cache"))
            by_layer = {name: [n for n in neurons if n.layer == name] for name in network.names}
            texts = [
                list(by_layer[layer][unit].references)
                for layer, unit in zip(built["layer"], built["unit"], strict=True)
            ]
            with atomic_folder(place) as temporary:
                undecoded(annotated(built, texts)).save_to_disk(str(temporary))
        yield load_from_disk(str(place))


def together(parts: list[Examples]) -> Examples:
    """Return several sets of examples as one."""
    return Examples(
        torch.cat([part.features for part in parts]),
        [texts for part in parts for texts in part.texts],
        [key for part in parts for key in part.keys],
        TrainingData(sources=tuple(s for p in parts if p.origin for s in p.origin.sources)),
    )


def vaguer(neurons: Dataset, share: float) -> Dataset:
    """Replace annotations by uninformative ones with some probability, drawn by neuron."""
    if not share:
        return neurons
    texts = []
    for key, said in zip(keys_of(neurons), neurons["annotations"], strict=True):
        rng = stable_generator("vague", *key)
        drawn, which = rng.random(len(said)), rng.integers(len(VAGUE), size=len(said))
        texts.append(
            [VAGUE[w] if d < share else t for t, d, w in zip(said, drawn, which, strict=True)]
        )
    return annotated(neurons, texts)


def annotated(neurons: Dataset, texts: list[list[str]]) -> Dataset:
    """Return neurons with other annotations."""
    feature = neurons.features["annotations"]
    bare = neurons.remove_columns("annotations")
    changed = bare.add_column("annotations", texts, feature=feature)
    return changed.select_columns(neurons.column_names)


def method(name: str, kind: str = "method") -> Method:
    """Return the method entry of a variant, for results."""
    return Method(
        name=name, title=name, kind=kind, authors="milannotations", training_data=["demo/train"],
        annotations_seen="train", licence="MIT", seed=0,
    )  # fmt: skip


def described(model: Milan, task: Task, features: torch.Tensor, how: Decoding) -> Predictions:
    """Let a model describe the test split."""
    found = model.describe_features(task.keys, features, how, batch_size=32)
    return fixed_predictions(task, [description.text for description in found])


def reranked(
    model: Milan, task: Task, features: torch.Tensor, weights: dict[str, float]
) -> dict[str, Predictions]:
    """Let a model describe the test split with several λ, from one search."""
    rows = Examples(features, [[""]] * len(task.keys), task.keys).subset(range(len(task.keys)))
    texts_of_weights = descriptions(model, rows, rows.rows, Decoding(), list(weights.values()))
    return {
        name: fixed_predictions(task, texts)
        for name, texts in zip(weights, texts_of_weights, strict=True)
    }


def run(arguments: argparse.Namespace) -> None:
    """Train, describe, score, write."""
    silence_libraries()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    settings = json.dumps({"more": arguments.more, "vague": arguments.vague}) + "\n"
    record = out / "settings.json"
    if record.is_file() and record.read_text(encoding="utf-8") != settings:
        raise SystemExit(f"{out} holds a study with other settings; choose another --out")
    record.write_text(settings, encoding="utf-8")
    device = resolve_device(arguments.device)
    learned = vaguer(load_split("demo", "train"), arguments.vague)
    held = vaguer(load_split("demo", "validation"), arguments.vague)
    test = load_split("demo", "test")
    task = make_task("test", test)
    metrics: list[Metric] = [Identification(ENCODER, device), Bleu(), BertScore(ENCODER, device)]
    further = [
        vaguer(part, arguments.vague) for part in further_neurons(arguments.more, out / "neurons")
    ]
    examples, features, encoders = {}, {}, {}
    for masks in ("area", "none") if arguments.unmasked else ("area",):
        encoder = PyramidEncoder(encoder_spec("efficientnet_lite0", (), {"masks": masks}))
        encoders[masks] = encoder
        parts = [examples_of(encoder, part, device) for part in [learned, *further]]
        examples[masks] = (together(parts), examples_of(encoder, held, device))
        features[masks] = examples_of(encoder, test, device).features
    fixed: dict[str, Predictions] = {}
    everything = concatenate_datasets([undecoded(learned), *further]) if further else learned
    for name in ("retrieval", *CONTROLS):
        describer = create(name, **({"device": arguments.device} if name == "retrieval" else {}))
        describer.fit(everything.cast(learned.features) if further else learned)
        fixed[name] = describe(describer, task)
    scored: list[dict[str, Scored]] = []
    choices: list[WeightChoice] = []
    for seed in range(arguments.seeds):
        options = (LARGER if further else OPTIONS).model_copy(update={"seed": seed})
        predictions = {(name, "test"): texts for name, texts in fixed.items()}
        models = {}
        for masks in ("area", "none") if arguments.unmasked else ("area",):
            learn, check = examples[masks]
            place = out / f"model-{masks}-{seed}"
            if place.is_dir():
                model = Milan.from_pretrained(place, device)
            else:
                model = train(
                    learn, encoders[masks], place, options=options, validation=check,
                    spec=MilanSpec(
                        decoder=DecoderSpec(hidden=HIDDEN),
                        language_model=LanguageModelSpec(hidden=HIDDEN),
                    ),
                    device=device,
                    facts={"data": "demo/train, and more" if further else "demo/train"},
                )  # fmt: skip
            models[masks] = model
        searched = {
            name: described(models["area"], task, features["area"], how)
            for name, how in SEARCHES.items()
        }
        # Repeats the choice of training, for models that existed in the folder.
        taught, held_out = (split.subset(range(len(split.texts))) for split in examples["area"])
        choice = choose_weight(models["area"], taught, held_out, Decoding())
        weights = {**RERANKED, CHOSEN: choice.chosen}
        searched |= reranked(models["area"], task, features["area"], weights)
        if "none" in models:
            searched |= reranked(models["none"], task, features["none"], UNMASKED)
        predictions |= {(name, "test"): texts for name, texts in searched.items()}
        choices.append(choice)
        methods = {
            name: method(name, "control" if name in CONTROLS else "method")
            for name, _ in predictions
        }
        scored.append(score(methods, [task], predictions, metrics, seed=seed))
        facts = models["area"].config.training
        told = f"{len(learn.texts)} neurons, {facts['epochs']} epochs, λ = {choice.chosen:g}"
        print(f"seed {seed}: {told}")
        text = table(scored, metrics) + curves(choices)
        (out / "table.md").write_text(text, encoding="utf-8")
        print((out / "table.md").read_text(), flush=True)
        sweep(scored).to_csv(out / "sweep.csv", index=False)
    for one in scored[0].values():
        one.save(out / "results")
    render(out / "results", {"test": test}, out / "index.html", gallery_size=30)


def sweep(scored: list[dict[str, Scored]]) -> pd.DataFrame:
    """Return identification of the reranked beam by λ, mean and deviation over seeds."""
    rows = []
    for name, weight in sorted(RERANKED.items(), key=lambda item: item[1]):
        values = [s[name].result.splits["test"].scores["identification"].value for s in scored]
        rows.append((weight, np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0.0))
    return pd.DataFrame(rows, columns=["weight", "mean", "deviation"])


def table(scored: list[dict[str, Scored]], metrics: list[Metric]) -> str:
    """Return the means over seeds, and the paired differences, as Markdown."""
    rows = []
    for name in scored[0]:
        row: dict[str, object] = {"variant": name}
        for metric in metrics:
            values = [s[name].result.splits["test"].scores[metric.name].value for s in scored]
            spread = f" ± {np.std(values, ddof=1):.3f}" if np.ptp(values) else ""
            row[metric.name] = f"{np.mean(values):.3f}{spread}"
            if metric.name == "identification":
                low, high = (
                    np.mean([s[n].result.splits["test"].scores[metric.name].value for s in scored])
                    for n in ("shuffled-oracle", "oracle")
                )
                row["of the oracle"] = f"{(np.mean(values) - low) / (high - low):.0%}"
        rows.append(row)
    lines = [
        pd.DataFrame(rows).to_markdown(index=False),
        "",
        f"Over {len(scored)} seeds; paired differences:",
        "",
    ]
    differences = []
    for with_pmi, without in PAIRS:
        if not {with_pmi, without} <= set(scored[0]):
            continue
        row = {"of": with_pmi, "and": without}
        for metric in metrics:
            first, second = (
                sum(s[name].statistics["test", metric.name] for s in scored)
                for name in (with_pmi, without)
            )
            found = paired_difference(metric, first, second)
            row[metric.name] = (
                f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}] p={found.p:.3f}"
            )
        differences.append(row)
    lines.append(pd.DataFrame(differences).to_markdown(index=False))
    return "\n".join(lines) + "\n"


def curves(choices: list[WeightChoice]) -> str:
    """Return the λ that each seed's training chose on validation neurons, and why, as Markdown."""
    rows = [
        {
            "seed": seed, "chosen": choice.chosen, "neurons": choice.neurons,
            **{f"{w:g}": auc for w, auc in zip(choice.weights, choice.identification, strict=True)},
        }
        for seed, choice in enumerate(choices)
    ]  # fmt: skip
    heading = "\nIdentification (by words) of the validation neurons by λ, and the λ chosen:\n\n"
    return heading + pd.DataFrame(rows).to_markdown(index=False) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("milan-study"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--more", type=int, default=0, help="further seeds of training neurons")
    parser.add_argument("--vague", type=float, default=0.0, help="share of empty references")
    parser.add_argument(
        "--unmasked", action=argparse.BooleanOptionalAction, default=True,
        help="also train models that ignore masks",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu")
    run(parser.parse_args())

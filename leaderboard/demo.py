"""``milannotations demo``: describe, score and show the embedded neurons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from milannotations.device import DEVICE_HELP

app = typer.Typer(add_completion=False)

Kind = Literal["method", "control", "human"]
# Labelled scenes for the dissection baselines: those on which the test split was built.
_SCENES = "worlds:3:256"
# A small MILAN, trained in half a minute on the features that retrieval uses too.
_MILAN = {
    "encoder": "efficientnet_lite0", "hidden": 128, "epochs": 40, "learning_rate": 0.005,
    "batch_size": 32, "language_model_batch_size": 32, "stop_on": "loss", "resample": True,
    "validation": "demo", "validation_split": "validation",
}  # fmt: skip
_SEEDED = ("milan", "random-train", "shuffled-oracle")
# Describer: (options, title, kind, what it has seen of annotations).
_CONTESTANTS: dict[str, tuple[dict[str, Any], str, Kind, str]] = {
    "oracle": ({}, "Oracle: one reference held out", "control", "the held-out reference itself"),
    "retrieval": ({}, "Nearest neighbour, masked EfficientNet-Lite0", "method", "train"),
    "milan": (_MILAN, "MILAN, trained on the demo's neurons", "method", "train"),
    "compexp": ({"concepts": _SCENES}, "Compositional Explanations", "method", "none"),
    "netdissect": ({"concepts": _SCENES}, "Network Dissection", "method", "none"),
    "random-train": ({}, "Random training description", "control", "train"),
    "shuffled-oracle": ({}, "Oracle, dealt out to the wrong neurons", "control", "test, shuffled"),
    "constant-frequent": ({}, "Most frequent training description", "control", "train"),
    "constant": ({"text": "objects"}, 'Constant "objects"', "control", "none"),
}
_TRUTH = (
    "Synthetic neurons: references are ground truth from a grammar, not human. Concept "
    "combinations of this split do not occur in training."
)
_NOTES = {
    "test": _TRUTH,
    "network": "Units of EfficientNet-Lite0, dissected on rendered scenes and photographs. Nobody "
    "has annotated them, so descriptions are shown without scores.",
}


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for results and the page")] = Path("demo-out"),
    encoder: Annotated[
        str, typer.Option(help="encoder of identification and BERTScore")
    ] = "packaged/all-MiniLM-L6-v2",
    seed: Annotated[int, typer.Option(help="seed of controls and bootstrap")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Describe the embedded neurons with every baseline, score them and write a page."""
    from datasets import DatasetDict
    from rich.console import Console

    from benchmark.harness import describe, make_task, score
    from benchmark.metrics.bertscore import BertScore
    from benchmark.metrics.bleu import Bleu
    from benchmark.metrics.identification import Identification
    from benchmark.report import terminal_table
    from benchmark.result import Method
    from benchmark.sanity.report import terminal_table as sanity_table
    from benchmark.sanity.suite import check_metrics
    from leaderboard.render import render
    from milannotations.describer import accepts, create
    from milannotations.device import resolve_device
    from milannotations.loading import load
    from milannotations.progress import silence_libraries

    silence_libraries()
    console = Console()
    processor = resolve_device(device)
    metrics = [Identification(encoder, processor), Bleu(), BertScore(encoder, processor)]
    neurons = load("demo")
    assert isinstance(neurons, DatasetDict)
    tasks = [make_task(split, neurons[split]) for split in _NOTES]
    methods, entries = {}, {}
    for name, (options, title, kind, seen) in _CONTESTANTS.items():
        console.print(f"Describing: {title}", markup=False, highlight=False)
        seeded = {"seed": seed} if name in _SEEDED else {}
        if accepts(name, "device"):
            options = {**options, "device": device}
        describer = create(name, **options, **seeded)
        describer.fit(neurons["train"])
        methods[name] = Method(
            name=name,
            title=title,
            kind=kind,
            authors="milannotations",
            training_data=["demo/train"] if seen == "train" else [],
            annotations_seen=seen,
            licence="MIT",
            seed=seed if seeded else None,
        )
        for task in tasks:
            # A control made of references has nothing to say where there are none.
            if task.folds or not describer.sees_references:
                entries[name, task.name] = describe(describer, task)
    scored = score(
        methods, tasks, entries, metrics, seed=seed,
        notify=lambda line: console.print(f"Scoring: {line}", markup=False, highlight=False),
    )  # fmt: skip
    for one in scored.values():
        one.result.save(out / "results", one.per_neuron)
    report = check_metrics(
        tasks[0], metrics, seed=seed,
        notify=lambda line: console.print(f"Checking: {line}", markup=False, highlight=False),
    )  # fmt: skip
    report.save(out / "results")
    page = render(
        out / "results",
        {task.name: task.neurons for task in tasks},
        out / "index.html",
        split_notes=_NOTES,
    )
    results = [one.result for one in scored.values()]
    console.print(terminal_table(results, "test", "Synthetic neurons, test split"))
    console.print(sanity_table(report))
    console.print(f"Page: {page.resolve()}", markup=False, highlight=False, soft_wrap=True)

"""Scores descriptions by how well they predict activations, and writes the results."""

from __future__ import annotations

from benchmark.functional.config import FunctionalConfig
from benchmark.functional.metrics import FUNCTIONAL
from benchmark.functional.probing import probe_neurons
from benchmark.harness import Predictions, Task, fixed_predictions, make_task, score
from benchmark.result import Method
from benchmark.score_files import method_name, within_layers
from benchmark.score_tables import terminal_table
from milannotations.annotations import read_descriptions, to_dataset
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.record import NeuronKey
from milannotations.storage import check_outputs
from milannotations.terminal import Console


def score_functionally(config: FunctionalConfig) -> None:
    """Score descriptions, write the results, and print a table.

    Raises:
        InputError: If files describe different neurons, or the images, the network or the model
            that looks at images cannot be used.
    """
    check_outputs(config.out)
    device = resolve_device(config.device)
    files = {method_name(path): read_descriptions(path) for path in config.descriptions}
    first_name, first = next(iter(files.items()))
    for name, descriptions in files.items():
        if set(descriptions) != set(first):
            raise InputError(f"{name} describes other neurons than {first_name}")
    task = make_task("functional", to_dataset({neuron: [] for neuron in first}))
    methods, predictions = _methods(files, task, config.seed)
    described = load_split(config.neurons) if config.neurons is not None else None
    probe = probe_neurons(task.keys, config.probe, described, device)
    metrics = [metric(probe) for metric in FUNCTIONAL]
    scored = score(methods, [task], predictions, metrics, config.resamples, config.seed)
    if config.out is not None:
        for method in scored.values():
            method.save(config.out)
    results = [method.result for method in scored.values()]
    title = f"Predicting responses to {config.probe.images}"
    Console().print(terminal_table(results, task.name, title))
    if config.out is not None:
        Console().print(f"Results: {config.out}", highlight=False, markup=False)


def _methods(
    files: dict[str, dict[NeuronKey, str]], task: Task, seed: int
) -> tuple[dict[str, Method], dict[tuple[str, str], Predictions]]:
    """Return each file as a method, and as a control: its descriptions at the wrong neurons."""
    methods: dict[str, Method] = {}
    predictions: dict[tuple[str, str], Predictions] = {}
    for name, descriptions in files.items():
        texts = [descriptions[key] for key in task.keys]
        methods[name] = Method(name=name, title=name, kind="method")
        predictions[name, task.name] = fixed_predictions(task, texts)
        shuffled = f"{name[:55]}-shuffled"
        title = f"{name}, dealt out to the wrong neurons"
        methods[shuffled] = Method(name=shuffled, title=title, kind="control")
        texts = within_layers(task, texts, seed)
        predictions[shuffled, task.name] = fixed_predictions(task, texts)
    return methods, predictions

"""Runs the experiments of the paper's tables 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape

from benchmark.experiments.annotated_networks import find_networks, work_folder
from benchmark.experiments.cells import MethodConfig
from benchmark.experiments.config import (
    BaselinesTableConfig,
    ExperimentConfig,
    GeneralizationConfig,
)
from benchmark.experiments.published import RECIPES, remarks
from benchmark.experiments.result_tables import NAMING, pivot, summarize, write_tables
from benchmark.experiments.running import run_experiment
from benchmark.experiments.split_figure import draw
from benchmark.metrics.registry import USUAL, MetricSettings, check_names, make_metrics
from benchmark.references import RULES, check_protocol
from benchmark.splits.definitions import splits_of
from benchmark.text_encoders import DEFAULT_BERTSCORE_ENCODER, DEFAULT_SENTENCE_ENCODER
from milannotations.describer import check_options
from milannotations.device import resolve_device
from milannotations.options import read_options
from milannotations.storage import check_outputs
from milannotations.terminal import Console, FittedTable

_SMALL_MILAN: Mapping[str, Any] = {
    "encoder": "efficientnet_lite0",
    "hidden": 128,
    "epochs": 40,
    "learning_rate": 0.005,
    "batch_size": 32,
    "language_model_batch_size": 32,
    "stop_on": "loss",
    "resample": True,
}
_FAMILIES = (
    "within-network",
    "across-network",
    "across-architecture",
    "across-dataset",
    "across-task",
)


def generalization(config: GeneralizationConfig) -> None:
    """Train on some networks, describe others: the paper's table 3."""
    training = _SMALL_MILAN if config.data != "release" else RECIPES["milan"][1]
    usual = [
        MethodConfig("milan", "milan", dict(training)),
        MethodConfig("retrieval", "retrieval", {}),
    ]
    _run(config, config.family or _FAMILIES, usual, "Generalization")


def baselines(config: BaselinesTableConfig) -> None:
    """Train on all networks but one, describe it, beside the baselines: the paper's table 2."""
    training = _SMALL_MILAN if config.data != "release" else {}
    usual = [
        MethodConfig("milan", "milan", {**training, **RECIPES["milan"][1]}),
        # As published: greedy, so its search differs from MILAN's as well.
        MethodConfig("milan-no-pmi", "milan", {**training, **RECIPES["milan-no-pmi"][1]}),
        # The search of MILAN without the weight of p(d).
        MethodConfig("milan-beam", "milan", {**training, "variant": "beam"}),
        MethodConfig("retrieval", "retrieval", {}),
    ]
    if config.concepts is not None:
        options = {"concepts": config.concepts}
        usual += [MethodConfig(name, name, options) for name in ("netdissect", "compexp")]
    _run(config, ["leave-one-out"], usual, "Baselines")


def _run(
    config: ExperimentConfig, families: Sequence[str], usual: Sequence[MethodConfig], title: str
) -> None:
    check_outputs(config.out)
    console = Console()
    protocol = check_protocol(config.protocol)
    names = check_names(config.metrics or USUAL, protocol)
    networks = find_networks(config.data)
    for family in families:
        splits_of(family, ())  # raises for a wrong name before anything is built
    methods = [parse_method(text) for text in config.methods] or usual
    for method in methods:
        check_options(method.describer, method.options)  # likewise for wrong options
    settings = MetricSettings(
        config.encoder or DEFAULT_BERTSCORE_ENCODER,
        config.encoder or DEFAULT_SENTENCE_ENCODER,
        resolve_device(config.device),
    )
    metrics = make_metrics(names, settings)
    cells = run_experiment(
        networks,
        families,
        methods,
        metrics,
        work_folder(config.out),
        config.trials,
        config.device,
        config.resamples,
        say=lambda line: console.print(escape(line), highlight=False),
        protocol=protocol,
    )
    summary = summarize(cells, {metric.name: metric.bounds for metric in metrics})
    several = config.trials > 1
    note = (
        f"{networks.note} {config.trials} {'trials' if several else 'trial'}; "
        + ("± standard deviation over trials. " if several else "intervals over neurons. ")
        + f"References: {RULES[protocol]}."
    )
    remark_lines = remarks(cells)
    write_tables(summary, config.out, "\n\n".join([note, *remark_lines]))
    for metric in metrics:
        path = config.out / f"{metric.name}.png"
        draw(summary, metric.name, metric.info.title, note, path)
    table = pivot(summary, metrics[0].name)
    naming = [name for name in table.columns if name in NAMING]
    console.print(
        FittedTable(
            f"{title}: {metrics[0].info.title}",
            list(table.columns),
            table.to_numpy().tolist(),
            words=range(len(naming)),
            keys=len(naming),
        )
    )
    for line in remark_lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Tables and figures: {config.out}", markup=False, highlight=False)


def parse_method(text: str) -> MethodConfig:
    """Read ``NAME=describer:option=value,…``.

    >>> parse_method("mine=milan:epochs=3").options
    {'epochs': 3}
    """
    head, _, options = text.partition(":")
    name, _, describer = head.rpartition("=")
    return MethodConfig(
        name or describer, describer, read_options(options.split(",") if options else [])
    )

"""The paper's tables of ``milannotations experiment``, on the release or at small scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from benchmark.references import HELD_OUT, PROTOCOL_HELP, RULES, check_protocol
from benchmark.text_encoders import (
    DEFAULT_BERTSCORE_ENCODER,
    DEFAULT_SENTENCE_ENCODER,
    ENCODER_HELP,
)
from milannotations.describer import check_options
from milannotations.device import DEVICE_HELP, resolve_device
from milannotations.options import read_options
from milannotations.progress import silence_libraries
from milannotations.storage import check_outputs
from milannotations.terminal import Console, FittedTable

if TYPE_CHECKING:
    from benchmark.experiments.cells import MethodConfig

_SMALL_MILAN = {
    "encoder": "efficientnet_lite0", "hidden": 128, "epochs": 40, "learning_rate": 0.005,
    "batch_size": 32, "language_model_batch_size": 32, "stop_on": "loss", "resample": True,
}  # fmt: skip
_FAMILIES = (
    "within-network", "across-network", "across-architecture", "across-dataset", "across-task",
)  # fmt: skip

Out = Annotated[Path, typer.Option(help="folder for tables, figures and finished cells")]
Data = Annotated[
    str, typer.Option(help="release, or worlds[:UNITS:SCENES]: small synthetic networks")
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", help="describer, or NAME=describer, with options: milan:epochs=20,pmi=0.5"
    ),
]
Trials = Annotated[int, typer.Option(min=1, help="repetitions with another seed")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="metric; repeatable")]
EncoderOption = Annotated[
    str | None, typer.Option(help=f"one encoder for all metrics: {ENCODER_HELP}")
]
ProtocolOption = Annotated[str, typer.Option("--protocol", help=PROTOCOL_HELP)]
Resamples = Annotated[int, typer.Option(min=1000, help="bootstrap resamples")]
Device = Annotated[str, typer.Option(help=DEVICE_HELP)]


def generalization(
    out: Out = Path("generalization"),
    data: Data = "release",
    family: Annotated[
        list[str] | None, typer.Option(help="family of splits; default those of the paper")
    ] = None,
    method: Methods = None,
    trials: Trials = 1,
    metric: Metrics = None,
    encoder: EncoderOption = None,
    protocol: ProtocolOption = HELD_OUT,
    resamples: Resamples = 1000,
    device: Device = "auto",
) -> None:
    """Train on some networks, describe others: the paper's table 3."""
    from benchmark.experiments.published import RECIPES

    small = data != "release"
    usual: list[tuple[str, str, dict[str, Any]]] = [
        ("milan", "milan", _SMALL_MILAN if small else dict(RECIPES["milan"][1])),
        ("retrieval", "retrieval", {}),
    ]
    _run(
        out, data, family or list(_FAMILIES), method, usual, trials, metric, encoder, protocol,
        resamples, device, "Generalization",
    )  # fmt: skip


def baselines(
    out: Out = Path("baselines-table"),
    data: Data = "release",
    concepts: Annotated[
        str | None,
        typer.Option(
            help="labelled images for the two dissection baselines, as --concepts of "
            "`milannotations dissect`; without, they are left out"
        ),
    ] = None,
    method: Methods = None,
    trials: Trials = 1,
    metric: Metrics = None,
    encoder: EncoderOption = None,
    protocol: ProtocolOption = HELD_OUT,
    resamples: Resamples = 1000,
    device: Device = "auto",
) -> None:
    """Train on all networks but one, describe it, beside the baselines: the paper's table 2."""
    from benchmark.experiments.published import RECIPES

    training = _SMALL_MILAN if data != "release" else {}
    usual: list[tuple[str, str, dict[str, Any]]] = [
        ("milan", "milan", {**training, **RECIPES["milan"][1]}),
        # As published: greedy, so that the search differs from MILAN's too.
        ("milan-no-pmi", "milan", {**training, **RECIPES["milan-no-pmi"][1]}),
        # MILAN's own search without the weight of p(d).
        ("milan-beam", "milan", {**training, "variant": "beam"}),
        ("retrieval", "retrieval", {}),
    ]
    if concepts is not None:
        usual += [(name, name, {"concepts": concepts}) for name in ("netdissect", "compexp")]
    _run(
        out, data, ["leave-one-out"], method, usual, trials, metric, encoder, protocol, resamples,
        device, "Baselines",
    )  # fmt: skip


def _run(
    out: Path,
    data: str,
    families: list[str],
    methods: list[str] | None,
    usual: list[tuple[str, str, dict[str, Any]]],
    trials: int,
    metrics: list[str] | None,
    encoder: str | None,
    protocol: str,
    resamples: int,
    device: str,
    title: str,
) -> None:
    from benchmark.experiments.annotated_networks import universe, work_folder
    from benchmark.experiments.cells import MethodConfig
    from benchmark.experiments.published import remarks
    from benchmark.experiments.result_tables import NAMING, pivot, summarize, write_tables
    from benchmark.experiments.running import run_experiment
    from benchmark.experiments.split_figure import draw
    from benchmark.metrics.registry import USUAL, MetricSettings, check_names, make_metrics
    from benchmark.splits.definitions import splits_of

    silence_libraries()
    check_outputs(out)
    console = Console()
    rule = check_protocol(protocol)
    wanted = check_names(metrics or USUAL, rule)
    place = universe(data)
    for family in families:
        splits_of(family, ())  # a wrong name is said before anything is built
    configs = (
        [_parsed(text) for text in methods] if methods else [MethodConfig(*one) for one in usual]
    )
    for config in configs:
        check_options(config.describer, config.options)  # and so are wrong options
    settings = MetricSettings(
        encoder or DEFAULT_BERTSCORE_ENCODER, encoder or DEFAULT_SENTENCE_ENCODER,
        resolve_device(device),
    )  # fmt: skip
    made = make_metrics(wanted, settings)
    cells = run_experiment(
        place, families, configs, made, work_folder(out), trials, device, resamples,
        say=lambda line: console.print(escape(line), highlight=False), protocol=rule,
    )  # fmt: skip
    summary = summarize(cells, {metric.name: metric.bounds for metric in made})
    note = (
        f"{place.note} {trials} {'trial' if trials == 1 else 'trials'}; "
        + ("± standard deviation over trials. " if trials > 1 else "intervals over neurons. ")
        + f"References: {RULES[rule]}."
    )
    remark_lines = remarks(cells)
    write_tables(summary, out, "\n\n".join([note, *remark_lines]))
    for metric in made:
        draw(summary, metric.name, metric.info.title, note, out / f"{metric.name}.png")
    table = pivot(summary, made[0].name)
    named = [name for name in table.columns if name in NAMING]
    console.print(
        FittedTable(
            f"{title}: {made[0].info.title}", list(table.columns), table.to_numpy().tolist(),
            words=range(len(named)), keys=len(named),
        )
    )  # fmt: skip
    for line in remark_lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Tables and figures: {out}", markup=False, highlight=False)


def _parsed(text: str) -> MethodConfig:
    """Read ``NAME=describer:option=value,…``.

    >>> _parsed("mine=milan:epochs=3").options
    {'epochs': 3}
    """
    from benchmark.experiments.cells import MethodConfig

    head, _, options = text.partition(":")
    name, _, describer = head.rpartition("=")
    return MethodConfig(
        name or describer, describer, read_options(options.split(",") if options else [])
    )

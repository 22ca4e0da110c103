"""``experiment analyze``: describes a network, measures which properties matter, and reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from applications.analysis.analysis_report import Analysis, write_analysis
from applications.analysis.class_accuracy import classes_in
from applications.analysis.forms_and_topics import forms_and_topics, layer_table
from applications.analysis.property_importance import AblationCurve, directions_of, importance
from applications.config import AnalyzeConfig
from applications.labelled import AblationEvaluator, ClassImages
from applications.network_descriptions import load_network
from applications.preparing import (
    ablation_values,
    describe,
    describer_of,
    description_facts,
    keeps_work,
    labelled_sets,
    prepare_out,
)
from benchmark.language import load_parser, properties, property_table
from benchmark.metrics.sentence import sentence_encoder
from milannotations.catalog.models import LoadedModel
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint
from milannotations.inputs.sources import ImageFolder
from milannotations.storage import check_outputs


@keeps_work
def analyze(config: AnalyzeConfig) -> Analysis:
    """Describe a network, ablate units by properties of their descriptions, and report.

    Raises:
        InputError: If options contradict each other, or the network, the images or the
            descriptions cannot be used.
    """
    check_outputs(config.out)
    device = resolve_device(config.device)
    description, directions = config.description, directions_of(config.first)
    if config.ablation == "mean" and description.images is None:
        raise InputError("--ablation mean needs --images: never those that accuracy is over")
    describer = describer_of(description.describer, description.options.k)
    description.check()
    example = description.images or config.labelled
    if example is None:
        raise InputError("give --labelled: with descriptions alone no network can be run")
    parser, encoder = load_parser(config.parser), sentence_encoder(config.encoder, str(device))
    network = config.network
    loaded, points = load_network(network.model, network.weights, example, network.layers, device)
    labelled = _labelled(config, loaded, device)
    work = prepare_out(config.out, config.overwrite)
    described = describe(description, describer, loaded, points, work, device)
    names = labelled.classes if labelled else None
    table = property_table(described.texts, names, parser, encoder)
    parsed = properties(described.texts, parser)
    curves: list[AblationCurve] = []
    if labelled:
        evaluator = _evaluator(config, loaded, points, labelled, work, device)
        curves = importance(
            evaluator, labelled, described.units, table, config.schedule, directions=directions
        )
    analysis = Analysis(
        described,
        layer_table([layer for layer, _ in described.units], described.texts, parsed),
        table,
        [forms_and_topics(parse).form for parse in parsed],
        curves,
        len(labelled) if labelled else 0,
        classes_in(labelled) if labelled else None,
    )
    facts = {
        "network": f"{loaded.name} trained on {loaded.dataset}",
        "layers": ", ".join(points),
        **description_facts(description, describer),
        "parser": parser.signature,
        "encoder": encoder.signature,
        "ablated units": f"set to {config.ablation}",
        "random orders": f"{config.schedule.trials}, seed {config.schedule.seed}",
        "ablated first": ", ".join(directions),
    }
    write_analysis(analysis, config.out, facts)
    return analysis


def _labelled(
    config: AnalyzeConfig, loaded: LoadedModel, device: torch.device
) -> ClassImages | None:
    if config.labelled is None:
        return None
    return labelled_sets({"labelled": config.labelled}, loaded, config.classes, device)["labelled"]


def _evaluator(
    config: AnalyzeConfig,
    loaded: LoadedModel,
    points: Mapping[str, HookPoint],
    labelled: ClassImages,
    work: Path,
    device: torch.device,
) -> AblationEvaluator:
    images, batch_size = config.description.images, config.description.batch_size
    probe = ImageFolder(images, loaded.preprocessing) if images else None
    return AblationEvaluator(
        loaded.module,
        points,
        labelled,
        means=ablation_values(config.ablation, loaded, points, probe, device, batch_size),
        work=work / "measured",
        device=device,
        batch_size=batch_size,
    )

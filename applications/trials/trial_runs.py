"""One trial of each application; finished ones are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from applications.ablation_schedule import AblationSchedule
from applications.analysis.analysis_report import Analysis, write_analysis
from applications.analysis.class_accuracy import classes_in
from applications.analysis.forms_and_topics import forms_and_topics, layer_table
from applications.analysis.property_importance import RANDOM as RANDOM_ORDER
from applications.analysis.property_importance import importance
from applications.audit.audit_report import write_report
from applications.audit.network_audit import NetworkAudit, audit_descriptions, write_tables
from applications.audit.untrained import untrained_networks
from applications.config import AuditStatistics, EditConfig, EditFoldersConfig, TrialsConfig
from applications.editing.edit_folders import EditFolders
from applications.editing.edit_report import Edit, write_edit
from applications.editing.network_edit import edit_network
from applications.editing.selection import DESCRIPTIONS, RANDOM, SELECTED, proportion
from applications.labelled import AblationEvaluator, ClassImages
from applications.spurious_data.color_cue import COLORS
from applications.trials.trial_networks import (
    AUDITING,
    EDITING,
    Trial,
    cue_images,
    face_images,
    is_missing,
    lesson_describer,
    probe_of,
    record_settings,
)
from applications.trials.trial_summary import shown, write_summary
from applications.word_search import WordSearch
from benchmark.language import load_parser, properties, property_table
from benchmark.metrics.sentence import sentence_encoder
from milannotations.device import resolve_device
from milannotations.json_files import read_json
from milannotations.storage import atomic_path
from milannotations.terminal import Console

CONTROLS = 3  # networks with random weights per audit
TEXT = ("text", "words", "letters")
FACES = ("faces", "heads")
_ENCODER = ("packaged/all-MiniLM-L6-v2", "cpu")


def run_and_summarize(config: TrialsConfig) -> list[str]:
    """Run all trials of an application, write their summary, and return it as lines of text."""
    results = run_trials(config)
    seeds = config.numbers
    note = f"{len(seeds)} trials, seeds {seeds[0]} to {seeds[-1]}; described by {config.method}."
    if config.application == "edit":
        note += f" Spurious cue: {config.cue}."
    table = write_summary(config.application, results, config.out, note, config.file_name)
    return [
        f"{row.what}: {shown(row.mean, row.low, row.high, row.unit)}" for row in table.itertuples()
    ]


def run_trials(config: TrialsConfig) -> dict[int, dict[str, Any]]:
    """Run one trial per seed, and return the results by seed; finished ones are read."""
    device = resolve_device(config.device)
    console = Console(markup=False, highlight=False)
    scale = AUDITING if config.application == "audit" else EDITING
    settings = {"method": config.method, "scale": asdict(scale)}
    describer = None
    results = {}
    for seed in config.numbers:
        folder = config.out / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        result_file = folder / f"{config.file_name}.json"
        if is_missing(result_file, **settings):
            describer = describer or lesson_describer(config.method, scale.k, str(device))
            trial = Trial(seed, folder, describer, device)
            run = TRIALS[config.application]
            if config.application == "edit":
                run = partial(edit_trial, cue=config.cue)
            with atomic_path(result_file) as path:
                path.write_text(json.dumps(run(trial), indent=1), encoding="utf-8")
            record_settings(result_file, **settings)
        results[seed] = read_json(
            result_file, dict, constants=True, remedy="delete it, and it is run again"
        )
        console.print(f"{config.application}, seed {seed}: finished")
    return results


def edit_trial(trial: Trial, cue: str = "text") -> dict[str, Any]:
    """Train on images with a spurious cue, ablate its units, and compare with training without.

    Args:
        trial: The seed, and what the trial runs with.
        cue: ``text``: class names; ``color``: a frame in the colour of the class.

    Returns:
        Accuracies on test images, plain and adversarial, of each way of choosing units.
    """
    data, probe = cue_images(trial.folder, EDITING, trial.seed, cue), probe_of(trial.folder, cue)
    weights = trial.train(data / "train", cue, EDITING)
    clean = trial.train(trial.folder / "plain" / "train", "plain", EDITING)
    network = trial.describe(weights, probe, EDITING)
    search = WordSearch.of(TEXT if cue == "text" else tuple(COLORS)[: EDITING.classes])
    folders = EditFolders.of(EditFoldersConfig(data=data))
    validation = {
        name: ClassImages(folder, network.loaded.preprocessing)
        for name, folder in folders.validation.items()
    }
    edits = {}
    for name, sets in (("edit", validation), ("edit-plain", {"plain": validation["plain"]})):
        out = trial.folder / (name if cue == "text" else f"{name}-{cue}")
        out.mkdir(exist_ok=True)
        config = EditConfig(finetune=10 if name == "edit" else 0, seed=trial.seed)
        # Both share the folder of measurements, so that the second takes up those of the first.
        edits[name] = edit_network(network, search, sets, folders, out, config, work=trial.work)
        write_edit(edits[name], out, trial.facts)
    edit = edits["edit"]
    without = trial.describe(clean, probe, EDITING)
    result: dict[str, Any] = {
        "units": len(network.units),
        "cue": cue,
        "matching": len(edit.matches),
        "ablated": edit.choice.count,
        "ablated without adversarial": edits["edit-plain"].choice.count,
        "tests": {},
        f"matching_without_{cue}": len(search.matches(without.units, without.texts)),
    }
    for test, folder in folders.tests.items():
        images = ClassImages(folder, network.loaded.preprocessing)
        evaluator = AblationEvaluator(
            without.loaded.module, without.points, images, device=trial.device
        )
        clean_accuracy = proportion(evaluator.measure(images, [{}]).correct[0]).value
        result["tests"][test] = {
            "before": edit.outcome(test).before.value,
            "after": _accuracy_after(edit, test)
            | {
                f"{method}, chosen without adversarial images": accuracy
                for method, accuracy in _accuracy_after(edits["edit-plain"], test).items()
                if method in (DESCRIPTIONS, RANDOM, SELECTED)
            },
            f"trained without {cue}": clean_accuracy,
            **{
                f"{name}, last layer trained again": accuracies[test].value
                for name, accuracies in edit.finetuned.items()
            },
        }
    return result


def _accuracy_after(edit: Edit, test: str) -> dict[str, float]:
    """Return for each way of choosing units the mean accuracy after the edit, 0 to 1."""
    outcomes = [outcome for outcome in edit.outcomes if outcome.test == test]
    return {
        method: float(np.mean([o.after.value for o in outcomes if o.method == method]))
        for method in dict.fromkeys(outcome.method for outcome in outcomes)
    }


def analyze_trial(trial: Trial) -> dict[str, Any]:
    """Train on images without text, and ablate by properties of descriptions.

    Returns:
        For each property and order, how accuracy differs from that of random orders.
    """
    cue_images(trial.folder, EDITING, trial.seed, "text")
    weights = trial.train(trial.folder / "plain" / "train", "plain", EDITING)
    network = trial.describe(weights, trial.folder / "probe", EDITING)
    images = ClassImages(trial.folder / "plain" / "test", network.loaded.preprocessing)
    parser, encoder = load_parser(), sentence_encoder(*_ENCODER)
    table = property_table(network.texts, images.classes, parser, encoder)
    evaluator = AblationEvaluator(
        network.loaded.module,
        network.points,
        images,
        work=trial.work / "measured",
        device=trial.device,
    )
    schedule = AblationSchedule(steps=5, ties=2, seed=trial.seed)
    curves = importance(evaluator, images, network.units, table, schedule, directions=("highest",))
    parsed = properties(network.texts, parser)
    analysis = Analysis(
        network,
        layer_table([layer for layer, _ in network.units], network.texts, parsed),
        table,
        [forms_and_topics(description).form for description in parsed],
        curves,
        len(images),
        classes_in(images),
    )
    out = trial.folder / "analysis"
    out.mkdir(exist_ok=True)
    write_analysis(analysis, out, trial.facts)
    return {
        "accuracy": curves[0].accuracy[0],
        "differences": {
            f"{c.name} | {c.order}": c.difference for c in curves if c.name != RANDOM_ORDER
        },
    }


def audit_trial(trial: Trial) -> dict[str, Any]:
    """Train with faces as they are and with faces blurred; count units described as faces.

    Exemplars of both networks are chosen from the same images, with faces as they are.

    Returns:
        Counts and accuracies of both.
    """
    networks, accuracies, controls = {}, {}, {}
    folders = [
        face_images(trial.folder, AUDITING, trial.seed, blurred) for blurred in (False, True)
    ]
    probe = folders[0] / "validation"
    for folder in folders:
        weights = trial.train(folder / "train", folder.name, AUDITING)
        network = trial.describe(weights, probe, AUDITING)
        name = f"{folder.name}/{trial.seed}"
        networks[name] = network
        describe = partial(trial.describe_loaded, probe=probe, scale=AUDITING)
        controls[name], _ = untrained_networks(network, None, CONTROLS, describe)
        for other in folders:
            images = ClassImages(other / "test", network.loaded.preprocessing)
            evaluator = AblationEvaluator(
                network.loaded.module, network.points, images, device=trial.device
            )
            accuracy = evaluator.measure(images, [{}]).accuracy[0]
            accuracies[f"{folder.name}, tested {other.name}"] = float(accuracy)
    audit = audit_descriptions(
        networks,
        WordSearch.of(FACES),
        trial.describer,
        trial.work,
        AuditStatistics(seed=trial.seed),
        controls=controls,
    )
    out = trial.folder / "audit"
    out.mkdir(exist_ok=True)
    write_tables(audit, out)
    write_report(audit, out, trial.facts)

    def by_condition(value: Callable[[NetworkAudit], Any]) -> dict[str, Any]:
        values = {network.count.condition: value(network) for network in audit.networks}
        return {condition: value for condition, value in values.items() if value is not None}

    units = next(iter(networks.values())).units
    return {
        "units": len(units),
        "matching": by_condition(lambda network: len(network.matches)),
        "flags": by_condition(lambda network: list(map(int, network.count.flags))),
        "layers": [layer for layer, _ in units],
        "decoys": by_condition(
            lambda network: network.decoys and [network.decoys.matched_nulls, network.decoys.nulls]
        ),
        "random_weights": by_condition(lambda network: network.untrained_share()),
        "false_discovery": by_condition(
            lambda network: network.false_matches and network.false_matches.rate
        ),
        "confident": by_condition(
            lambda network: network.false_matches and network.false_matches.confident()
        ),
        "accuracies": accuracies,
    }


TRIALS: dict[str, Callable[[Trial], dict[str, Any]]] = {
    "edit": edit_trial,
    "analyze": analyze_trial,
    "audit": audit_trial,
}

"""One trial of each application, kept when it is finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from applications.ablation_schedule import AblationSchedule
from applications.analysis.analysis_report import Analysis, write_analysis
from applications.analysis.class_accuracy import classes_in
from applications.analysis.forms_and_topics import forms_and_topics, layer_table
from applications.analysis.importance import RANDOM as RANDOM_ORDER
from applications.analysis.importance import importance
from applications.audit.audit_report import write_report
from applications.audit.pipeline import audit, write_tables
from applications.audit.untrained import untrained_networks
from applications.config import AuditStatistics, EditConfig, EditFoldersConfig
from applications.editing.edit_folders import EditFolders
from applications.editing.edit_report import write_edit
from applications.editing.pipeline import run_edit
from applications.editing.selection import DESCRIPTIONS, RANDOM, SELECTED, proportion
from applications.labelled import AblationEvaluator, ClassImages
from applications.network_descriptions import DescribedNetwork, LazyDescriber, describe_network
from applications.spurious_data.color_cue import COLORS
from applications.trials.trial_networks import (
    AUDITING,
    EDITING,
    cue_images,
    described,
    face_images,
    made,
    once,
    probe_of,
    speaker,
    trained,
)
from applications.word_search import WordSearch
from benchmark.language import load_parser, properties, property_table
from benchmark.metrics.sentence import sentence_encoder
from milannotations.exemplars.options import BuildOptions
from milannotations.json_files import read_json
from milannotations.storage import atomic_path

CONTROLS = 3  # networks with random weights of an audit
TEXT = ("text", "words", "letters")
FACES = ("faces", "heads")
Trial = Callable[..., dict[str, Any]]  # of seed, folder, describer and device


def edit_trial(
    seed: int, place: Path, who: LazyDescriber, device: torch.device, cue: str = "text"
) -> dict[str, Any]:
    """Train on images with a spurious cue, take its units out, and compare with training without.

    Args:
        seed: Of images, training and draws.
        place: A folder of this seed.
        who: Describes.
        device: Where networks run.
        cue: ``text``, or ``color``: a frame in the colour of the class.

    Returns:
        Accuracies on test images, plain and adversarial, of each way of choosing.
    """
    data, probe = cue_images(place, EDITING, seed, cue), probe_of(place, cue)
    weights = trained(data / "train", place / f"{cue}.safetensors", EDITING, seed, str(device))
    clean = trained(
        place / "plain" / "train", place / "plain.safetensors", EDITING, seed, str(device)
    )
    network = described(weights, probe, place / "work", who, EDITING, device)
    search = WordSearch.of(TEXT if cue == "text" else tuple(COLORS)[: EDITING.classes])
    folders = EditFolders.of(EditFoldersConfig(data=data))
    validation = {
        name: ClassImages(folder, network.loaded.preprocessing)
        for name, folder in folders.validation.items()
    }
    result: dict[str, Any] = {"units": len(network.units), "cue": cue}
    edits = {}
    for name, sets in (("edit", validation), ("edit-plain", {"plain": validation["plain"]})):
        out = place / (name if cue == "text" else f"{name}-{cue}")
        out.mkdir(exist_ok=True)
        settings = EditConfig(finetune=10 if name == "edit" else 0, seed=seed)
        # What was measured for the first serves the second.
        found = run_edit(network, search, sets, folders, out, settings, work=place / "work")
        write_edit(found, out, {"seed": str(seed), "describer": who.title})
        edits[name] = found
    found = edits["edit"]
    result |= {
        "matching": len(found.matches),
        "ablated": found.choice.count,
        "ablated without adversarial": edits["edit-plain"].choice.count,
        "tests": {},
    }
    without = described(clean, probe, place / "work", who, EDITING, device)
    result[f"matching_without_{cue}"] = len(search.matches(without.units, without.texts))
    for test, folder in folders.tests.items():
        images = ClassImages(folder, network.loaded.preprocessing)
        bench = AblationEvaluator(without.loaded.module, without.sites, images, device=device)
        after: dict[str, float] = {}
        for name, one in edits.items():
            marks = "" if name == "edit" else ", chosen without adversarial images"
            for method in dict.fromkeys(o.method for o in one.outcomes):
                values = [
                    o.after.value for o in one.outcomes if (o.test, o.method) == (test, method)
                ]
                if not marks or method in (DESCRIPTIONS, RANDOM, SELECTED):
                    after[method + marks] = float(np.mean(values))
        result["tests"][test] = {
            "before": found.outcome(test).before.value,
            "after": after,
            f"trained without {cue}": proportion(bench.measure(images, [{}]).correct[0]).value,
            **{f"{k}, last layer trained again": v[test].value for k, v in found.finetuned.items()},
        }
    return result


def analyze_trial(
    seed: int, place: Path, who: LazyDescriber, device: torch.device
) -> dict[str, Any]:
    """Train on images without text, and ablate by properties of descriptions.

    Returns:
        Of each property and order, how accuracy differs from that of random orders.
    """
    cue_images(place, EDITING, seed, "text")
    weights = trained(
        place / "plain" / "train", place / "plain.safetensors", EDITING, seed, str(device)
    )
    network: DescribedNetwork = described(
        weights, place / "probe", place / "work", who, EDITING, device
    )
    images = ClassImages(place / "plain" / "test", network.loaded.preprocessing)
    reader, sentences = load_parser(), sentence_encoder(*_ENCODER)
    table = property_table(network.texts, images.classes, reader, sentences)
    bench = AblationEvaluator(
        network.loaded.module,
        network.sites,
        images,
        work=place / "work" / "measured",
        device=device,
    )
    curves = importance(
        bench,
        images,
        network.units,
        table,
        AblationSchedule(steps=5, ties=2, seed=seed),
        directions=("highest",),
    )
    parsed = properties(network.texts, reader)
    analysis = Analysis(
        network,
        layer_table([layer for layer, _ in network.units], network.texts, parsed),
        table,
        [forms_and_topics(parse).form for parse in parsed],
        curves,
        len(images),
        classes_in(images),
    )
    out = place / "analysis"
    out.mkdir(exist_ok=True)
    write_analysis(analysis, out, {"seed": str(seed), "describer": who.title})
    return {
        "accuracy": curves[0].accuracy[0],
        "differences": {
            f"{c.name} | {c.order}": c.difference for c in curves if c.name != RANDOM_ORDER
        },
    }


def audit_trial(seed: int, place: Path, who: LazyDescriber, device: torch.device) -> dict[str, Any]:
    """Train with faces as they are and with faces blurred; count units described as faces.

    Exemplars of both networks are chosen from the same images, with faces as they are.

    Returns:
        Counts and accuracies of both.
    """
    networks, accuracies, untrained = {}, {}, {}
    folders = {b: face_images(place, AUDITING, seed, b) for b in (False, True)}
    probe = folders[False] / "validation"
    for folder in folders.values():
        name = folder.name
        weights = trained(
            folder / "train", place / f"{name}.safetensors", AUDITING, seed, str(device)
        )
        network = described(weights, probe, place / "work", who, AUDITING, device)
        networks[f"{name}/{seed}"] = network
        untrained[f"{name}/{seed}"], _ = untrained_networks(
            network,
            None,
            CONTROLS,
            lambda control, sites: describe_network(
                control,
                sites,
                probe,
                place / "work",
                who,
                options=BuildOptions(k=AUDITING.k),
                device=device,
            ),
        )
        for other in folders.values():
            images = ClassImages(other / "test", network.loaded.preprocessing)
            bench = AblationEvaluator(network.loaded.module, network.sites, images, device=device)
            accuracies[f"{name}, tested {other.name}"] = float(
                bench.measure(images, [{}]).accuracy[0]
            )
    findings = audit(
        networks,
        WordSearch.of(FACES),
        who,
        place / "work",
        AuditStatistics(seed=seed),
        controls=untrained,
    )
    out = place / "audit"
    out.mkdir(exist_ok=True)
    write_tables(findings, out)
    write_report(findings, out, {"seed": str(seed), "describer": who.title})
    return {
        "units": len(next(iter(networks.values())).units),
        "matching": {
            audited.count.condition: len(audited.matches) for audited in findings.networks
        },
        "flags": {
            audited.count.condition: list(map(int, audited.count.flags))
            for audited in findings.networks
        },
        "layers": [layer for layer, _ in next(iter(networks.values())).units],
        "decoys": {
            audited.count.condition: [audited.decoys.matched_nulls, audited.decoys.nulls]
            for audited in findings.networks
            if audited.decoys
        },
        "random_weights": {
            audited.count.condition: audited.untrained_share()
            for audited in findings.networks
            if audited.untrained
        },
        "false_discovery": {
            audited.count.condition: audited.false_matches.rate
            for audited in findings.networks
            if audited.false_matches
        },
        "confident": {
            audited.count.condition: audited.false_matches.confident()
            for audited in findings.networks
            if audited.false_matches
        },
        "accuracies": accuracies,
    }


TRIALS: dict[str, Trial] = {"edit": edit_trial, "analyze": analyze_trial, "audit": audit_trial}
_ENCODER = ("packaged/all-MiniLM-L6-v2", "cpu")


def file_name(what: str, cue: str) -> str:
    """Return the name of a trial's files, without their ending."""
    return what if cue == "text" else f"{what}-{cue}"


def run_trials(
    what: str,
    seeds: list[int],
    out: Path,
    method: str,
    device: torch.device,
    say: Callable[[str], None],
    cue: str = "text",
) -> dict[int, dict[str, Any]]:
    """Run one trial for each seed; finished ones are taken from ``out``.

    Args:
        what: One of ``TRIALS``.
        seeds: Of images, training and draws.
        out: A folder: gets a folder for each seed.
        method: Describer that learns from the lessons, when one is needed.
        device: Where networks run.
        say: Is told what is finished.
        cue: Of edits; see ``edit_trial``.
    """
    ready: LazyDescriber | None = None
    scale = AUDITING if what == "audit" else EDITING
    results = {}
    for seed in seeds:
        place = out / f"seed-{seed}"
        place.mkdir(parents=True, exist_ok=True)
        result_file = place / f"{file_name(what, cue)}.json"
        if once(result_file, method=method, scale=asdict(scale)):
            ready = ready or speaker(method, scale.k, str(device))
            more = {"cue": cue} if what == "edit" else {}
            result = TRIALS[what](seed, place, ready, device, **more)
            with atomic_path(result_file) as path:
                path.write_text(json.dumps(result, indent=1), encoding="utf-8")
            made(result_file, method=method, scale=asdict(scale))
        results[seed] = read_json(
            result_file, dict, constants=True, remedy="delete it, and it is run again"
        )
        say(f"{what}, seed {seed}: finished")
    return results

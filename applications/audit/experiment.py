"""``experiment audit``: searches the descriptions of networks for words, and compares networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from applications.audit.audit_report import write_report
from applications.audit.conditions import comparable
from applications.audit.network_audit import Audit, audit_descriptions, write_tables
from applications.audit.untrained import untrained_networks
from applications.config import AuditConfig
from applications.network_descriptions import DescribedNetwork, load_network
from applications.preparing import (
    check_search,
    describe,
    describer_of,
    description_facts,
    keeps_work,
    prepare_out,
    search_of,
)
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.exemplars.config import DEFAULT_WEIGHTS
from milannotations.storage import check_outputs


@keeps_work
def audit_networks(config: AuditConfig) -> Audit:
    """Report which units of networks are described with some words, and how networks differ.

    Raises:
        InputError: If options contradict each other, or a network, the images or the descriptions
            cannot be used.
    """
    check_outputs(config.out)
    device = resolve_device(config.device)
    models, description = parse_models(config.models), config.description
    images = description.images
    if images is None:
        raise InputError("give --images, a folder that exemplars are chosen from")
    files: Sequence[Path | None] = config.descriptions or [None] * len(models)
    if len(files) != len(models):
        raise InputError(f"{len(files)} files of descriptions for {len(models)} models")
    # These are checked before anything is built.
    check_search(config.search, config.words)
    describer = describer_of(description.describer, description.options.k)
    networks = {
        name: load_network(model, weights, images, config.layers, device)
        for name, (model, weights) in models.items()
    }
    if len(networks) > 1:
        comparable(list(networks))
    work = prepare_out(config.out, config.overwrite)
    described: dict[str, DescribedNetwork] = {}
    untrained: dict[str, Sequence[DescribedNetwork]] = {}
    problems: dict[str, str] = {}
    for (name, (loaded, points)), file in zip(networks.items(), files, strict=True):
        from_file = {"images": None if file else images, "descriptions": file}
        source = description.model_copy(update=from_file)
        described[name] = describe(source, describer, loaded, points, work, device)
        if file is None:
            untrained[name], problems[name] = untrained_networks(
                described[name],
                models[name][0],
                config.controls,
                partial(describe, source, describer, work=work, device=device),
            )
    texts = [text for network in described.values() for text in network.texts]
    search = search_of(config.search, config.words, texts, device)
    audit = audit_descriptions(
        described,
        search,
        None if config.descriptions else describer,
        work,
        config.statistics,
        controls=untrained,
    )
    audit = replace(audit, missing_controls={k: v for k, v in problems.items() if v})
    write_tables(audit, config.out)
    of_descriptions = (
        {"descriptions": ", ".join(path.name for path in config.descriptions)}
        if config.descriptions
        else {
            **description_facts(description, describer),
            "decoys": f"{config.statistics.decoys} per layer at most, "
            f"seed {config.statistics.seed}",
            "random weights": _control_facts(untrained, problems),
            "images": f"{images.name}: the same for all networks",
        }
    )
    facts = {
        "networks": "; ".join(
            f"{name}: {loaded.name} trained on {loaded.dataset}"
            for name, (loaded, _) in networks.items()
        ),
        "words": ", ".join(search.words.terms)
        + (" (as written)" if config.search.exact else " (by their stems)"),
        "words added by": config.search.expand,
        **of_descriptions,
    }
    write_report(audit, config.out, facts)
    return audit


def parse_models(texts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Read ``[NAME=]MODEL[@WEIGHTS]``.

    >>> parse_models(["a/1=resnet18@x=y.pt", "alexnet"])
    {'a/1': ('resnet18', 'x=y.pt'), 'alexnet': ('alexnet', 'published')}
    >>> parse_models(["resnet18/places365"])
    {'resnet18-places365': ('resnet18/places365', 'published')}

    Raises:
        InputError: If two have the same name, or one has no model.
    """
    models: dict[str, tuple[str, str]] = {}
    for text in texts:
        head, _, weights = text.partition("@")
        name, equals, spec = head.partition("=")
        # A slash in a given name separates condition and pair; in a model's own it does not.
        name, spec = (name, spec) if equals else (head.replace("/", "-"), head)
        if not name or not spec:
            raise InputError(f"model {text!r}; write it as NAME=MODEL@WEIGHTS")
        if name in models:
            raise InputError(f"two models are named {name!r}; write NAME=MODEL@WEIGHTS")
        models[name] = (spec, weights or DEFAULT_WEIGHTS)
    return models


def _control_facts(
    untrained: Mapping[str, Sequence[DescribedNetwork]], problems: Mapping[str, str]
) -> str:
    """Say how many networks with random weights each network has, and why some have none."""
    counts = {f"{len(networks)} per network" for networks in untrained.values() if networks}
    missing = [f"none of {name}: {reason}" for name, reason in problems.items() if reason]
    return "; ".join([*sorted(counts), *missing]) or "none"

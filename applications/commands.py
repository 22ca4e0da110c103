"""``milannotations experiment analyze``, ``audit`` and ``edit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from applications.options import (
    DEFAULT_ENCODER,
    BatchSize,
    Classes,
    DescriberOptions,
    Descriptions,
    DescriptionSource,
    Device,
    Encoder,
    Exact,
    Exemplars,
    Expand,
    Fill,
    Images,
    K,
    Layers,
    Method,
    Model,
    Overwrite,
    Quantile,
    Resamples,
    Seed,
    Threshold,
    Train,
    TrainSplit,
    Weights,
    bench_of,
    check_expansion,
    check_fill,
    describer_of,
    fill_of,
    keeps_work,
    labelled_sets,
    prepare_out,
    search_of,
)
from milannotations.options import split_names


@keeps_work
def analyze(
    model: Model,
    out: Annotated[Path, typer.Option(help="folder for report, tables, figures")],
    images: Images = None,
    labelled: Annotated[
        Path | None,
        typer.Option(help="labelled images, one subfolder per class, that accuracy is over"),
    ] = None,
    weights: Weights = "published",
    layers: Layers = None,
    descriptions: Descriptions = None,
    exemplars: Exemplars = None,
    method: Method = "retrieval",
    option: DescriberOptions = None,
    train: Train = "demo",
    train_split: TrainSplit = "train",
    classes: Classes = None,
    parser: Annotated[
        str | None, typer.Option(help="spaCy pipeline that parses; default any that is installed")
    ] = None,
    encoder: Encoder = DEFAULT_ENCODER,
    fill: Fill = "zero",
    fraction: Annotated[float, typer.Option(help="share of units ablated at last")] = 0.5,
    steps: Annotated[int, typer.Option(help="in how many steps")] = 10,
    trials: Annotated[int, typer.Option(help="random orders")] = 20,
    first: Annotated[
        str,
        typer.Option(help="which units are ablated first: highest in a property, lowest, or both"),
    ] = "both",
    k: K = 15,
    quantile: Quantile = 0.99,
    batch_size: BatchSize = 32,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Report what units are described as, layer by layer, and which properties matter."""
    from applications.analysis.analysis_report import Analysis, write_analysis
    from applications.analysis.class_accuracy import classes_in
    from applications.analysis.forms_and_topics import forms_and_topics, layer_table
    from applications.analysis.importance import AblationSchedule, directions_of, importance
    from applications.network_descriptions import load_network
    from benchmark.language import load_parser, properties, property_table
    from benchmark.metrics.sentence import sentence_encoder
    from milannotations.device import resolve_device
    from milannotations.errors import InputError
    from milannotations.inputs.sources import ImageFolder
    from milannotations.progress import silence_libraries
    from milannotations.storage import check_outputs
    from milannotations.terminal import Console

    silence_libraries()
    check_outputs(out)
    processor = resolve_device(device)
    check_fill(fill)
    if fill == "mean" and images is None:
        raise InputError("--fill mean needs --images: never those that accuracy is over")
    speaker = describer_of(method, option, train, train_split, k)
    describing = DescriptionSource(
        images, descriptions, exemplars, speaker, k, quantile, batch_size
    )
    describing.check()
    plan, directions = AblationSchedule(fraction, steps, trials, seed=seed), directions_of(first)
    example = images or labelled
    if example is None:
        raise InputError("give --labelled: with descriptions alone no network can be run")
    reader, sentences = load_parser(parser), sentence_encoder(encoder, str(processor))
    loaded, sites = load_network(model, weights, example, split_names(layers), processor)
    sets = labelled_sets({"labelled": labelled}, loaded, classes, processor) if labelled else {}
    work = prepare_out(out, overwrite)
    described = describing.describe(loaded, sites, work, processor)
    names = sets["labelled"].classes if sets else None
    table = property_table(described.texts, names, reader, sentences)
    parsed = properties(described.texts, reader)
    curves = []
    if sets:
        means = ImageFolder(images, loaded.preprocessing) if images else None
        value = fill_of(fill, loaded, sites, means, processor, batch_size)
        bench = bench_of(loaded, sites, sets["labelled"], value, work, processor, batch_size)
        curves = importance(
            bench, sets["labelled"], described.units, table, plan, directions=directions
        )
    analysis = Analysis(
        described,
        layer_table([layer for layer, _ in described.units], described.texts, parsed),
        table,
        [forms_and_topics(one).form for one in parsed],
        curves,
        len(sets["labelled"]) if sets else 0,
        classes_in(sets["labelled"]) if sets else None,
    )
    facts = {
        "network": f"{loaded.name} trained on {loaded.dataset}",
        "layers": ", ".join(sites),
        **describing.facts(),
        "parser": reader.signature,
        "encoder": sentences.signature,
        "ablated units": f"set to {fill}",
        "random orders": f"{trials}, seed {seed}",
        "ablated first": ", ".join(directions),
    }
    page = write_analysis(analysis, out, facts)
    console = Console()
    for curve in curves:
        if curve.name != "random" and curve.significant:
            console.print(
                f"{curve.name} ({curve.order}, {curve.direction} first): "
                f"{100 * curve.difference:+.1f} points against random orders, "
                f"p = {curve.adjusted:.3g}",
                markup=False,
                highlight=False,
            )
    console.print(f"{len(described.units)} units: {page}", markup=False, highlight=False)


@keeps_work
def audit(
    models: Annotated[
        list[str],
        typer.Argument(
            help="one or more of [CONDITION/PAIR=]MODEL[@WEIGHTS], as "
            "unblurred/1=resnet18@a.safetensors"
        ),
    ],
    for_: Annotated[
        list[str], typer.Option("--for", help="words to look for, by commas; repeatable")
    ],
    out: Annotated[Path, typer.Option(help="folder for report, tables, figures")],
    images: Images = None,
    layers: Layers = None,
    descriptions: Annotated[
        list[Path] | None,
        typer.Option(help="CSV of descriptions that exist already, one for each model"),
    ] = None,
    method: Method = "retrieval",
    option: DescriberOptions = None,
    train: Train = "demo",
    train_split: TrainSplit = "train",
    expand: Expand = "none",
    threshold: Threshold = 0.7,
    exact: Exact = False,
    decoys: Annotated[
        int, typer.Option(min=0, help="decoys per layer, by which false matches are estimated")
    ] = 200,
    controls: Annotated[
        int,
        typer.Option(
            min=0,
            help="networks of the same architecture with random weights that are described too, "
            "by which false matches are estimated; 0 for none",
        ),
    ] = 3,
    encoder: Encoder = DEFAULT_ENCODER,
    k: K = 15,
    quantile: Quantile = 0.99,
    batch_size: BatchSize = 32,
    seed: Seed = 0,
    resamples: Resamples = 1000,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Report which units are described with some words, and how networks differ in them."""
    from applications.audit.audit_report import said_of, write_report
    from applications.audit.conditions import comparable
    from applications.audit.pipeline import audit as run
    from applications.audit.pipeline import write_tables
    from applications.audit.untrained import untrained_networks
    from applications.network_descriptions import load_network
    from applications.word_lists import WordList
    from milannotations.device import resolve_device
    from milannotations.errors import InputError
    from milannotations.progress import silence_libraries
    from milannotations.storage import check_outputs
    from milannotations.terminal import Console

    silence_libraries()
    check_outputs(out)
    processor = resolve_device(device)
    named = parse_models(models)
    if images is None:
        raise InputError("give --images, a folder that exemplars are chosen from")
    files = [*descriptions] if descriptions else [None] * len(named)
    if len(files) != len(named):
        raise InputError(f"{len(files)} files of descriptions for {len(named)} models")
    # Said before anything is built.
    WordList.parse(*for_, exact=exact)
    check_expansion(expand, threshold)
    speaker = describer_of(method, option, train, train_split, k)
    networks = {
        name: load_network(spec, weights, images, split_names(layers), processor)
        for name, (spec, weights) in named.items()
    }
    if len(networks) > 1:
        comparable(list(networks))
    work = prepare_out(out, overwrite)
    described, untrained, problems = {}, {}, {}
    for (name, (loaded, sites)), file in zip(networks.items(), files, strict=True):
        describing = DescriptionSource(
            None if file else images, file, None, speaker, k, quantile, batch_size
        )
        described[name] = describing.describe(loaded, sites, work, processor)
        if file is None:
            untrained[name], problems[name] = untrained_networks(
                described[name],
                named[name][0],
                controls,
                partial(describing.describe, work=work, device=processor),
            )
    texts = [text for one in described.values() for text in one.texts]
    search = search_of(for_, expand, threshold, exact, encoder, texts, processor)
    found = run(
        described,
        search,
        None if descriptions else speaker,
        work,
        seed=seed,
        decoys=decoys,
        resamples=resamples,
        controls=untrained,
    )
    write_tables(found, out)
    facts = {
        "networks": "; ".join(
            f"{name}: {loaded.name} trained on {loaded.dataset}"
            for name, (loaded, _) in networks.items()
        ),
        "words": ", ".join(search.words.terms)
        + (" (as written)" if exact else " (by their stems)"),
        "words added by": expand,
        **(
            {"descriptions": ", ".join(path.name for path in descriptions)}
            if descriptions
            else {
                **describing.facts(),
                "decoys": f"{decoys} per layer at most, seed {seed}",
                "random weights": _control_facts(untrained, problems),
                "images": f"{images.name}: the same for all networks",
            }
        ),
    }
    page = write_report(found, out, facts)
    console = Console()
    for problem in dict.fromkeys(filter(None, problems.values())):
        console.print(f"No control with random weights: {problem}", markup=False, highlight=False)
    for one in found.networks:
        console.print(said_of(one), markup=False, highlight=False)
    console.print(f"Report: {page}", markup=False, highlight=False)


@keeps_work
def edit(
    model: Model,
    remove: Annotated[list[str], typer.Option(help="words to look for, by commas; repeatable")],
    out: Annotated[Path, typer.Option(help="folder for report, tables, the edited network")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="folder with train, validation, validation-adversarial, test and "
            "test-adversarial, as `experiment spurious-text` writes"
        ),
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="labelled images that the edit is chosen on")
    ] = None,
    validation_adversarial: Annotated[
        Path | None, typer.Option(help="the same where the feature misleads, if there are any")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="test images: only to report on")] = None,
    test_adversarial: Annotated[
        Path | None, typer.Option(help="test images where the feature misleads")
    ] = None,
    train_images: Annotated[
        Path | None, typer.Option(help="training images, for --fill mean and --finetune")
    ] = None,
    images: Images = None,
    weights: Weights = "published",
    layers: Layers = None,
    descriptions: Descriptions = None,
    exemplars: Exemplars = None,
    method: Method = "retrieval",
    option: DescriberOptions = None,
    train: Train = "demo",
    train_split: TrainSplit = "train",
    expand: Expand = "none",
    threshold: Threshold = 0.7,
    exact: Exact = False,
    classes: Classes = None,
    encoder: Encoder = DEFAULT_ENCODER,
    fill: Fill = "zero",
    most: Annotated[int | None, typer.Option(min=1, help="units of the edit at most")] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="random draws of as many units as are ablated")
    ] = 50,
    alike: Annotated[
        int, typer.Option(min=0, help="random draws of candidates, chosen among in the same way")
    ] = 5,
    tolerance: Annotated[
        float,
        typer.Option(
            help="accuracy that may be lost on validation images, where none are adversarial"
        ),
    ] = 0.02,
    finetune: Annotated[
        int, typer.Option(min=0, help="epochs of training the last layer again; 0 for none")
    ] = 0,
    k: K = 15,
    quantile: Quantile = 0.99,
    batch_size: BatchSize = 32,
    seed: Seed = 0,
    resamples: Resamples = 1000,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Take units that are described with some words out of a network, and report what it does."""
    from applications.editing.edit_folders import EditFolders
    from applications.editing.edit_report import write_edit
    from applications.editing.finetune import last_layer
    from applications.editing.pipeline import EditConfig, run_edit
    from applications.network_descriptions import load_network
    from applications.word_lists import WordList
    from applications.word_search import nothing_found
    from milannotations.device import resolve_device
    from milannotations.progress import silence_libraries
    from milannotations.storage import check_outputs
    from milannotations.terminal import Console

    silence_libraries()
    check_outputs(out)
    processor = resolve_device(device)
    WordList.parse(*remove, exact=exact)
    check_expansion(expand, threshold)
    check_fill(fill)
    folders = EditFolders.of(
        data,
        train=train_images,
        validation=validation,
        validation_adversarial=validation_adversarial,
        test=test,
        test_adversarial=test_adversarial,
    )
    folders.check(needs_train=fill == "mean" or bool(finetune), images=images)
    speaker = describer_of(method, option, train, train_split, k)
    if images is None and descriptions is None:
        images = folders.train
    describing = DescriptionSource(
        images, descriptions, exemplars, speaker, k, quantile, batch_size
    )
    describing.check()
    loaded, sites = load_network(
        model, weights, next(iter(folders.validation.values())), split_names(layers), processor
    )
    validated = labelled_sets(folders.validation, loaded, classes, processor)
    if finetune:
        last_layer(loaded.module, next(iter(validated.values())).example().to(processor))
    work = prepare_out(out, overwrite)
    described = describing.describe(loaded, sites, work, processor)
    search = search_of(remove, expand, threshold, exact, encoder, described.texts, processor)
    settings = EditConfig(
        fill=fill,
        most=most,
        trials=trials,
        alike=alike,
        tolerance=tolerance,
        finetune=finetune,
        seed=seed,
        resamples=resamples,
        batch_size=batch_size,
    )
    found = run_edit(described, search, validated, folders, out, settings)
    facts = {
        "network": f"{loaded.name} trained on {loaded.dataset}",
        "layers": ", ".join(sites),
        **describing.facts(),
        "words": ", ".join(search.words.terms),
        "words added by": expand,
        "ablated units": f"set to {fill}",
        "validation": ", ".join(f"{n} ({len(v):,} images)" for n, v in validated.items()),
        "random draws": f"{trials}, seed {seed}",
    }
    page = write_edit(found, out, facts)
    console = Console()
    if not found.matches:
        nothing = nothing_found(search, len(described.units), described.texts)
        console.print(f"Nothing to ablate: {nothing}.", markup=False, highlight=False)
    console.print(
        f"{found.choice.count} of {len(found.matches)} matching units ablated",
        markup=False,
        highlight=False,
    )
    for name in found.tests:
        one = found.outcome(name)
        console.print(
            f"{name}: {100 * one.before.value:.1f} % to {100 * one.after.value:.1f} % "
            f"({100 * one.gain.low:+.1f} to {100 * one.gain.high:+.1f} points)",
            markup=False,
            highlight=False,
        )
    console.print(f"Report: {page}", markup=False, highlight=False)


def parse_models(texts: list[str]) -> dict[str, tuple[str, str]]:
    """Read ``[NAME=]MODEL[@WEIGHTS]``.

    >>> parse_models(["a/1=resnet18@x=y.pt", "alexnet"])
    {'a/1': ('resnet18', 'x=y.pt'), 'alexnet': ('alexnet', 'published')}
    >>> parse_models(["resnet18/places365"])
    {'resnet18-places365': ('resnet18/places365', 'published')}

    Raises:
        InputError: If two have the same name, or one has no model.
    """
    from milannotations.errors import InputError

    found: dict[str, tuple[str, str]] = {}
    for text in texts:
        head, _, weights = text.partition("@")
        name, equals, spec = head.partition("=")
        # A slash in a name that was given parts condition and pair; in a model's own it does not.
        name, spec = (name, spec) if equals else (head.replace("/", "-"), head)
        if not name or not spec:
            raise InputError(f"model {text!r}; write it as NAME=MODEL@WEIGHTS")
        if name in found:
            raise InputError(f"two models are named {name!r}; write NAME=MODEL@WEIGHTS")
        found[name] = (spec, weights or "published")
    return found


def _control_facts(untrained: Mapping[str, Sequence[Any]], problems: Mapping[str, str]) -> str:
    """Say how many networks with random weights there are of each, and why there are none."""
    counts = {f"{len(networks)} per network" for networks in untrained.values() if networks}
    missing = [f"none of {name}: {reason}" for name, reason in problems.items() if reason]
    return "; ".join([*sorted(counts), *missing]) or "none"

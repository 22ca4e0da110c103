"""Runs a build or a merge from its config: loads the network, opens the images, and reports."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from milannotations.attach.sources import HubSource
from milannotations.autoencoders.loading import load_autoencoder
from milannotations.catalog.models import LoadedModel, load_model
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.exemplars.build import (
    BuildReport,
    Engine,
    build,
    build_shard,
    build_with_torchrun,
    merge,
    serial,
    shards_in,
)
from milannotations.exemplars.config import (
    BuildConfig,
    BuildNetworkConfig,
    EngineConfig,
    LatentsConfig,
    MergeConfig,
)
from milannotations.exemplars.latents import FORMS, read_latents, write_latents
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.plan import PassPlan
from milannotations.exemplars.ray_engine import ray_engine
from milannotations.exemplars.request import BuildRequest, DatasetRequest
from milannotations.exemplars.shards import parse_shard, read_header
from milannotations.file_names import utf8
from milannotations.hook_points.layout import KINDS, Layout
from milannotations.inputs.generators import Latents
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder, PictureSource, Source
from milannotations.networks.consent import give_consent
from milannotations.numerals import count_of
from milannotations.storage import check_file, check_folder, check_target
from milannotations.terminal import Console
from milannotations.weights_hash import hash_of_weights


def run_build(config: BuildConfig) -> BuildReport | None:
    """Find the exemplars of a network's units, write them, and print what was done.

    Returns:
        The report; None in all processes but the first that ``torchrun`` has started.

    Raises:
        InputError: For anything a user can fix, before the network is loaded where that is
            possible.
    """
    shard = parse_shard(config.engine.shard) if config.engine.shard else None
    if shard and config.engine.engine != "serial":
        raise InputError(
            f"--shard is one process's part; leave out --engine {config.engine.engine}"
        )
    layouts = dict(_parse_layout(text) for text in config.layout)
    autoencoders = dict(_autoencoder(text) for text in config.sae)
    engine = _engine(config.engine)
    device = resolve_device(config.device)
    if shard:
        check_folder(config.out)
    else:
        check_target(config.out, config.overwrite)
    pictures = _checked_images(config)  # before a large model is loaded
    loaded = load_network(config.network)
    give_consent(loaded.spec)
    request = BuildRequest(
        module=loaded.module,
        source=_source(config, loaded, pictures),
        layers=_layers(config, loaded, [*autoencoders]),
        out=config.out,
        model=loaded.name,
        dataset=loaded.dataset,
        options=_options_for(config, loaded),
        device=device,
        overwrite=config.overwrite,
        resume=config.resume,
        layouts={**loaded.layouts, **layouts},
        autoencoders=autoencoders,
        provenance={
            "model": config.network.model,
            "weights": config.network.weights,
            # A path need not be UTF-8; what is written has to be.
            "source": utf8(config.images or "latents"),
        },
    )
    report: BuildReport | None
    if shard:
        report = build_shard(request, shard)
    elif engine is None:
        report = build_with_torchrun(request)
    else:
        report = build(request, engine=engine)
    if report:
        print_report(report, config.options.k)
    return report


def load_network(config: BuildNetworkConfig) -> LoadedModel:
    """Load the network that a config names."""
    return load_model(
        config.model, config.weights, config.dataset, name=config.name, inputs=config.inputs
    )


def _engine(config: EngineConfig) -> Engine | None:
    """Return what runs the pass; None for ``torchrun``."""
    if config.engine == "ray":
        return ray_engine(config.workers, config.ray_address)
    return serial if config.engine == "serial" else None


def _checked_images(config: BuildConfig) -> ImageFolder | PictureSource | None:
    """Open the images and check that all can be read; None if none are named.

    Raises:
        InputError: If some cannot be read, and these are not to be left out.
    """
    if config.images is None:
        return None
    pictures = open_images(config.images, config.options.size)
    replace(config.options, units=config.units).check(len(pictures))
    unreadable = pictures.check()
    if unreadable and not config.options.skip_unreadable:
        raise InputError(
            f"{len(unreadable)} of {len(pictures)} images cannot be read; the first: "
            f"{unreadable[0]} (pass --skip-unreadable to leave such images out)"
        )
    return pictures


def _source(
    config: BuildConfig, loaded: LoadedModel, pictures: ImageFolder | PictureSource | None
) -> Source:
    """Return the images of a folder, prepared for the network, or a generator's latents."""
    if pictures is None:
        latents = latents_of(loaded, config.latents, config.options.size)
        if config.export_latents is not None:
            check_file(config.export_latents, config.overwrite)
            write_latents(latents, config.export_latents)
        return latents
    if config.latents.latents is not None or config.export_latents is not None:
        raise InputError("give --images or --latents, not both")
    pictures.preprocessing = loaded.preprocessing
    return pictures


def _layers(config: BuildConfig, loaded: LoadedModel, encoded: list[str]) -> list[str]:
    """Return the layers to dissect, among them every autoencoder's: it is named for that."""
    latents = [f"{layer}@sae" for layer in encoded]
    names = [*config.layers] or latents or [*loaded.layers]
    names += [name for name in latents if name not in names]
    if not names:
        raise InputError(
            f"no layers are known for {config.network.model!r}; name them with --layers"
        )
    return names


def _options_for(config: BuildConfig, loaded: LoadedModel) -> BuildOptions:
    """Return the options, with the network's own choice where none is given."""
    of_network = config.units is None and not (config.layers or config.sae)
    return replace(
        config.options,
        masks=config.masks or loaded.masks,
        in_place=config.in_place or loaded.in_place,
        units=loaded.units if of_network else config.units,
    )


def open_images(where: str, size: int) -> ImageFolder | PictureSource:
    """Open a folder of images, or ``hf:DATASET[:SPLIT]``.

    Raises:
        InputError: If there is no such folder or dataset, or no image in it.
    """
    if not where.startswith("hf:"):
        return ImageFolder(Path(where), size=size)
    name, _, split = where.removeprefix("hf:").partition(":")
    return PictureSource(HubSource(name, split or "train"), size=size)


def latents_of(loaded: LoadedModel, config: LatentsConfig, size: int) -> Latents:
    """Return the latents that ``--latents`` names: a number of them to draw, or a file.

    Raises:
        InputError: If the network takes images, no latents are named, or the file cannot be used.
    """
    if loaded.latents is None:
        raise InputError(f"{loaded.name} takes images: name them with --images")
    if not config.latents:
        raise InputError(
            f"{loaded.name} is a generator: say with --latents how many to draw, or name {FORMS}"
        )
    generator = loaded.module.eval()
    if (count := count_of(config.latents)) is not None:
        return Latents(generator, loaded.latents, count, config.seed, config.truncation, size)
    if config.truncation is not None:
        raise InputError(f"--truncation is for latents that are drawn; {config.latents} has them")
    return read_latents(Path(config.latents), generator, loaded.latents, config.seed, size)


def _autoencoder(text: str) -> tuple[str, nn.Module]:
    layer, equals, path = text.partition("=")
    if not equals:
        raise InputError(f"--sae {text!r}; write it as LAYER=PATH")
    return layer, load_autoencoder(Path(path))


def _parse_layout(text: str) -> tuple[str, Layout]:
    match = re.fullmatch(
        rf"(.+)=({'|'.join(KINDS)})(?::([0-9]{{1,9}})x([0-9]{{1,9}})(?::([0-9]{{1,9}})"
        r"(?::([a-z]+(?:=[0-9x.]+)?))?)?)?",
        text,
    )
    if not match:
        raise InputError(
            f"--layout {text!r}; write it as PATTERN=KIND[:HEIGHTxWIDTH[:PREFIX[:ORDER]]], as "
            f"'blocks.*=tokens:14x14:1' (kinds: {', '.join(KINDS)}; orders: rows, columns, "
            "windows=7x7, strides=2x2.2x2)"
        )
    kind: Any
    pattern, kind, height, width, prefix, order = match.groups()
    grid = (int(height), int(width)) if height else None
    return pattern, Layout(kind, grid, int(prefix or 0), order or "rows")


def run_merge(config: MergeConfig) -> BuildReport:
    """Merge the shards of a build into a dataset folder, and print what was done.

    Raises:
        InputError: If shards are missing or do not fit together, or the images or the generator
            are not those of the shards.
    """
    check_target(config.out, config.overwrite)
    paths = shards_in(config.shards)
    plan = read_header(paths[0]).plan
    rules = sorted({read_header(path).plan.masks for path in paths})
    if config.masks is None and len(rules) > 1:
        raise InputError(f"the shards were built for masks {' and '.join(rules)}; pass --masks")
    options = replace(
        config.options, k=plan.k, quantile=plan.quantile, masks=config.masks or plan.masks
    )
    options.check(plan.images)
    source, generator = _source_of_shards(config, plan)
    request = DatasetRequest(
        source=source,
        out=config.out,
        options=options,
        overwrite=config.overwrite,
        provenance={"shards": len(paths), "source": utf8(config.images or "latents")},
    )
    report = merge(request, paths, generator=generator)
    print_report(report, plan.k)
    return report


def _source_of_shards(config: MergeConfig, plan: PassPlan) -> tuple[Source, nn.Module | None]:
    """Return the images that shards were made from, or the latents and their generator."""
    if (config.images is None) == (config.model is None):
        raise InputError("give --images, or for a generator's shards --model")
    if config.images is not None:
        pictures = open_images(config.images, config.options.size)
        pictures.preprocessing = Preprocessing.from_json(plan.source.get("preprocessing", {}))
        return pictures, None
    loaded = load_model(config.model or "", config.weights)
    drawn = plan.source.get("latents")
    if loaded.latents is None or drawn is None:
        raise InputError(f"{config.model!r} and these shards are not of a generator; give --images")
    if hash_of_weights(loaded.module) != plan.weights:
        raise InputError(
            f"these are not the weights of the shards: {config.model!r}, {config.weights!r}"
        )
    latents = LatentsConfig(
        latents=config.latents or str(plan.images),
        seed=drawn["seed"],
        truncation=drawn["truncation"],
    )
    return latents_of(loaded, latents, config.options.size), loaded.module.eval()


def print_report(report: BuildReport, k: int) -> None:
    """Print what a build has done."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for line in report.unreadable:
        console.print(f"left out: {line}")
    units = sum(shape[0] for shape in report.layers.values())
    console.print(
        f"{units} units of {len(report.layers)} layers, {k} exemplars each of "
        f"{report.images} images ({len(report.unreadable)} left out): {report.folder}"
    )
    warning = report.warning()
    if warning:
        console.print(f"warning: {warning}")

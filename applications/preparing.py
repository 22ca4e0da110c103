"""What the applications do before they measure: descriptions, images, searches, folders."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from applications.config import DescribingConfig, DescriptionConfig, ReportConfig, SearchConfig
from applications.labelled import ClassImages, check_alike, read_classes
from applications.network_descriptions import (
    LESSONS,
    DescribedNetwork,
    LazyDescriber,
    describe_network,
    described_by_file,
    outputs_of,
)
from applications.word_lists import WordList, expand
from applications.word_search import WordSearch
from benchmark.metrics.sentence import sentence_encoder
from milannotations.ablation.means import mean_activations
from milannotations.catalog.models import LoadedModel
from milannotations.data_home import make_folder
from milannotations.describer import check_options
from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint
from milannotations.inputs.sources import Source
from milannotations.interruption import AGAIN, saying_what_is_kept
from milannotations.loading import load_split
from milannotations.progress import note
from milannotations.storage import check_folder

_WRITTEN = (
    "report.html",
    "layers.csv",
    "units.csv",
    "importance.csv",
    "curves.csv",
    "layers.png",
    "importance-network.png",
    "importance-layer.png",
    "model-card.csv",
    "comparison.csv",
    "matches-by-layer.png",
    "choices.json",
    "edit.json",
    "candidates.csv",
    "outcomes.csv",
    "curves.png",
    "random-weights.csv",
    "random-weights.png",
    "classes.csv",
    "classes-network.png",
    "classes-layer.png",
)


def describer_of(config: DescribingConfig, k: int) -> LazyDescriber:
    """Return a describer, its options checked before any long work.

    Args:
        config: Name, options and training data of the describer.
        k: Exemplars per neuron of the lessons, on which it may be trained.

    Raises:
        InputError: If there is no such describer, option or dataset.
    """
    check_options(config.method, config.option)
    if config.train not in ("none", "demo", LESSONS):
        load_split(config.train, config.train_split)  # here, not after exemplars are built
    learned = None if config.train == "none" else config.train
    return LazyDescriber(config.method, config.option, learned, config.train_split, k)


def describe(
    config: DescriptionConfig,
    describer: LazyDescriber,
    loaded: LoadedModel,
    points: Mapping[str, HookPoint],
    work: Path,
    device: torch.device,
) -> DescribedNetwork:
    """Return the network with descriptions from a file, or from the describer."""
    if config.descriptions is not None:
        return described_by_file(loaded, points, config.descriptions, config.exemplars, device)
    assert config.images is not None
    options = dataclasses.replace(
        config.options,
        batch_size=config.batch_size,
        in_place=loaded.in_place,
        masks=loaded.masks,
    )
    return describe_network(
        loaded, points, config.images, work, describer, options=options, device=device
    )


def description_facts(config: DescriptionConfig, describer: LazyDescriber) -> dict[str, str]:
    """Return what a report says about the source of descriptions."""
    if config.descriptions is not None:
        return {"descriptions": config.descriptions.name}
    k, quantile = config.options.k, config.options.quantile
    return {
        "describer": describer.title,
        "exemplars": f"{k} per unit, threshold at quantile {quantile:g}",
    }


def check_search(config: SearchConfig, terms: Sequence[str]) -> None:
    """Raise InputError if descriptions cannot be searched for words, or words not be expanded."""
    WordList.parse(*terms, exact=config.exact)
    if config.expand != "embeddings":  # which needs descriptions
        expand(WordList(("word",)), config.expand)


def search_of(
    config: SearchConfig, terms: Sequence[str], texts: Sequence[str], device: torch.device
) -> WordSearch:
    """Return the search for words, which may be expanded by words of ``texts``."""
    encoder = (
        sentence_encoder(config.encoder, str(device)) if config.expand == "embeddings" else None
    )
    return WordSearch.of(
        terms,
        config.expand,
        exact=config.exact,
        threshold=config.threshold,
        encoder=encoder,
        descriptions=texts,
    )


def labelled_sets(
    folders: Mapping[str, Path], loaded: LoadedModel, classes: Path | None, device: torch.device
) -> dict[str, ClassImages]:
    """Open labelled images, and check that their classes are those of the network."""
    listed = read_classes(classes) if classes is not None else None
    sets = {
        name: ClassImages(folder, loaded.preprocessing, listed) for name, folder in folders.items()
    }
    first = next(iter(sets.values()))
    check_alike(sets, outputs_of(loaded, first.example().to(device)))
    return sets


def ablation_values(
    ablation: str,
    loaded: LoadedModel,
    points: Mapping[str, HookPoint],
    images: Source | None,
    device: torch.device,
    batch_size: int,
) -> dict[str, torch.Tensor] | None:
    """Return what ablated units are set to: None for zero, or their mean over ``images``."""
    if ablation == "zero":
        return None
    assert images is not None
    return mean_activations(
        loaded.module, points, images, layouts=loaded.layouts, device=device, batch_size=batch_size
    )


def keeps_work(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a function of a config say, when Ctrl-C ends it, that the work in its folder is kept."""

    @functools.wraps(work)
    def run(config: ReportConfig) -> Any:
        notice = f"what was finished is kept in {config.out / 'work'}: {AGAIN}"
        with saying_what_is_kept(lambda: notice):
            return work(config)

    return run


def prepare_out(out: Path, overwrite: bool) -> Path:
    """Make the folder of results, and return the folder of unfinished work inside it.

    Raises:
        InputError: If there is a report already and it is not to be replaced.
    """
    check_folder(out)
    if (out / "report.html").exists() and not overwrite:
        raise InputError(f"{out} has a report already; choose another folder or pass --overwrite")
    if overwrite:
        # The report goes first, since it marks a complete folder.
        for name in _WRITTEN:
            (out / name).unlink(missing_ok=True)
        for figure in out.glob("comparison-*.png"):
            figure.unlink()
        shutil.rmtree(out / "edited", ignore_errors=True)
    work = make_folder(out / "work")
    if any(work.iterdir()):
        note(f"going on: what is kept in {work} is used again where it fits")
    return work

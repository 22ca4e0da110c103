"""An edit with all its settings: what ``experiment edit`` does between reading and reporting."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from applications.config import EditConfig
from applications.editing.edit_folders import EditFolders
from applications.editing.edit_report import Edit
from applications.editing.finetune import finetune
from applications.editing.selection import choose_all, evaluate, proportion, save_choices
from applications.labelled import AblationEvaluator, ClassImages
from applications.network_descriptions import DescribedNetwork
from applications.preparing import bench_of, fill_of
from applications.word_search import WordSearch, some_matches
from benchmark.intervals import Interval
from milannotations.ablation import grouped
from milannotations.ablation.edited import Written, write_edited


def run_edit(
    described: DescribedNetwork,
    search: WordSearch,
    validation: Mapping[str, ClassImages],
    folders: EditFolders,
    out: Path,
    settings: EditConfig,
    work: Path | None = None,
) -> Edit:
    """Choose an edit on validation images, save the choice, then open and measure test images.

    That no unit matches is a result: nothing is ablated then, and no network written.

    Args:
        described: The network and its descriptions.
        search: What for.
        validation: The validation sets.
        folders: Where training and test images are.
        out: An existing folder: gets ``choices.json`` and ``edited``.
        settings: How.
        work: Folder for what was measured; default in ``out``.

    Raises:
        InputError: If all units match, or an image cannot be read.
    """
    loaded, sites, device = described.loaded, described.sites, described.device
    matches = some_matches(search, described)
    first = next(iter(validation.values()))
    # Labels of all images are those of the validation images, whatever subfolders there are.
    opened = partial(ClassImages, preprocessing=loaded.preprocessing, classes=first.known)
    train = (
        opened(folders.train)
        if folders.train and (settings.finetune or settings.fill == "mean")
        else None
    )
    fill = fill_of(
        settings.fill, loaded, sites, train.source if train else None, device, settings.batch_size
    )
    bench = bench_of(loaded, sites, first, fill, work or out / "work", device, settings.batch_size)
    choices = choose_all(
        bench,
        list(matches),
        validation,
        trials=settings.trials,
        alike=settings.alike,
        tolerance=settings.tolerance,
        most=settings.most,
        seed=settings.seed,
        layouts=loaded.layouts,
    )
    save_choices(choices, out / "choices.json")
    tuned = {}
    ours = grouped(choices[0].units)
    if settings.finetune and train is not None and matches:
        for what, ablation in (("edited", ours), ("not edited", {})):
            tuned[what] = (
                ablation,
                finetune(
                    loaded.module,
                    sites,
                    ablation,
                    train,
                    validation,
                    fill=fill,
                    epochs=settings.finetune,
                    seed=settings.seed,
                    device=device,
                    batch_size=settings.batch_size,
                ).model,
            )
    retrained = tuned["edited"][1] if "edited" in tuned and ours else None
    written = _write(described, ours, fill, first, out, retrained)
    # From here on test images may be opened.
    tests = {name: partial(opened, folder) for name, folder in folders.tests.items()}
    outcomes = evaluate(bench, choices, tests, settings.resamples)
    finetuned: dict[str, dict[str, Interval]] = {}
    for what, (ablation, network) in tuned.items():
        other = AblationEvaluator(
            network, sites, first, fill=fill, device=device, batch_size=settings.batch_size
        )
        finetuned[what] = {
            name: proportion(other.measure(test(), [ablation], f"Testing: {what}").correct[0])
            for name, test in tests.items()
        }
    return Edit(
        described,
        search.title,
        matches,
        choices,
        outcomes,
        {name: len(images) for name, images in validation.items()},
        {name: len(test()) for name, test in tests.items()},
        written,
        finetuned,
    )


def _write(
    described: DescribedNetwork,
    ablation: Mapping[str, list[int]],
    fill: dict[str, Tensor] | None,
    images: ClassImages,
    out: Path,
    tuned: torch.nn.Module | None,
) -> Written | None:
    if not ablation:
        return None
    facts = {
        "model": described.loaded.name,
        "dataset": described.loaded.dataset,
        "classes": list(images.classes),
    }
    inputs = images.example(4).to(described.device)
    return write_edited(
        tuned or described.loaded.module,
        described.sites,
        ablation,
        out / "edited",
        (inputs,),
        means=fill,
        facts=facts,
        overwrite=True,
    )

"""The edit of a described network: choices on validation images, the edited network, then tests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from applications.config import EditConfig
from applications.editing.edit_folders import EditFolders
from applications.editing.edit_report import Edit
from applications.editing.finetune import finetune
from applications.editing.selection import choose_all, evaluate, proportion, save_choices
from applications.labelled import AblationEvaluator, ClassImages
from applications.network_descriptions import DescribedNetwork
from applications.preparing import ablation_values
from applications.word_search import WordSearch, some_matches
from benchmark.intervals import Interval
from milannotations.ablation import grouped
from milannotations.ablation.edited import Written, write_edited


def edit_network(
    described: DescribedNetwork,
    search: WordSearch,
    validation: Mapping[str, ClassImages],
    folders: EditFolders,
    out: Path,
    config: EditConfig,
    work: Path | None = None,
) -> Edit:
    """Choose an edit on validation images, save the choice, then open and measure test images.

    If no unit matches, the result says so: nothing is ablated, and no network is written.

    Args:
        described: The network and its descriptions.
        search: Words that descriptions are searched for.
        validation: The validation sets.
        folders: Where training and test images are.
        out: An existing folder, which gets ``choices.json`` and ``edited``.
        config: How units are chosen, and what ablated units are set to.
        work: Folder for measurements; default: ``work`` in ``out``.

    Raises:
        InputError: If all units match, or an image cannot be read.
    """
    loaded, points, device = described.loaded, described.points, described.device
    matches = some_matches(search, described)
    example = next(iter(validation.values()))
    # All images have the labels of the validation images, whatever subfolders there are.
    opened = partial(
        ClassImages, preprocessing=loaded.preprocessing, classes=example.class_of_folder
    )
    train = None
    if folders.train and (config.finetune or config.ablation == "mean"):
        train = opened(folders.train)
    means = ablation_values(
        config.ablation,
        loaded,
        points,
        train.source if train else None,
        device,
        config.batch_size,
    )
    evaluator = AblationEvaluator(
        loaded.module,
        points,
        example,
        means=means,
        work=(work or out / "work") / "measured",
        device=device,
        batch_size=config.batch_size,
    )
    choices = choose_all(evaluator, list(matches), validation, config, layouts=loaded.layouts)
    save_choices(choices, out / "choices.json")
    chosen = grouped(choices[0].units)
    retrained: dict[str, tuple[Mapping[str, list[int]], nn.Module]] = {}
    if config.finetune and train is not None and matches:
        for name, ablated_units in (("edited", chosen), ("not edited", {})):
            result = finetune(
                evaluator,
                ablated_units,
                train,
                validation,
                epochs=config.finetune,
                seed=config.seed,
            )
            retrained[name] = (ablated_units, result.model)
    module = retrained["edited"][1] if retrained and chosen else loaded.module
    written = _write(described, module, chosen, means, example, out)
    # Test images may be opened from here on, and not before.
    tests = {name: partial(opened, folder) for name, folder in folders.tests.items()}
    outcomes = evaluate(evaluator, choices, tests, config.resamples)
    finetuned: dict[str, dict[str, Interval]] = {}
    for name, (units, network) in retrained.items():
        other = AblationEvaluator(
            network, points, example, means=means, device=device, batch_size=config.batch_size
        )
        finetuned[name] = {
            test: proportion(other.measure(images(), [units], f"Testing: {name}").correct[0])
            for test, images in tests.items()
        }
    return Edit(
        described,
        search,
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
    module: nn.Module,
    ablation: Mapping[str, list[int]],
    means: dict[str, Tensor] | None,
    images: ClassImages,
    out: Path,
) -> Written | None:
    if not ablation:
        return None
    return write_edited(
        module,
        described.points,
        ablation,
        out / "edited",
        (images.example(4).to(described.device),),
        means=means,
        facts={
            "model": described.loaded.name,
            "dataset": described.loaded.dataset,
            "classes": list(images.classes),
        },
        overwrite=True,
    )

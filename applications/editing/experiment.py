"""``experiment edit``: takes units out of a network, and reports what it does then."""

from __future__ import annotations

from pathlib import Path

from applications.config import DescriptionConfig, EditNetworkConfig
from applications.editing.edit_folders import EditFolders
from applications.editing.edit_report import Edit, write_edit
from applications.editing.finetune import last_layer
from applications.editing.network_edit import edit_network
from applications.network_descriptions import load_network
from applications.preparing import (
    check_search,
    describe,
    describer_of,
    description_facts,
    keeps_work,
    labelled_sets,
    prepare_out,
    search_of,
)
from milannotations.device import resolve_device
from milannotations.storage import check_outputs


@keeps_work
def edit_and_report(config: EditNetworkConfig) -> Edit:
    """Take units that are described with some words out of a network, and report what it does.

    Raises:
        InputError: If options contradict each other, or the network, the images or the
            descriptions cannot be used.
    """
    check_outputs(config.out)
    device = resolve_device(config.device)
    check_search(config.search, config.remove)
    folders = EditFolders.of(config.folders)
    folders.check(
        needs_train=config.edit.ablation == "mean" or bool(config.edit.finetune),
        images=config.description.images,
    )
    describer = describer_of(config.description.describer, config.description.options.k)
    description = _with_images(config.description, folders.train)
    network = config.network
    example = next(iter(folders.validation.values()))
    loaded, points = load_network(network.model, network.weights, example, network.layers, device)
    validation = labelled_sets(folders.validation, loaded, config.classes, device)
    if config.edit.finetune:  # before long work: it may have none
        last_layer(loaded.module, next(iter(validation.values())).example().to(device))
    work = prepare_out(config.out, config.overwrite)
    described = describe(description, describer, loaded, points, work, device)
    search = search_of(config.search, config.remove, described.texts, device)
    settings = config.edit.model_copy(update={"batch_size": description.batch_size})
    edit = edit_network(described, search, validation, folders, config.out, settings)
    facts = {
        "network": f"{loaded.name} trained on {loaded.dataset}",
        "layers": ", ".join(points),
        **description_facts(description, describer),
        "words": ", ".join(search.words.terms),
        "words added by": config.search.expand,
        "ablated units": f"set to {settings.ablation}",
        "validation": ", ".join(f"{n} ({len(v):,} images)" for n, v in validation.items()),
        "random draws": f"{settings.trials}, seed {settings.seed}",
    }
    write_edit(edit, config.out, facts)
    return edit


def _with_images(config: DescriptionConfig, train: Path | None) -> DescriptionConfig:
    """Return where descriptions come from: by default, exemplars are training images."""
    if config.images is None and config.descriptions is None:
        config = config.model_copy(update={"images": train})
    config.check()
    return config

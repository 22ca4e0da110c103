"""Dissects the layers of a network and reports on them."""

from __future__ import annotations

from baselines.concepts.config import DissectConfig
from baselines.concepts.dissector import Dissector
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.inputs.options import InputOptions
from milannotations.loading import load_split
from milannotations.storage import atomic_folder, check_target


def dissect(config: DissectConfig) -> list[str]:
    """Compare the units of a network's layers with labels of images, and write a report.

    Returns:
        Lines that summarize the report.

    Raises:
        InputError: If no network is named, options contradict each other, or the network or the
            images cannot be read.
    """
    check_target(config.out, config.overwrite)
    shared = config.shared
    if not shared.model and not shared.activations and not config.neurons:
        raise InputError(
            "name a network with --model or --neurons, or recorded maps with --activations"
        )
    if config.inputs != InputOptions() and not shared.model:
        raise InputError(
            "--input-size and the like go with --model; for other networks they are recorded"
        )
    for name in config.option:
        if name == "concepts" or (
            name in type(shared).model_fields and name not in ("sae", "check")
        ):
            raise InputError(f"--option {name}: write it as --{name.replace('_', '-')}")
    given = {name: getattr(shared, name) for name in shared.model_fields_set}
    describer = create(config.method, concepts=config.concepts, **given, **config.option)
    if not isinstance(describer, Dissector):
        raise InputError(f"method {config.method!r} does not dissect; take netdissect or compexp")
    if config.neurons is not None:
        tallies = describer.tallies_of_neurons(load_split(config.neurons), config.layers)
    else:
        tallies = describer.tallies(shared.model or "", config.layers, config.inputs)
    with atomic_folder(config.out, config.overwrite) as folder:
        return describer.report(tallies, folder)

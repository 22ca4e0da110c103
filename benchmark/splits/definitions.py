"""Splits as data: families of pairs of selections, the same on every machine.

The splits of the seven annotated models are published as files beside this module, one per family;
a test generates them from the catalog and compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from milannotations.errors import InputError, did_you_mean
from milannotations.json_files import StrictModel, read_json
from milannotations.seeds import stable_generator

PUBLISHED = Path(__file__).parent / "published"
HELD_OUT = 0.1  # of the neurons, within a network (MILAN paper, section 4)

Task = Literal["classifier", "generator"]


@dataclass(frozen=True)
class Network:
    """An annotated network, as far as splits depend on it.

    Attributes:
        name: Name of its config.
        model: Its architecture.
        dataset: The dataset it was trained on.
        layers: Its layers from input to output, with the units of each.
        task: Whether it is a classifier or a generator.
        base: Whether methods may be trained on it; other networks are for testing only.

    >>> network = Network("alexnet-imagenet", "alexnet", "imagenet", {"conv1": range(64)})
    >>> [split.test for split in splits_of("within-network", [network])]
    ['alexnet-imagenet']
    """

    name: str
    model: str
    dataset: str
    layers: Mapping[str, Sequence[int]]
    task: Task = "classifier"
    base: bool = True


class Selection(StrictModel):
    """Some neurons of one config.

    Attributes:
        config: The config.
        units: Units by layer; None for all neurons.

    >>> Selection(config="alexnet-imagenet", units={"conv1": [0, 3]}).units
    {'conv1': [0, 3]}
    """

    model_config = ConfigDict(frozen=True)

    config: str
    units: dict[str, list[int]] | None = None


class Split(StrictModel):
    """Neurons to learn from, and neurons to describe.

    Attributes:
        family: Kind of generalization.
        name: Name, unique in its family.
        train: Name of the side to learn from.
        test: Name of the side to describe.
        learn: The neurons to learn from.
        describe: The neurons to describe.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    name: str
    train: str
    test: str
    learn: tuple[Selection, ...] = Field(min_length=1)
    describe: tuple[Selection, ...] = Field(min_length=1)


def splits_of(family: str, networks: Sequence[Network], seed: int = 0) -> list[Split]:
    """Return the splits of a family over some networks.

    Args:
        family: One of ``FAMILIES``.
        networks: The annotated networks.
        seed: Seed of the choice of neurons held out within a network; 0 gives the published splits.

    Raises:
        InputError: If no family has that name.
    """
    if family not in FAMILIES:
        raise InputError(
            f"no family of splits is named {family!r}{did_you_mean(family, FAMILIES)} (families: "
            f"{', '.join(FAMILIES)})"
        )
    return list(FAMILIES[family](networks, seed))


def published(family: str) -> list[Split]:
    """Return the published splits of the seven annotated models.

    Raises:
        InputError: If no family has that name.

    >>> published("across-task")[0].name
    'cls-to-gen'
    """
    splits_of(family, ())
    plain = read_json(PUBLISHED / f"{family}.json", dict)
    return [Split.model_validate(split) for split in plain["splits"]]


def as_json(family: str, splits: Sequence[Split]) -> str:
    """Return the content of the file with a family's splits."""
    plain = {
        "family": family,
        "seed": 0,
        "splits": [split.model_dump(exclude_none=True) for split in splits],
    }
    return json.dumps(plain, separators=(",", ":")).replace('{"family"', '\n{"family"') + "\n"


def _within(networks: Sequence[Network], seed: int) -> Iterator[Split]:
    """Yield, for each base network, a tenth of each layer's units held out."""
    for network in networks:
        if not network.base:
            continue
        train, test = {}, {}
        for layer, units in network.layers.items():
            rng = stable_generator("within", seed, network.name, layer)
            count = max(1, round(HELD_OUT * len(units)))
            held_out = {units[i] for i in rng.permutation(len(units))[:count]}
            test[layer] = [unit for unit in units if unit in held_out]
            train[layer] = [unit for unit in units if unit not in held_out]
        train = {layer: units for layer, units in train.items() if units}
        yield Split(
            family="within-network",
            name=network.name,
            train=network.name,
            test=network.name,
            learn=(Selection(config=network.name, units=train),),
            describe=(Selection(config=network.name, units=test),),
        )


def _across(
    family: str, value: Callable[[Network], str], only: Callable[[Network], bool]
) -> Callable[[Sequence[Network], int], Iterator[Split]]:
    """Return a function that yields a split for each ordered pair of different values."""

    def make(networks: Sequence[Network], _: int) -> Iterator[Split]:
        chosen = [network for network in networks if only(network)]
        values = list(dict.fromkeys(map(value, chosen)))
        for first in values:
            for second in values:
                if first != second:
                    learn = [n for n in chosen if value(n) == first]
                    describe = [n for n in chosen if value(n) == second]
                    yield _split(family, first, second, learn, describe)

    return make


def _architecture(networks: Sequence[Network], _: int) -> Iterator[Split]:
    """Yield splits from all base networks to each of the others."""
    base = [network for network in networks if network.base]
    for network in networks:
        if base and not network.base:
            yield _split("across-architecture", "base", network.name, base, [network])


def _leave_one_out(networks: Sequence[Network], _: int) -> Iterator[Split]:
    base = [network for network in networks if network.base]
    for network in base if len(base) > 1 else ():
        others = [other for other in base if other is not network]
        yield _split("leave-one-out", f"not-{network.name}", network.name, others, [network])


def _depth(networks: Sequence[Network], _: int) -> Iterator[Split]:
    """Yield, both ways, splits between the first and the last layers of all base networks."""
    halves: dict[str, list[Selection]] = {"shallow": [], "deep": []}
    for network in networks:
        if network.base and len(network.layers) > 1:
            names = list(network.layers)
            half = len(names) // 2
            for side, chosen in (("shallow", names[:half]), ("deep", names[len(names) - half :])):
                units = {name: list(network.layers[name]) for name in chosen}
                halves[side].append(Selection(config=network.name, units=units))
    if halves["shallow"]:
        for first, second in (("shallow", "deep"), ("deep", "shallow")):
            yield Split(
                family="across-depth",
                name=f"{first}-to-{second}",
                train=first,
                test=second,
                learn=tuple(halves[first]),
                describe=tuple(halves[second]),
            )


def _split(
    family: str, train: str, test: str, learn: Sequence[Network], describe: Sequence[Network]
) -> Split:
    return Split(
        family=family,
        name=f"{train}-to-{test}",
        train=train,
        test=test,
        learn=tuple(Selection(config=n.name) for n in learn),
        describe=tuple(Selection(config=n.name) for n in describe),
    )


# In the order of the paper's table 3; the last three are ours.
FAMILIES: dict[str, Callable[[Sequence[Network], int], Iterator[Split]]] = {
    "within-network": _within,
    "across-network": _across(
        "across-network", lambda n: n.model, lambda n: n.base and n.task == "classifier"
    ),
    "across-architecture": _architecture,
    "across-dataset": _across("across-dataset", lambda n: n.dataset, lambda n: n.base),
    "across-task": _across(
        "across-task", lambda n: "gen" if n.task == "generator" else "cls", lambda n: n.base
    ),
    "leave-one-out": _leave_one_out,
    "across-depth": _depth,
}

"""Neurons: the splits, and the network whose layers they are."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from milannotations.errors import InputError
from milannotations.worlds import (
    LAYERS,
    SPLITS,
    And,
    AndNot,
    Anything,
    Attribute,
    Concept,
    Dead,
    Or,
    Part,
    Polysemantic,
    Relation,
    SyntheticNetwork,
    World,
    activation_map,
    synthetic_neurons,
)

NEURONS = synthetic_neurons()
WORLD = World(1, 256)


def primitives(concept: Concept) -> Iterator[str]:
    if isinstance(concept, Part):
        yield concept.part
        yield from primitives(concept.whole)
    elif isinstance(concept, Relation):
        yield concept.kind
        yield from (*primitives(concept.first), *primitives(concept.second))
    elif isinstance(concept, And | Or | AndNot | Polysemantic):
        yield from (*primitives(concept.first), *primitives(concept.second))
    else:
        assert isinstance(concept, Attribute | Anything | Dead)
        yield concept.key


def outputs(network: SyntheticNetwork, indices: list[int]) -> dict[str, torch.Tensor]:
    seen = {}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output})
        )
        for name in network.names
    ]
    network(torch.tensor(indices, dtype=torch.int64))
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("seed", [0, 1, 11, 22])
def test_splits_share_no_combination(seed):
    neurons = synthetic_neurons(seed)
    splits = defaultdict(set)
    for neuron in neurons:
        splits[neuron.concept.key].add(neuron.split)
    assert all(len(found) == 1 for found in splits.values())
    seen = {p for n in neurons if n.split == "train" for p in primitives(n.concept)}
    used = {p for n in neurons if n.split != "train" for p in primitives(n.concept)}
    assert used <= seen
    assert {n.split for n in neurons if n.kind in ("single", "dead")} == {"train"}


def test_counts():
    counts = Counter(neuron.split for neuron in NEURONS)
    assert [counts[split] for split in SPLITS] == pytest.approx([170, 40, 90], abs=6)
    for split in ("validation", "test"):
        kinds = {n.kind for n in NEURONS if n.split == split}
        assert kinds == {"and", "or", "and-not", "part", "relation", "polysemantic"}


def test_no_two_combinations_mean_the_same():
    # Keys differ; so must masks, or a combination of test would be known from training.
    masks: dict[bytes, str] = {}
    for key, concept in {n.concept.key: n.concept for n in NEURONS}.items():
        bits = np.concatenate([concept.mask(WORLD.scene(i))[::4, ::4].ravel() for i in range(64)])
        other = masks.setdefault(np.packbits(bits).tobytes(), key)
        assert other == key


def test_units_count_from_zero_in_each_layer():
    for layer in LAYERS:
        units = [n.unit for n in NEURONS if n.layer == layer]
        assert units == list(range(len(units)))


def test_same_seed_same_neurons():
    assert synthetic_neurons() == NEURONS
    assert synthetic_neurons(1) != NEURONS


def test_each_concept_is_in_15_of_256_scenes():
    for neuron in NEURONS:
        if neuron.kind == "dead":
            continue
        scenes = (neuron.concept.mask(WORLD.scene(i)).any() for i in range(256))
        assert len(list(itertools.islice(filter(None, scenes), 15))) == 15, neuron.concept.key


@pytest.mark.parametrize("layer", LAYERS)
def test_without_noise_a_map_is_the_mask(layer):
    side = LAYERS[layer]
    cell = 224 // side
    for neuron in [n for n in NEURONS if n.layer == layer and n.kind != "dead"][::5]:
        quiet = dataclasses.replace(neuron, noise=0.0)
        both = either = 0
        for index in range(32):
            mask = neuron.concept.mask(WORLD.scene(index)).reshape(side, cell, side, cell)
            truth = mask.mean((1, 3))
            found = activation_map(quiet, WORLD, index, side)
            both += ((truth > 0.3) & (found > 0.3)).sum()
            either += ((truth > 0.3) | (found > 0.3)).sum()
        # A part may be too thin to fill a coarse cell: then there is nothing to compare.
        if either > 20:
            assert both / either > 0.7, neuron.concept.key


def test_noise_leaves_the_concept_recognisable():
    # Responses where the concept is must beat those where it is not, in nearly every neuron.
    clear = []
    for neuron in [n for n in NEURONS if n.kind != "dead"][::4]:
        peaks = [activation_map(neuron, WORLD, i, LAYERS[neuron.layer]).max() for i in range(96)]
        best = np.argsort(peaks)[::-1][:5]
        clear.append(np.mean([neuron.concept.mask(WORLD.scene(int(i))).any() for i in best]))
    assert np.mean(clear) > 0.9


def test_result_does_not_depend_on_batch_or_order():
    neurons = [n for n in NEURONS if n.split == "validation"]
    network = SyntheticNetwork(neurons, WORLD)
    together = outputs(network, [5, 2, 9])
    # Other company, in another order, in a world that has rendered nothing yet.
    alone = outputs(SyntheticNetwork(neurons[::-1], World(1, 256)), [2])
    for name, maps in together.items():
        assert torch.equal(maps[1], alone[name][0].flip(0))


def test_output_shapes_and_values():
    network = SyntheticNetwork(NEURONS, WORLD)
    found = outputs(network, [0, 1])
    assert list(found) == list(LAYERS) == network.names
    for name, side in LAYERS.items():
        units = sum(n.layer == name for n in NEURONS)
        assert found[name].shape == (2, units, side, side)
        assert found[name].dtype == torch.float32
        assert (found[name] >= 0).all()
    assert outputs(network, [])["fine"].shape[0] == 0


def test_dead_units_are_zero_and_others_are_not():
    network = SyntheticNetwork(NEURONS, WORLD)
    found = outputs(network, list(range(8)))
    for name in LAYERS:
        members = [n for n in NEURONS if n.layer == name]
        for channel, neuron in enumerate(members):
            assert (found[name][:, channel].max() == 0) == (neuron.kind == "dead")


def test_mistakes():
    network = SyntheticNetwork(NEURONS[:2], World(1, 4))
    with pytest.raises(InputError, match="scene 4 of a world of 4"):
        network(torch.tensor([4]))
    with pytest.raises(InputError, match="integers of shape"):
        network(torch.tensor(1))
    with pytest.raises(InputError, match="integers of shape"):
        network(torch.tensor([1.0]))
    with pytest.raises(InputError, match="no neurons"):
        SyntheticNetwork([], WORLD)
    with pytest.raises(InputError, match="seed -1"):
        synthetic_neurons(-1)

"""Activation maps of a named network on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from baselines.concepts.activations import NetworkMaps
from baselines.concepts.images import ConceptImages
from baselines.concepts.labelled_images import LabelledImages
from baselines.concepts.labelled_scenes import LabelledScenes
from baselines.concepts.segmented import Segmented
from milannotations.catalog.models import LoadedModel, load_model
from milannotations.errors import InputError
from milannotations.exemplars.collect import prepare
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import PassRequest
from milannotations.inputs.generators import Latents
from milannotations.inputs.sources import Source
from milannotations.weights_hash import hash_of_weights
from milannotations.worlds import SyntheticNetwork, World, synthetic_neurons

# The name of the synthetic neurons as a model.
SYNTHETIC = "synthetic"


def network_maps(
    model: str | LoadedModel,
    layers: Sequence[str],
    concepts: LabelledImages,
    *,
    frame: str = "squash",
    device: torch.device,
    batch_size: int = 32,
    readers: int = 0,
) -> NetworkMaps:
    """Return the activation maps of a network on labelled images.

    Args:
        model: A network, its name (see ``load_model``), or ``synthetic``: the synthetic neurons,
            which respond to scenes of ``milannotations.worlds`` only.
        layers: Patterns of layers; none for those that the catalog recommends.
        concepts: The labelled images.
        frame: See ``ConceptImages``.
        device: Where the network runs.
        batch_size: Images per forward pass; halved where memory is too small.
        readers: Processes that read images; 0 reads in the main process.

    Raises:
        InputError: If there is no such model or layer, or the model cannot run on these images.
    """
    options = BuildOptions(k=1, batch_size=batch_size, readers=readers)
    if model == SYNTHETIC:
        if not isinstance(concepts, LabelledScenes):
            raise InputError(
                "synthetic neurons live in synthetic scenes: take concepts=worlds:SEED:SCENES"
            )
        world = World(concepts.seed, len(concepts))
        network = SyntheticNetwork(synthetic_neurons(), world)
        source: Source = world
        job = prepare(
            PassRequest(
                module=network,
                source=source,
                layers=list(layers) or network.names,
                model=SYNTHETIC,
                dataset="worlds",
                options=options,
                device=device,
            )
        )
        return NetworkMaps(job, device)
    loaded = load_model(model) if isinstance(model, str) else model
    names = list(layers) or list(loaded.layers)
    if not names:
        raise InputError(f"name the layers of {loaded.name} to dissect")
    module = loaded.module
    if loaded.latents is None:
        source = ConceptImages(concepts, frame, loaded.preprocessing)
    else:
        if not (isinstance(concepts, Segmented) and isinstance(concepts.pictures, Latents)):
            raise InputError(
                f"{loaded.name} is a generator: have its own images labelled, with "
                f"concepts=segmenter:generated:COUNT?generator={loaded.spec or loaded.name}"
                "&model=NAME"
            )
        theirs = hash_of_weights(concepts.pictures.generator)
        if theirs != (ours := hash_of_weights(module)):
            raise InputError(
                f"the labelled images are made by another generator (hash {theirs}) than the "
                f"network that is dissected, {loaded.name} (hash {ours}); name the same one, and "
                "its weights, in concepts=…?generator=NAME&weights=FILE"
            )
        source = concepts.pictures
        module = concepts.pictures.generator
    options = replace(options, in_place=loaded.in_place)
    job = prepare(
        PassRequest(
            module=module,
            source=source,
            layers=names,
            model=loaded.name,
            dataset=loaded.dataset,
            options=options,
            device=device,
            layouts=loaded.layouts,
            autoencoders=loaded.autoencoders,
        )
    )
    return NetworkMaps(job, device)

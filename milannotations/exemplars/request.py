"""What a build is asked for: the network, the images, and the dataset folder to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from milannotations.exemplars.options import BuildOptions
from milannotations.hook_points.layout import Layout
from milannotations.inputs.sources import Source


@dataclass(frozen=True, kw_only=True)
class DatasetRequest:
    """The images, and the dataset folder to write; all that ``merge`` needs.

    Attributes:
        source: All images, the same for every shard.
        out: Dataset folder to write; it appears only when it is complete. ``build_shard`` writes
            the shards' files into it instead; several machines may share it, or their files may be
            brought together in one folder afterwards.
        options: How exemplars are chosen and stored. ``merge`` takes size, format and masks from
            them, and everything else from the shards; None takes the masks from them as well.
        overwrite: Whether to replace ``out`` if it exists.
        provenance: Additional facts for ``build.json``.
    """

    source: Source
    out: Path
    options: BuildOptions | None = None
    overwrite: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PassRequest:
    """A network, its layers, and the images to run it on.

    Attributes:
        module: The network; it is put into evaluation mode.
        source: All images, the same for every shard.
        layers: Layer names or patterns; see ``match_layers``.
        model: Name of the architecture, for the records.
        dataset: Name of the data the network was trained on, for the records.
        options: How exemplars are chosen and stored.
        device: Where the network runs. With ``torchrun``, ``cuda`` gives every process a GPU of
            its own.
        layouts: How outputs become activation maps, by layer pattern, where this cannot be
            detected.
        autoencoders: Sparse autoencoders, by the name of the layer whose units they encode.
    """

    module: nn.Module
    source: Source
    layers: Sequence[str]
    model: str
    dataset: str
    options: BuildOptions = field(default_factory=BuildOptions)
    device: torch.device | str = "cpu"
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    autoencoders: Mapping[str, nn.Module] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BuildRequest(PassRequest, DatasetRequest):
    """A pass over images, and the dataset folder to write from it.

    ``build``, ``build_shard``, ``build_with_torchrun`` and ``merge`` all take one.

    Attributes:
        resume: Whether to resume unfinished work; if False it is deleted.
    """

    options: BuildOptions = field(default_factory=BuildOptions)
    resume: bool = True

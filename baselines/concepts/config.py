"""What ``milannotations dissect`` and its describers do: the network, the images, the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from baselines.concepts import CONCEPTS_HELP
from milannotations.command_options import Config, Only
from milannotations.inputs.options import InputOptions
from milannotations.shared_options import DescriberOptions, DeviceConfig, Names


class DissectionOptions(DeviceConfig):
    """Options of every describer that dissects.

    Attributes:
        model: The network, as for `milannotations build`, or synthetic; default the one that the
            neurons' dataset records.
        weights: published (the default), random, or a file; for neurons of a dataset as recorded.
        sae: LAYER=PATH of sparse autoencoders, by commas; default what is recorded.
        check: 'no' accepts a network whose hash is not the recorded one.
        activations: Folder of recorded activation maps of the same images, in place of a network.
        frame: How images that are not square are used: squash, or crop to their middle.
        work: Folder that keeps what took long; default in the cache.
        batch_size: Images per forward pass.
        readers: Processes that read images; 0 reads in the main process.
    """

    model: str | None = None
    weights: str | None = None
    sae: str | None = None
    check: str = "yes"
    activations: Path | None = None
    frame: str = "squash"
    work: Path | None = None
    batch_size: int = 32
    readers: int = 0


class DissectConfig(Config):
    """The layers to dissect, the labelled images, and the report to write.

    Attributes:
        out: Folder to write: tables, figures, a page.
        neurons: A dataset that `milannotations build` wrote: its own network and layers are
            dissected.
        layers: Layers, comma-separated, with wildcards; repeatable; default the model's own.
        method: netdissect or compexp.
        option: NAME=VALUE for the method; repeatable; `milannotations describe --method netdissect
            --help-options` lists them.
        overwrite: Replace the output folder.
    """

    concepts: Annotated[str, Field(description=CONCEPTS_HELP)]
    out: Path
    neurons: str | None = None
    layers: Names = ()
    method: str = "netdissect"
    inputs: InputOptions = InputOptions()
    option: DescriberOptions = Field(default_factory=dict)
    shared: Annotated[
        DissectionOptions,
        Only("model", "weights", "activations", "frame", "work", "batch_size", "readers", "device"),
    ] = DissectionOptions()
    overwrite: bool = False

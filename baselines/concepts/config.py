"""What ``milannotations dissect`` and its describers do: the network, the images, the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from baselines.concepts import CONCEPTS_HELP
from baselines.concepts.masking import Masking
from baselines.described_network import DescribedNetworkConfig
from milannotations.command_options import Config, Only
from milannotations.errors import InputError
from milannotations.inputs.options import InputOptions
from milannotations.shared_options import DescriberOptions, DeviceConfig, Names


class DissectionOptions(DescribedNetworkConfig, DeviceConfig):
    """Options of every describer that dissects.

    Attributes:
        activations: Folder of recorded activation maps of the same images, in place of a network.
        frame: How images that are not square are used: squash, or crop to their middle.
        work: Folder for intermediate results; default one below the cache.
        batch_size: Images per forward pass.
        readers: Processes that read images; 0 reads in the main process.
    """

    activations: Path | None = None
    frame: str = "squash"
    work: Path | None = None
    batch_size: int = 32
    readers: int = 0


class DissectorConfig(DissectionOptions):
    """Settings of a describer that dissects.

    Attributes:
        concepts: Labelled images; see ``baselines.concepts.names``.
    """

    concepts: str = ""

    @model_validator(mode="after")
    def _has_images_and_one_source_of_maps(self) -> DissectorConfig:
        if not self.concepts:
            raise InputError(f"name labelled images, as concepts={CONCEPTS_HELP}")
        if self.model and self.activations:
            raise InputError("give a model or recorded activations, not both")
        return self

    @property
    def masking(self) -> Masking:
        """How activation maps become masks."""
        return Masking()

    @property
    def label_shape(self) -> tuple[int, int] | None:
        """Height and width of the label maps; None for the data's own, or else 112 × 112."""
        return None


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

    concepts: Annotated[str, Field(description=f"{CONCEPTS_HELP[0].upper()}{CONCEPTS_HELP[1:]}.")]
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

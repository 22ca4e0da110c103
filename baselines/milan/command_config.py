"""What ``milannotations train``, ``import-checkpoint`` and ``push-model`` do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from baselines.milan.specs import LstmSizes
from baselines.milan.training_config import TrainingConfig
from milannotations.command_options import Config, Only
from milannotations.shared_options import DescriberOptions, DeviceConfig, Names

_OWN_OPTIONS = ("precision", "seed")  # of training, beside --option
_FOR_PRIORS = (
    "language_model_batch_size, epochs, patience, hold_out, learning_rate, weight_decay, longest, "
    "min_count, lemmatize"
)


class TrainingDataConfig(DeviceConfig):
    """What is learned from, and where the model goes.

    Attributes:
        out: Folder to write the model to.
        data: demo, a config or group, or a dataset folder.
        split: Split to learn from; default train for demo, else the only one.
        overwrite: Replace the output folder.
    """

    out: Path
    data: str = "demo"
    split: str | None = None
    sizes: LstmSizes = LstmSizes()
    overwrite: bool = False


class TrainMilanConfig(TrainingDataConfig):
    """How a MILAN is trained.

    Attributes:
        validation: Dataset for early stopping; default part of --data is held out.
        validation_split: Split of the dataset for early stopping.
        encoder: Network whose features are described: alexnet, resnet18, resnet50, resnet101,
            efficientnet_lite0, or any model that `milannotations build` takes, with --layers.
        layers: Layers of the encoder, or patterns of them, comma-separated; repeatable.
        weights: published, random, or a file.
        masks: bilinear (MILAN's), area, or none to ignore masks; default the encoder's.
        variant: How the trained model searches, such as milan, no-pmi, greedy, beam.
        language_model: Train a language model; without one, there is no PMI.
        prior: Folder of a language model that is trained already.
        batch_size: Images per forward pass of the encoder.
        work: Folder that keeps features; default in the cache.
        tensorboard: Folder for TensorBoard (extra: tensorboard).
    """

    validation: str | None = None
    validation_split: str | None = None
    encoder: str = "resnet101"
    layers: Names = ()
    weights: str = "published"
    masks: str | None = None
    variant: str | None = None
    language_model: bool = True
    prior: Path | None = None
    option: Annotated[
        DescriberOptions,
        Field(
            description="NAME=VALUE, repeatable: "
            + ", ".join(name for name in TrainingConfig.model_fields if name not in _OWN_OPTIONS)
            + "."
        ),
    ] = Field(default_factory=dict)
    training: Annotated[TrainingConfig, Only(*_OWN_OPTIONS)] = TrainingConfig()
    batch_size: Annotated[int, Field(ge=1)] = 32
    work: Path | None = None
    tensorboard: Path | None = None


class TrainPriorConfig(TrainingDataConfig):
    """How the language model of a MILAN is trained alone.

    Attributes:
        out: Folder to write the language model to.
        data: demo, a config or group, a dataset folder, or a table of annotations.
    """

    option: Annotated[
        DescriberOptions, Field(description=f"NAME=VALUE, repeatable: {_FOR_PRIORS}.")
    ] = Field(default_factory=dict)
    training: Annotated[TrainingConfig, Only("seed")] = TrainingConfig()


class ImportCheckpointConfig(Config):
    """Which checkpoint of the original MILAN is converted.

    Attributes:
        checkpoint: The authors' file, such as milan-base.pth; its name, such as base; or a URL.
        out: Folder to write; default the file's name without .pth.
        trained_on: Group of releases it was trained on; default that of its file's name.
        overwrite: Replace the output folder.
    """

    checkpoint: Annotated[str, typer.Argument()]
    out: Path | None = None
    trained_on: str | None = None
    overwrite: bool = False


class PushModelConfig(Config):
    """Which model is uploaded, and where to.

    Attributes:
        model: Folder of a model.
        repo: Model repository on the hub.
        private: Whether a new repository is private.
    """

    model: Annotated[Path, typer.Argument()]
    repo: Annotated[str, typer.Option(metavar="USER/NAME")]
    private: Annotated[bool, typer.Option("--private/--public")] = True

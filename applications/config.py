"""Options of ``milannotations experiment analyze``, ``audit`` and ``edit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field, model_validator

from applications.ablation_schedule import AblationSchedule
from applications.validators import one_of, within
from benchmark.config import BootstrapConfig
from benchmark.text_encoders import DEFAULT_SENTENCE_ENCODER, ENCODER_HELP
from milannotations.command_options import Config, FormerName, Only, PythonOnly
from milannotations.errors import InputError
from milannotations.exemplars.config import DEFAULT_WEIGHTS
from milannotations.exemplars.options import BuildOptions
from milannotations.shared_options import DescriberOptions, DeviceConfig, Names

AblationKind = Annotated[str, FormerName("--fill"), one_of(("zero", "mean"), "--ablation")]
"""Zero or mean ablation; ``--fill`` is the former name of the option."""


class BatchConfig(Config):
    """How many images are run at once.

    Attributes:
        batch_size: Images per forward pass.
    """

    batch_size: Annotated[int, Field(ge=2)] = 32


class EncoderConfig(Config):
    """The encoder that compares sentences."""

    encoder: Annotated[str, Field(description=f"Sentence encoder: {ENCODER_HELP}")] = (
        DEFAULT_SENTENCE_ENCODER
    )


class DescribingConfig(Config):
    """The describer.

    Attributes:
        method: Describer.
        option: NAME=VALUE for the describer; repeatable.
        train: What the describer learns from: demo, a dataset, lessons (rendered scenes with text
            and faces), or none.
        train_split: Split of the dataset that the describer learns from.
    """

    method: str = "retrieval"
    option: DescriberOptions = Field(default_factory=dict)
    train: str = "demo"
    train_split: str = "train"


class DescriptionConfig(BatchConfig):
    """Where descriptions come from: a describer, or a file.

    Attributes:
        images: Folder of images that exemplars are chosen from.
        descriptions: CSV of existing descriptions: nothing is built or described then.
        exemplars: With --descriptions: a dataset with the exemplars, to show them.
    """

    images: Path | None = None
    descriptions: Path | None = None
    exemplars: str | None = None
    describer: DescribingConfig = DescribingConfig()
    options: Annotated[BuildOptions, Only("k", "quantile")] = BuildOptions()

    def check(self) -> None:
        """Raise InputError if no source of descriptions is given, or more than one."""
        if (self.images is None) == (self.descriptions is None):
            raise InputError(
                "give --images, a folder that exemplars are chosen from, or --descriptions, a file"
            )
        if self.exemplars is not None and self.descriptions is None:
            raise InputError(
                "--exemplars goes with --descriptions; exemplars of --images are built"
            )


class SearchConfig(EncoderConfig):
    """How descriptions are searched for words.

    Attributes:
        expand: Words to add to those that are given: none, wordnet or embeddings.
        threshold: Least cosine, -1 to 1, of words that embeddings add.
        exact: Compare words as written, not by their stems.
    """

    expand: str = "none"
    threshold: Annotated[
        float, within(lambda value: -1 <= value <= 1, "be a cosine, from -1 to 1")
    ] = 0.7
    exact: bool = False


class NetworkLayersConfig(Config):
    """A network and its layers.

    Attributes:
        model: A model of the catalog, torchvision:NAME, timm:NAME, hf:OWNER/NAME, …
        weights: published, random, or a .safetensors, .pt or .pth file.
        layers: Names or patterns, separated by commas; repeatable; default: the catalog's choice.
    """

    model: Annotated[str, typer.Argument()]
    weights: str = DEFAULT_WEIGHTS
    layers: Names = ()


class ReportConfig(DeviceConfig):
    """Where results are written.

    Attributes:
        out: Folder for the report, tables and figures.
        overwrite: Replace results; finished measurements are used again.
    """

    out: Path
    overwrite: bool = False


class AnalyzeConfig(EncoderConfig, ReportConfig):
    """What ``experiment analyze`` reports on.

    Attributes:
        labelled: Labelled images, one subfolder per class, for measuring accuracy.
        classes: CSV folder,name,index of the classes, if the subfolders are not named and ordered
            as the network's classes are.
        parser: spaCy pipeline; default: the best one that is installed.
        ablation: What ablated units are set to: zero, or their mean activation.
        first: Which units are ablated first: highest in a property, lowest, or both in turn.
    """

    network: NetworkLayersConfig
    labelled: Path | None = None
    description: DescriptionConfig = DescriptionConfig()
    classes: Path | None = None
    parser: str | None = None
    ablation: AblationKind = "zero"
    schedule: Annotated[AblationSchedule, Only("fraction", "steps", "trials", "seed")] = (
        AblationSchedule()
    )
    first: str = "both"


class AuditStatistics(BootstrapConfig):
    """How false matches and intervals are estimated.

    Attributes:
        decoys: Decoys per layer, from which false matches are estimated; 0 for none.
    """

    decoys: Annotated[int, Field(ge=0)] = 200


class AuditConfig(ReportConfig):
    """What ``experiment audit`` reports on.

    Attributes:
        models: One or more of [CONDITION/PAIR=]MODEL[@WEIGHTS], such as
            unblurred/1=resnet18@a.safetensors.
        words: Words to look for, separated by commas; repeatable.
        layers: Names or patterns, separated by commas; repeatable; default: the catalog's choice.
        descriptions: CSV of existing descriptions; repeatable, one for each model.
        controls: Networks of the same architecture with random weights that are described as well,
            to estimate false matches; 0 for none.
    """

    models: Annotated[tuple[str, ...], typer.Argument()]
    words: Annotated[tuple[str, ...], typer.Option("--for")]
    layers: Names = ()
    descriptions: tuple[Path, ...] = ()
    description: Annotated[
        DescriptionConfig, Only("images", "describer", "options", "batch_size")
    ] = DescriptionConfig()
    search: SearchConfig = SearchConfig()
    statistics: AuditStatistics = AuditStatistics()
    controls: Annotated[int, Field(ge=0)] = 3


class EditConfig(BootstrapConfig, BatchConfig):
    """How an edit is chosen on validation images, and measured.

    Attributes:
        ablation: What ablated units are set to: zero, or their mean activation.
        max_units: Most units that the edit ablates; default: no limit.
        trials: Random draws of as many units as the edit ablates.
        candidate_draws: Random draws of candidates, from which an edit is chosen in the same way.
        tolerance: Accuracy that may be lost on validation images, if none are adversarial.
        finetune: Epochs of training the last layer after the edit; 0 for none.
    """

    ablation: AblationKind = "zero"
    max_units: Annotated[int | None, Field(ge=1), FormerName("--most")] = None
    trials: Annotated[int, Field(ge=1)] = 50
    candidate_draws: Annotated[int, Field(ge=0), FormerName("--alike")] = 5
    tolerance: float = 0.02
    finetune: Annotated[int, Field(ge=0)] = 0


class EditFoldersConfig(Config):
    """The folders of labelled images that an edit needs.

    Attributes:
        data: Folder with train, validation, validation-adversarial, test and test-adversarial, as
            `experiment spurious-text` writes.
        validation: Labelled images on which the edit is chosen.
        validation_adversarial: Such images in which the feature misleads, if there are any.
        test: Test images, for the report only.
        test_adversarial: Test images in which the feature misleads.
        train_images: Training images, for --ablation mean and --finetune.
    """

    data: Path | None = None
    validation: Path | None = None
    validation_adversarial: Path | None = None
    test: Path | None = None
    test_adversarial: Path | None = None
    train_images: Path | None = None


class EditNetworkConfig(ReportConfig):
    """What ``experiment edit`` does.

    Attributes:
        remove: Words to look for, separated by commas; repeatable.
        out: Folder for the report, tables and the edited network.
        classes: CSV folder,name,index of the classes, if the subfolders are not named and ordered
            as the network's classes are.
    """

    network: NetworkLayersConfig
    remove: tuple[str, ...]
    folders: EditFoldersConfig = EditFoldersConfig()
    description: DescriptionConfig = DescriptionConfig()
    search: SearchConfig = SearchConfig()
    classes: Path | None = None
    edit: Annotated[
        EditConfig,
        Only(
            "ablation",
            "max_units",
            "trials",
            "candidate_draws",
            "tolerance",
            "finetune",
            "resamples",
            "seed",
        ),
    ] = EditConfig()


class ClassifierConfig(DeviceConfig):
    """How a classifier is trained.

    Attributes:
        images: Training images, a subfolder per class.
        out: Weights to write, a .safetensors file.
        architecture: smallnet, or a classifier of torchvision.
        epochs: Passes over the images.
        batch_size: Images per step.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        shift: Most pixels by which an image is shifted in each direction.
        seed: Seed of the weights, the order of images and their shifts.
    """

    images: Annotated[Path, typer.Argument()]
    out: Annotated[Path, typer.Argument()]
    architecture: str = "smallnet"
    epochs: Annotated[int, Field(ge=1)] = 20
    batch_size: Annotated[int, Field(ge=2)] = 32
    learning_rate: float = 3e-3
    weight_decay: Annotated[float, PythonOnly] = 0.05
    shift: Annotated[int, PythonOnly] = 6
    seed: Annotated[int, Field(ge=0)] = 0


class TrialsConfig(DeviceConfig):
    """Which trials of an application are run.

    Attributes:
        application: Which application.
        out: Folder for the trials and their summary.
        seeds: Number of trials.
        first_seed: Seed of the first trial.
        method: Describer: retrieval or milan.
        cue: Spurious cue in training, for edit only.
    """

    application: Annotated[Literal["edit", "analyze", "audit"], typer.Argument()]
    out: Path
    seeds: Annotated[int, Field(ge=1)] = 5
    first_seed: Annotated[int, Field(ge=0)] = 10
    method: str = "retrieval"
    cue: Literal["text", "color"] = "text"

    @model_validator(mode="after")
    def _check_cue(self) -> TrialsConfig:
        if self.cue != "text" and self.application != "edit":
            raise InputError(f"--cue {self.cue} is for edit; {self.application} has no cue")
        return self

    @property
    def numbers(self) -> list[int]:
        """The seeds of all trials."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def file_name(self) -> str:
        """Name of the result files, without their suffix."""
        return self.application if self.cue == "text" else f"{self.application}-{self.cue}"

"""Options of ``milannotations experiment analyze``, ``audit`` and ``edit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import AfterValidator, Field

from applications.ablation_schedule import AblationSchedule
from benchmark.config import BootstrapConfig
from benchmark.text_encoders import DEFAULT_SENTENCE_ENCODER, ENCODER_HELP
from milannotations.command_options import Config, Only, PythonOnly
from milannotations.errors import InputError
from milannotations.exemplars.config import DEFAULT_WEIGHTS
from milannotations.exemplars.options import BuildOptions
from milannotations.shared_options import DescriberOptions, DeviceConfig, Names


def _checked_fill(how: str) -> str:
    if how not in ("zero", "mean"):
        raise InputError(f"--fill {how!r}; choose zero or mean")
    return how


def _checked_cosine(threshold: float) -> float:
    if not -1 <= threshold <= 1:
        raise InputError(f"--threshold {threshold}: a cosine is from -1 to 1")
    return threshold


Fill = Annotated[str, AfterValidator(_checked_fill)]


class BatchConfig(Config):
    """How many images are run at once.

    Attributes:
        batch_size: Images per forward pass.
    """

    batch_size: Annotated[int, Field(ge=2)] = 32


class EncoderConfig(Config):
    """What compares sentences."""

    encoder: Annotated[str, Field(description=f"Sentence encoder: {ENCODER_HELP}")] = (
        DEFAULT_SENTENCE_ENCODER
    )


class DescribingConfig(Config):
    """What describes units.

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
    """Where descriptions come from: units are described, or a file has them already.

    Attributes:
        images: Folder of images that exemplars are chosen from.
        descriptions: CSV of descriptions that exist already: nothing is built or described.
        exemplars: With --descriptions: dataset with the exemplars, to show them.
    """

    images: Path | None = None
    descriptions: Path | None = None
    exemplars: str | None = None
    describer: DescribingConfig = DescribingConfig()
    options: Annotated[BuildOptions, Only("k", "quantile")] = BuildOptions()

    def check(self) -> None:
        """Raise InputError if there is nothing to describe, or two ways to."""
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
        expand: Add words: none, wordnet or embeddings.
        threshold: Cosine above which embeddings add words.
        exact: Compare words as written, not by their stems.
    """

    expand: str = "none"
    threshold: Annotated[float, AfterValidator(_checked_cosine)] = 0.7
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
        out: Folder for report, tables, figures.
        overwrite: Replace results; what was measured is kept.
    """

    out: Path
    overwrite: bool = False


class AnalyzeConfig(EncoderConfig, ReportConfig):
    """What ``experiment analyze`` reports on.

    Attributes:
        labelled: Labelled images, one subfolder per class, for measuring accuracy.
        classes: CSV folder,name,index of the classes, where folders are not named so.
        parser: spaCy pipeline that parses; default any that is installed.
        fill: What ablated units are set to: zero, or their mean.
        first: Which units are ablated first: highest in a property, lowest, or both.
    """

    network: NetworkLayersConfig
    labelled: Path | None = None
    description: DescriptionConfig = DescriptionConfig()
    classes: Path | None = None
    parser: str | None = None
    fill: Fill = "zero"
    schedule: Annotated[AblationSchedule, Only("fraction", "steps", "trials", "seed")] = (
        AblationSchedule()
    )
    first: str = "both"


class AuditStatistics(BootstrapConfig):
    """What estimates false matches, and intervals.

    Attributes:
        decoys: Decoys per layer, by which false matches are estimated.
    """

    decoys: Annotated[int, Field(ge=0)] = 200


class AuditConfig(ReportConfig):
    """What ``experiment audit`` reports on.

    Attributes:
        models: One or more of [CONDITION/PAIR=]MODEL[@WEIGHTS], such as
            unblurred/1=resnet18@a.safetensors.
        words: Words to look for, separated by commas; repeatable.
        layers: Names or patterns, separated by commas; repeatable; default: the catalog's choice.
        descriptions: CSV of descriptions that exist already, one for each model.
        controls: Networks of the same architecture with random weights that are described too, by
            which false matches are estimated; 0 for none.
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
        fill: What ablated units are set to: zero, or their mean.
        most: Most units that the edit ablates.
        trials: Random draws of as many units as are ablated.
        alike: Random draws of candidates, chosen among in the same way.
        tolerance: Accuracy that may be lost on validation images, where none are adversarial.
        finetune: Epochs of training the last layer again; 0 for none.
    """

    fill: Fill = "zero"
    most: Annotated[int | None, Field(ge=1)] = None
    trials: Annotated[int, Field(ge=1)] = 50
    alike: Annotated[int, Field(ge=0)] = 5
    tolerance: float = 0.02
    finetune: Annotated[int, Field(ge=0)] = 0


class EditFoldersConfig(Config):
    """The folders of labelled images that an edit needs.

    Attributes:
        data: Folder with train, validation, validation-adversarial, test and test-adversarial, as
            `experiment spurious-text` writes.
        validation: Labelled images that the edit is chosen on.
        validation_adversarial: The same where the feature misleads, if there are any.
        test: Test images: only to report on.
        test_adversarial: Test images where the feature misleads.
        train_images: Training images, for --fill mean and --finetune.
    """

    data: Path | None = None
    validation: Path | None = None
    validation_adversarial: Path | None = None
    test: Path | None = None
    test_adversarial: Path | None = None
    train_images: Path | None = None


class EditNetworkConfig(ReportConfig):
    """What ``experiment edit`` takes out of a network.

    Attributes:
        remove: Words to look for, separated by commas; repeatable.
        out: Folder for report, tables, the edited network.
        classes: CSV folder,name,index of the classes, where folders are not named so.
    """

    network: NetworkLayersConfig
    remove: tuple[str, ...]
    folders: EditFoldersConfig = EditFoldersConfig()
    description: DescriptionConfig = DescriptionConfig()
    search: SearchConfig = SearchConfig()
    classes: Path | None = None
    edit: Annotated[
        EditConfig,
        Only("fill", "most", "trials", "alike", "tolerance", "finetune", "resamples", "seed"),
    ] = EditConfig()


class ClassifierConfig(DeviceConfig):
    """How a classifier is trained.

    Attributes:
        images: Training images, a subfolder per class.
        out: Weights to write, a .safetensors file.
        architecture: smallnet, or a classifier of torchvision.
        epochs: Passes over the images.
        batch_size: Images per step.
        learning_rate: Greatest learning rate of AdamW's cycle.
        weight_decay: Weight decay of AdamW.
        shift: Most pixels by which an image is moved in each direction.
        seed: Seed of the initial weights, the order and the changes of images.
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
        what: Which application.
        out: Folder for trials and their summary.
        seeds: How many trials.
        first_seed: The first seed.
        method: Describer: retrieval or milan.
        cue: For edit: the spurious cue in training.
    """

    what: Annotated[Literal["edit", "analyze", "audit"], typer.Argument()]
    out: Path
    seeds: Annotated[int, Field(ge=1)] = 5
    first_seed: Annotated[int, Field(ge=0)] = 10
    method: str = "retrieval"
    cue: Literal["text", "color"] = "text"

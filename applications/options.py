"""Options that the three commands share, and what they are turned into."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.text_encoders import DEFAULT_SENTENCE_ENCODER, ENCODER_HELP
from milannotations.device import DEVICE_HELP

if TYPE_CHECKING:
    import torch

    from applications.labelled import AblationEvaluator, ClassImages
    from applications.network_descriptions import DescribedNetwork, LazyDescriber
    from applications.word_search import WordSearch
    from milannotations.ablation import Site
    from milannotations.catalog.models import LoadedModel

Model = Annotated[
    str,
    typer.Argument(help="a model of the catalog, torchvision:NAME, timm:NAME, hf:OWNER/NAME, …"),
]
Weights = Annotated[
    str, typer.Option(help="published, random, or a .safetensors, .pt or .pth file")
]
Layers = Annotated[
    list[str] | None,
    typer.Option(help="names or patterns, by commas; repeatable; default: the catalog's choice"),
]
Images = Annotated[
    Path | None, typer.Option(help="folder of images that exemplars are chosen from")
]
Descriptions = Annotated[
    Path | None,
    typer.Option(help="CSV of descriptions that exist already: nothing is built or described"),
]
Exemplars = Annotated[
    str | None, typer.Option(help="with --descriptions: dataset with the exemplars, to show them")
]
Method = Annotated[str, typer.Option(help="describer")]
DescriberOptions = Annotated[
    list[str] | None, typer.Option("--option", help="NAME=VALUE for the describer; repeatable")
]
Train = Annotated[
    str,
    typer.Option(
        help="what the describer learns from: demo, a dataset, lessons (rendered scenes with text "
        "and faces), or none"
    ),
]
TrainSplit = Annotated[str, typer.Option(help="its split")]
K = Annotated[int, typer.Option(min=1, help="exemplars per unit")]
Quantile = Annotated[float, typer.Option(help="activation quantile that is the threshold")]
Encoder = Annotated[str, typer.Option(help=f"sentence encoder: {ENCODER_HELP}")]
Classes = Annotated[
    Path | None,
    typer.Option(help="CSV folder,name,index of the classes, where folders are not named so"),
]
Fill = Annotated[str, typer.Option(help="what ablated units are set to: zero, or their mean")]
Expand = Annotated[str, typer.Option(help="add words: none, wordnet or embeddings")]
Threshold = Annotated[float, typer.Option(help="cosine of words that embeddings add")]
Exact = Annotated[bool, typer.Option(help="compare words as written, not by their stems")]
BatchSize = Annotated[int, typer.Option(min=2, help="images per forward pass")]
Seed = Annotated[int, typer.Option(min=0, help="seed of all that is drawn")]
Resamples = Annotated[int, typer.Option(min=1000, help="bootstrap resamples")]
Overwrite = Annotated[bool, typer.Option(help="replace results; what was measured is kept")]
Device = Annotated[str, typer.Option(help=DEVICE_HELP)]
_WRITTEN = (
    "report.html",
    "layers.csv",
    "units.csv",
    "importance.csv",
    "curves.csv",
    "layers.png",
    "importance-network.png",
    "importance-layer.png",
    "model-card.csv",
    "comparison.csv",
    "matches-by-layer.png",
    "choices.json",
    "edit.json",
    "candidates.csv",
    "outcomes.csv",
    "curves.png",
    "random-weights.csv",
    "random-weights.png",
    "classes.csv",
    "classes-network.png",
    "classes-layer.png",
)
DEFAULT_ENCODER = DEFAULT_SENTENCE_ENCODER


@dataclass(frozen=True)
class DescriptionSource:
    """How descriptions are come by.

    Attributes:
        images: Folder that exemplars are chosen from.
        descriptions: A file of them, instead.
        exemplars: With a file: the dataset to show.
        speaker: Who describes.
        k: Exemplars per unit.
        quantile: See ``BuildOptions``.
        batch_size: Images per forward pass.
    """

    images: Path | None
    descriptions: Path | None
    exemplars: str | None
    speaker: LazyDescriber
    k: int
    quantile: float
    batch_size: int

    def check(self) -> None:
        """Raise InputError if there is nothing to describe, or two ways to."""
        from milannotations.errors import InputError

        if (self.images is None) == (self.descriptions is None):
            raise InputError(
                "give --images, a folder that exemplars are chosen from, or --descriptions, a file"
            )
        if self.exemplars is not None and self.descriptions is None:
            raise InputError(
                "--exemplars goes with --descriptions; exemplars of --images are built"
            )

    def describe(
        self,
        loaded: LoadedModel,
        sites: Mapping[str, Site],
        work: Path,
        device: torch.device,
    ) -> DescribedNetwork:
        """Return the network with its descriptions."""
        from applications.network_descriptions import describe_network, described_by_file
        from milannotations.exemplars.options import BuildOptions

        if self.descriptions is not None:
            return described_by_file(loaded, sites, self.descriptions, self.exemplars, device)
        assert self.images is not None
        options = BuildOptions(
            k=self.k,
            quantile=self.quantile,
            batch_size=self.batch_size,
            in_place=loaded.in_place,
            masks=loaded.masks,
        )
        return describe_network(
            loaded, sites, self.images, work, self.speaker, options=options, device=device
        )

    def facts(self) -> dict[str, str]:
        """Return how descriptions were come by."""
        if self.descriptions is not None:
            return {"descriptions": self.descriptions.name}
        return {
            "describer": self.speaker.title,
            "exemplars": f"{self.k} per unit, threshold at quantile {self.quantile:g}",
        }


def describer_of(
    method: str, options: list[str] | None, train: str, train_split: str, k: int = 15
) -> LazyDescriber:
    """Return who describes; what is wrong with its options is said before long work."""
    from applications.network_descriptions import LESSONS, LazyDescriber
    from milannotations.describer import check_options
    from milannotations.loading import load_split
    from milannotations.options import read_options

    given = read_options(options or [])
    check_options(method, given)
    if train not in ("none", "demo", LESSONS):
        load_split(train, train_split)  # said now, not after exemplars are built
    learned = None if train == "none" else train
    return LazyDescriber(method, given, learned, train_split, k)


def check_expansion(how: str, threshold: float) -> None:
    """Raise InputError if words cannot be added in such a way; before anything is built."""
    from applications.word_lists import WordList, expand
    from milannotations.errors import InputError

    if not -1 <= threshold <= 1:
        raise InputError(f"--threshold {threshold}: a cosine is from -1 to 1")
    if how != "embeddings":  # which needs descriptions
        expand(WordList(("word",)), how)


def check_fill(how: str) -> None:
    """Raise InputError if units cannot be set to that."""
    from milannotations.errors import InputError

    if how not in ("zero", "mean"):
        raise InputError(f"--fill {how!r}; choose zero or mean")


def search_of(
    terms: list[str],
    how: str,
    threshold: float,
    exact: bool,
    encoder: str,
    texts: list[str],
    device: torch.device,
) -> WordSearch:
    """Return what descriptions are searched for."""
    from applications.word_search import WordSearch
    from benchmark.metrics.sentence import sentence_encoder

    reader = sentence_encoder(encoder, str(device)) if how == "embeddings" else None
    return WordSearch.of(
        terms, how, exact=exact, threshold=threshold, encoder=reader, descriptions=texts
    )


def labelled_sets(
    folders: Mapping[str, Path], loaded: LoadedModel, classes: Path | None, device: torch.device
) -> dict[str, ClassImages]:
    """Open labelled images and check that their classes are the network's."""
    from applications.labelled import ClassImages, check_alike, read_classes
    from applications.network_descriptions import outputs_of

    listed = read_classes(classes) if classes is not None else None
    sets = {
        name: ClassImages(folder, loaded.preprocessing, listed) for name, folder in folders.items()
    }
    first = next(iter(sets.values()))
    check_alike(sets, outputs_of(loaded, first.example().to(device)))
    return sets


def fill_of(
    how: str,
    loaded: LoadedModel,
    sites: Mapping[str, Site],
    images: Any,
    device: torch.device,
    batch_size: int,
) -> dict[str, torch.Tensor] | None:
    """Return what ablated units are set to; None for 0."""
    from milannotations.ablation.means import mean_fill

    if how == "zero":
        return None
    return mean_fill(
        loaded.module, sites, images, layouts=loaded.layouts, device=device, batch_size=batch_size
    )


def bench_of(
    loaded: LoadedModel,
    sites: Mapping[str, Site],
    images: ClassImages,
    fill: dict[str, torch.Tensor] | None,
    work: Path,
    device: torch.device,
    batch_size: int,
) -> AblationEvaluator:
    """Return what measures the network."""
    from applications.labelled import AblationEvaluator

    return AblationEvaluator(
        loaded.module,
        sites,
        images,
        fill=fill,
        work=work / "measured",
        device=device,
        batch_size=batch_size,
    )


def keeps_work(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command say, when Ctrl-C ends it, that the work in its folder is kept."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        from milannotations.interruption import AGAIN, saying_what_is_kept

        notice = f"what was finished is kept in {options['out'] / 'work'}: {AGAIN}"
        with saying_what_is_kept(lambda: notice):
            command(*arguments, **options)

    return run


def prepare_out(out: Path, overwrite: bool) -> Path:
    """Make the folder of results; return the folder of work in it, which outlives interruption.

    Raises:
        InputError: If there is a report already and it is not to be replaced.
    """
    from milannotations.data_home import make_folder
    from milannotations.errors import InputError
    from milannotations.progress import note
    from milannotations.storage import check_folder

    check_folder(out)
    if (out / "report.html").exists() and not overwrite:
        raise InputError(f"{out} has a report already; choose another folder or pass --overwrite")
    if overwrite:
        # The report first: it marks what is complete.
        for name in _WRITTEN:
            (out / name).unlink(missing_ok=True)
        for figure in out.glob("comparison-*.png"):
            figure.unlink()
        shutil.rmtree(out / "edited", ignore_errors=True)
    work = make_folder(out / "work")
    if any(work.iterdir()):
        note(f"going on: what is kept in {work} is used again where it fits")
    return work

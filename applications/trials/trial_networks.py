"""Networks for trials: trained on rendered images, and described by one describer."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from applications.classifier import train_classifier
from applications.config import ClassifierConfig
from applications.network_descriptions import (
    DescribedNetwork,
    LazyDescriber,
    describe_network,
    load_network,
)
from applications.spurious_data.color_cue import ColorCue
from applications.spurious_data.config import SpuriousColorConfig, SpuriousTextConfig
from applications.spurious_data.dataset import write_spurious_images
from applications.spurious_data.text_cue import TextCue
from milannotations.catalog import small
from milannotations.catalog.models import LoadedModel
from milannotations.exemplars.options import BuildOptions
from milannotations.hook_points.hook_point import HookPoint
from milannotations.json_files import read_json
from milannotations.storage import atomic_path
from milannotations.storage.tidying import tidy_up
from milannotations.worlds.classes import write_class_images

# Options of MILAN for this scale.
SMALL_MILAN: dict[str, Any] = {
    "encoder": "efficientnet_lite0",
    "hidden": 128,
    "epochs": 40,
    "learning_rate": 0.005,
    "batch_size": 32,
    "language_model_batch_size": 32,
    "stop_on": "loss",
    "resample": True,
}
_PROBE = 30  # training images per class among those that exemplars are chosen from


@dataclass(frozen=True)
class TrialScale:
    """How much is rendered and trained.

    Attributes:
        classes: Number of classes.
        train: Training images per class.
        validation: Validation images per class.
        test: Test images per class.
        epochs: Epochs of training.
        noise: Standard deviation of the pixels' noise, of 255.
        k: Exemplars per unit.
    """

    classes: int
    train: int
    validation: int
    test: int
    epochs: int
    noise: float
    k: int = 10

    @property
    def per_class(self) -> dict[str, int]:
        """Images of each class, by split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


EDITING = TrialScale(classes=8, train=220, validation=20, test=40, epochs=18, noise=28.0)
AUDITING = TrialScale(classes=4, train=350, validation=50, test=50, epochs=24, noise=20.0)


@dataclass(frozen=True)
class Trial:
    """One trial: its seed, and what it runs with.

    Attributes:
        seed: Seed of images, training and draws.
        folder: Folder of this seed.
        describer: Describer of all networks.
        device: Where networks run.
    """

    seed: int
    folder: Path
    describer: LazyDescriber
    device: torch.device

    @property
    def work(self) -> Path:
        """Folder for exemplars, descriptions and measurements."""
        return self.folder / "work"

    @property
    def facts(self) -> dict[str, str]:
        """What reports say about the trial."""
        return {"seed": str(self.seed), "describer": self.describer.title}

    def train(self, images: Path, name: str, scale: TrialScale) -> Path:
        """Train a small network on a folder, unless that is done; return its weights."""
        weights = self.folder / f"{name}.safetensors"
        settings = {"scale": asdict(scale), "seed": self.seed, "folder": images.name}
        if is_missing(weights, **settings):
            train_classifier(
                ClassifierConfig(
                    images=images,
                    out=weights,
                    epochs=scale.epochs,
                    seed=self.seed,
                    device=str(self.device),
                )
            )
            record_settings(weights, **settings)
        return weights

    def describe(self, weights: Path, probe: Path, scale: TrialScale) -> DescribedNetwork:
        """Describe a small network; exemplars are chosen from ``probe``."""
        loaded, points = load_network(small.NAME, str(weights), probe, (), self.device)
        return self.describe_loaded(loaded, points, probe, scale)

    def describe_loaded(
        self, loaded: LoadedModel, points: Mapping[str, HookPoint], probe: Path, scale: TrialScale
    ) -> DescribedNetwork:
        """Describe a network that is loaded already."""
        options = BuildOptions(k=scale.k)
        return describe_network(
            loaded, points, probe, self.work, self.describer, options=options, device=self.device
        )


def lesson_describer(method: str, k: int, device: str) -> LazyDescriber:
    """Return a describer that is trained on the lessons, once for all networks."""
    options = SMALL_MILAN if method == "milan" else {}
    untrained = LazyDescriber(method, options, "lessons", k=k)
    return replace(untrained, trained=(untrained.get(device), untrained.identity))


def is_missing(path: Path, **settings: Any) -> bool:
    """Return whether a file or folder must be made: none is there, or one of other settings.

    One of other settings is removed.
    """
    note = _settings_file(path)
    for finished in (path, note):
        tidy_up(finished)
    wanted = json.dumps(settings, sort_keys=True, default=str)
    if path.exists() and note.is_file() and note.read_text(encoding="utf-8") == wanted:
        return False
    note.unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return True


def record_settings(path: Path, **settings: Any) -> None:
    """Record that a file or folder is complete, and the settings that it was made with."""
    with atomic_path(_settings_file(path)) as note:
        note.write_text(json.dumps(settings, sort_keys=True, default=str), encoding="utf-8")


def _settings_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.settings.json")


def cue_images(folder: Path, scale: TrialScale, seed: int, cue: str) -> Path:
    """Render the task with a spurious cue, and the same training images without.

    The folder named as the cue is returned. Beside it are ``plain``, the images without the cue,
    and a folder that exemplars are chosen from (see ``probe_of``): validation images with and
    without the cue and some training images, but no test images.

    Args:
        folder: A folder.
        scale: How much is rendered.
        seed: Seed of the images and the cue.
        cue: ``text`` or ``color``.
    """
    settings = {"scale": asdict(scale), "seed": seed}
    out = folder / cue
    if not is_missing(out, **settings):
        return out
    plain, probe = folder / "plain", probe_of(folder, cue)
    if is_missing(plain, **settings):
        _render(plain, scale, seed)
        record_settings(plain, **settings)
    is_text = cue == "text"
    config = SpuriousTextConfig if is_text else SpuriousColorConfig
    write_spurious_images(config(images=plain, out=out, fraction=0.5, seed=seed, overwrite=True))
    shutil.rmtree(probe, ignore_errors=True)
    training_images: Counter[str] = Counter()
    listing = TextCue.listing if is_text else ColorCue.listing
    for entry in read_json(out / listing, dict)["files"]:
        if entry["split"].startswith("test"):
            continue
        if entry["split"] == "train":
            training_images[entry["class"]] += 1
            if training_images[entry["class"]] > _PROBE:
                continue
        copy = probe / entry["file"]
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / entry["file"], copy)
    record_settings(out, **settings)
    return out


def probe_of(folder: Path, cue: str) -> Path:
    """Return the folder of images that exemplars are chosen from."""
    return folder / ("probe" if cue == "text" else f"probe-{cue}")


def face_images(folder: Path, scale: TrialScale, seed: int, blurred: bool) -> Path:
    """Render the task with faces, blurred in training or not; return the folder."""
    settings = {"scale": asdict(scale), "seed": seed, "blurred": blurred}
    out = folder / ("blurred" if blurred else "unblurred")
    if is_missing(out, **settings):
        _render(out, scale, seed, faces=True, blurred=blurred)
        record_settings(out, **settings)
    return out


def _render(out: Path, scale: TrialScale, seed: int, **options: bool) -> None:
    write_class_images(
        out,
        classes=scale.classes,
        per_class=scale.per_class,
        seed=seed,
        noise=scale.noise,
        overwrite=True,
        **options,
    )

"""Networks for trials: trained on rendered images with a cue, and described by one describer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
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
from applications.spurious_data import color_cue, text_cue
from applications.spurious_data.color_cue import write_spurious_color
from applications.spurious_data.config import (
    SpuriousColorConfig,
    SpuriousConfig,
    SpuriousTextConfig,
)
from applications.spurious_data.text_cue import write_spurious_text
from milannotations.catalog import small
from milannotations.exemplars.options import BuildOptions
from milannotations.json_files import read_json
from milannotations.storage import atomic_path
from milannotations.worlds.classes import write_class_images

# Options of MILAN that do at this scale.
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
# What writes the images of a cue, and its listing.
# Of each cue: what is written, how, and the name of its listing.
_CUES: dict[str, tuple[type[SpuriousConfig], Callable[[Any], Path], str]] = {
    "text": (SpuriousTextConfig, write_spurious_text, text_cue.LISTING),
    "color": (SpuriousColorConfig, write_spurious_color, color_cue.LISTING),
}
_PROBE = 30  # training images of each class among those exemplars are chosen from


@dataclass(frozen=True)
class TrialScale:
    """How much is rendered and trained.

    Attributes:
        classes: Classes of the task.
        train: Training images of each.
        validation: Validation images of each.
        test: Test images of each.
        epochs: Of training.
        noise: Of the images.
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


def speaker(method: str, k: int, device: str) -> LazyDescriber:
    """Return a describer that has learned from the lessons, once for all networks."""
    options = SMALL_MILAN if method == "milan" else {}
    fresh = LazyDescriber(method, options, "lessons", k=k)
    return replace(fresh, ready=(fresh.learned(device), fresh.identity))


def once(path: Path, **settings: Any) -> bool:
    """Say whether something has still to be made: nothing is there, or of other settings.

    What is there of other settings is removed.
    """
    note = path.with_name(f"{path.name}.settings.json")
    wanted = json.dumps(settings, sort_keys=True, default=str)
    if path.exists() and note.is_file() and note.read_text(encoding="utf-8") == wanted:
        return False
    note.unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return True


def made(path: Path, **settings: Any) -> None:
    """Note that something has been made."""
    with atomic_path(path.with_name(f"{path.name}.settings.json")) as note:
        note.write_text(json.dumps(settings, sort_keys=True, default=str), encoding="utf-8")


def cue_images(place: Path, scale: TrialScale, seed: int, cue: str) -> Path:
    """Render the task with a spurious cue, and the same training images without; return where.

    Beside the folder named as the cue there is ``plain``, the images without it, and a folder that
    exemplars are chosen from (see ``probe_of``): validation images with and without the cue and
    some training images, no test images.

    Args:
        place: A folder.
        scale: How much is rendered.
        seed: Of the images and the cue.
        cue: ``text`` or ``color``.
    """
    settings = {"scale": asdict(scale), "seed": seed}
    out = place / cue
    if not once(out, **settings):
        return out
    plain, probe = place / "plain", probe_of(place, cue)
    if once(plain, **settings):
        write_class_images(
            plain,
            classes=scale.classes,
            per_class=scale.per_class,
            seed=seed,
            noise=scale.noise,
            overwrite=True,
        )
        made(plain, **settings)
    config, write, listing = _CUES[cue]
    write(config(images=plain, out=out, seed=seed, overwrite=True))
    shutil.rmtree(probe, ignore_errors=True)
    seen: dict[str, int] = {}
    for entry in read_json(out / listing, dict)["files"]:
        if entry["split"].startswith("test"):
            continue
        if entry["split"] == "train":
            seen[entry["class"]] = seen.get(entry["class"], 0) + 1
            if seen[entry["class"]] > _PROBE:
                continue
        target = probe / entry["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / entry["file"], target)
    made(out, **settings)
    return out


def probe_of(place: Path, cue: str) -> Path:
    """Return the folder of images that exemplars are chosen from."""
    return place / ("probe" if cue == "text" else f"probe-{cue}")


def face_images(place: Path, scale: TrialScale, seed: int, blurred: bool) -> Path:
    """Render the task with faces; return where."""
    settings = {"scale": asdict(scale), "seed": seed, "blurred": blurred}
    out = place / ("blurred" if blurred else "unblurred")
    if once(out, **settings):
        write_class_images(
            out,
            classes=scale.classes,
            per_class=scale.per_class,
            seed=seed,
            noise=scale.noise,
            faces=True,
            blurred=blurred,
            overwrite=True,
        )
        made(out, **settings)
    return out


def trained(folder: Path, weights: Path, scale: TrialScale, seed: int, device: str) -> Path:
    """Train a small network on a folder, unless that is done; return its weights."""
    settings = {"scale": asdict(scale), "seed": seed, "folder": folder.name}
    if once(weights, **settings):
        train_classifier(
            ClassifierConfig(
                images=folder, out=weights, epochs=scale.epochs, seed=seed, device=device
            )
        )
        made(weights, **settings)
    return weights


def described(
    weights: Path,
    images: Path,
    work: Path,
    who: LazyDescriber,
    scale: TrialScale,
    device: torch.device,
) -> DescribedNetwork:
    """Describe a small network."""
    loaded, sites = load_network(small.NAME, str(weights), images, (), device)
    return describe_network(
        loaded, sites, images, work, who, options=BuildOptions(k=scale.k), device=device
    )

"""Training a classifier on a folder of images, and its accuracy on others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from applications.class_folders import classes_of
from applications.config import ClassifierConfig
from milannotations.catalog import small, torchvision_models
from milannotations.catalog.models import load_model
from milannotations.device import resolve_device
from milannotations.errors import InputError, did_you_mean
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.json_files import read_json
from milannotations.pictures import opened
from milannotations.progress import progress_bar
from milannotations.storage import atomic_path, check_file

_READERS = 4
_EVALUATED = 256  # images at once
_WARM = 0.1  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class TrainedClassifier:
    """A trained classifier.

    Attributes:
        module: The network, in evaluation mode.
        preprocessing: Turns an image into an input.
        classes: Its classes, in the order of its outputs.
        train_accuracy: Accuracy on the training images, 0 to 1.
        losses: Mean loss of each epoch.
    """

    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    train_accuracy: float
    losses: tuple[float, ...]


@dataclass(frozen=True)
class ImageTensors:
    """Labelled images in memory.

    Attributes:
        pixels: uint8, (images, 3, height, width).
        labels: int64, (images,): indices into ``classes``.
        classes: Names of the classes.
        preprocessing: Turns images into inputs.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    preprocessing: Preprocessing

    def inputs(self, indices: Tensor, device: torch.device) -> Tensor:
        """Return normalized images, float32 (n, 3, height, width)."""
        scaled = self.pixels[indices].to(device).float() / 255
        mean, std = (
            torch.tensor(values, device=device).view(1, -1, 1, 1)
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        return (scaled - mean) / std


def train_classifier(config: ClassifierConfig) -> TrainedClassifier:
    """Train a classifier from random weights and write these, with what is known of it beside.

    AdamW with one cycle of the learning rate. Images are moved by some pixels and changed in
    brightness and contrast, but never mirrored: writing would no longer be legible. All images are
    held in memory. The same seed gives the same weights on the same machine. A JSON file beside the
    weights has the classes, the settings and the accuracy in training.

    Raises:
        InputError: If the images or a setting cannot be used; before anything is trained.
    """
    device = resolve_device(config.device)
    if config.learning_rate <= 0 or config.weight_decay < 0 or config.shift < 0:
        raise InputError(
            f"learning_rate={config.learning_rate}, weight_decay={config.weight_decay}, "
            f"shift={config.shift}: take a learning rate above 0, and no negative number"
        )
    check_file(config.out, overwrite=True)
    if config.out.suffix != ".safetensors":
        raise InputError(f"weights file {config.out}: its name must end in .safetensors")
    preprocessing = _preprocessing(config.architecture)
    images = read_images(config.images, preprocessing)
    # Random numbers are drawn on the CPU, so that devices see the same images in the same order.
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        module = _initialized(config.architecture, len(images.classes)).to(device)
        losses = _fit(module, images, generator, device, config)
    module = module.cpu().eval().to(memory_format=torch.contiguous_format)
    right = accuracy(predictions(module, images, str(device)), images.labels)
    facts = {
        "architecture": config.architecture,
        "classes": list(images.classes),
        "images": len(images.labels),
        "train_accuracy": right,
        "losses": losses,
        "settings": {
            "epochs": config.epochs,
            "batch_size": config.batch_size,
            "learning_rate": config.learning_rate,
            "weight_decay": config.weight_decay,
            "shift": config.shift,
            "seed": config.seed,
        },
    }
    with atomic_path(config.out, alone=True) as path:
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, path)
    with atomic_path(config.out.with_suffix(".json")) as path:
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return TrainedClassifier(module, preprocessing, images.classes, right, tuple(losses))


def load_classifier(weights: Path) -> TrainedClassifier:
    """Load what ``train_classifier`` wrote.

    Raises:
        InputError: If the weights, or the JSON file beside them, are missing or do not fit.
    """
    beside = weights.with_suffix(".json")
    try:
        facts = read_json(beside, dict, constants=True)
        classes = tuple(map(str, facts["classes"]))
        right, losses = float(facts["train_accuracy"]), tuple(map(float, facts["losses"]))
        architecture = str(facts["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, InputError) else repr(error)
        raise InputError(
            f"{beside}, which describes the classifier of {weights}, cannot be read ({why}); "
            "train the classifier again"
        ) from error
    loaded = load_model(architecture, str(weights))
    return TrainedClassifier(loaded.module.eval(), loaded.preprocessing, classes, right, losses)


def read_images(
    folder: Path, preprocessing: Preprocessing, classes: Sequence[str] | None = None
) -> ImageTensors:
    """Read a folder with one subfolder per class into memory.

    Args:
        folder: The folder.
        preprocessing: Preprocessing of the network.
        classes: The classes that it must have, in this order; default: those it has.

    Raises:
        InputError: If an image is unreadable, or classes differ or have no images.
    """
    paths = classes_of(folder)
    names = tuple(classes) if classes is not None else tuple(paths)
    if set(names) != set(paths):
        odd = ", ".join(sorted(set(names) ^ set(paths))[:5])
        raise InputError(f"image folder {folder} has other classes than the network: {odd}")
    pairs = [(path, index) for index, name in enumerate(names) for path in paths[name]]
    height, width = preprocessing.shape
    pixels = torch.empty(len(pairs), 3, height, width, dtype=torch.uint8)

    def read(number: int) -> None:
        with opened(pairs[number][0]) as image:
            view = preprocessing.view(image)
        pixels[number] = torchvision.transforms.v2.functional.pil_to_tensor(view)

    with progress_bar() as progress, ThreadPoolExecutor(_READERS) as pool:
        reads = pool.map(read, range(len(pairs)))
        for _ in progress.track(reads, total=len(pairs), description="Reading images"):
            pass
    return ImageTensors(pixels, torch.tensor([index for _, index in pairs]), names, preprocessing)


@torch.no_grad()
def predictions(module: nn.Module, images: ImageTensors, device: str = "auto") -> Tensor:
    """Return the network's scores of images, float32 (images, classes), on the CPU."""
    processor = resolve_device(device)
    module = module.to(processor).eval()
    batches = torch.arange(len(images.labels)).split(_EVALUATED)
    scores = torch.cat([module(images.inputs(rows, processor)).float().cpu() for rows in batches])
    module.cpu()
    return scores


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Return the share of images whose highest score is that of their class.

    >>> accuracy(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 1]))
    0.5
    """
    return float((scores.argmax(1) == labels).double().mean())


def _preprocessing(architecture: str) -> Preprocessing:
    if architecture == small.NAME:
        return small.PREPROCESSING
    names = [small.NAME, *torchvision_models.names()]
    if architecture not in names:
        raise InputError(
            f"no architecture is named {architecture!r}{did_you_mean(architecture, names)}; take "
            f"{small.NAME} or a classifier of torchvision"
        )
    return load_model(architecture, "random").preprocessing


def _initialized(architecture: str, classes: int) -> nn.Module:
    if architecture == small.NAME:
        return small.SmallNet(classes)
    # Not the catalog's own, which may have other names for some layers: it reads these as well.
    make = torchvision.models.get_model
    module: nn.Module = make(architecture, weights=None, num_classes=classes)
    return module


def _fit(
    module: nn.Module,
    images: ImageTensors,
    generator: torch.Generator,
    device: torch.device,
    config: ClassifierConfig,
) -> list[float]:
    count = len(images.labels)
    batch_size, epochs = config.batch_size, config.epochs
    # A last batch of one image has no variance to normalize by.
    steps = [s for s in range(0, count, batch_size) if count - s > 1]
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=epochs * len(steps), pct_start=_WARM
    )
    losses = []
    # A quarter faster on CPUs; convolutions give the same layout on.
    module.train().to(memory_format=torch.channels_last)
    with progress_bar() as progress:
        bar = progress.add_task("Training", total=epochs * len(steps))
        for _ in range(epochs):
            order = torch.randperm(count, generator=generator)
            total = 0.0
            for first in steps:
                batch = order[first : first + batch_size]
                inputs = _augmented(images.inputs(batch, device), config.shift, generator)
                output = module(inputs.contiguous(memory_format=torch.channels_last))
                scores = output if isinstance(output, Tensor) else output[0]  # auxiliary heads
                loss = functional.cross_entropy(scores, images.labels[batch].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(batch)
                progress.advance(bar)
            losses.append(total / count)
    return losses


def _augmented(inputs: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Shift each image by its own number of pixels, and change its brightness and contrast."""
    count = len(inputs)
    moves = torch.randint(0, 2 * shift + 1, (count, 2), generator=generator).tolist()
    light = torch.rand(count, 2, generator=generator).to(inputs.device) - 0.5
    inputs = inputs * (1 + 0.4 * light[:, :1, None, None]) + 0.4 * light[:, 1:, None, None]
    height, width = inputs.shape[-2:]
    padded = functional.pad(inputs, (shift,) * 4, mode="replicate")
    moved = zip(padded, moves, strict=True)
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in moved])

"""Labelled images, and the accuracy of a network under ablations on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from milannotations.ablation import Ablation, AblationRunner
from milannotations.ablation.ablated import Means
from milannotations.arrays import read_array
from milannotations.errors import InputError, did_you_mean
from milannotations.exemplars.batches import Batch, Loadable, collate
from milannotations.hook_points.hook_point import HookPoint
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import ImageFolder
from milannotations.numerals import count_of
from milannotations.progress import progress_bar
from milannotations.rows import read_rows
from milannotations.storage import atomic_path
from milannotations.storage.tidying import tidy_up

_CACHED_BYTES = 2_000_000_000  # of inputs that stay in memory
_CHUNK = 64  # ablations whose results are saved together
Floats = NDArray[np.float64]


class ClassImages:
    """Images in one subfolder per class, in the order of torchvision's ImageFolder.

    Args:
        root: The folder.
        preprocessing: The network's own.
        classes: By subfolder, the name of the class and its output of the network; see
            ``read_classes``. Default: the subfolders' names, and outputs in their order.

    Attributes:
        folders: The subfolders, sorted.
        classes: Names of the classes.
        indices: Outputs of the network that stand for them.
        listed: Whether ``classes`` was given.
        labels: int64 (images,).

    Raises:
        InputError: If there is no such folder, there are fewer than two classes, an image belongs
            to none, or ``classes`` lacks a subfolder.
    """

    def __init__(
        self,
        root: Path,
        preprocessing: Preprocessing,
        classes: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        self.root = root
        self.source = ImageFolder(root, preprocessing)
        paths = [Path(self.source.name(i)).parts for i in range(len(self.source))]
        loose = [names[0] for names in paths if len(names) == 1]
        if loose:
            raise InputError(
                f"{root}: image {loose[0]} is in no subfolder; labelled images lie in one "
                "subfolder per class"
            )
        # Sorted, since the images are.
        self.folders = tuple(dict.fromkeys(names[0] for names in paths))
        if len(self.folders) < 2:
            raise InputError(
                f"{root} has images of one class only ({self.folders[0]}): accuracy on them says "
                "nothing; give at least two"
            )
        class_of = classes or {f: (f, i) for i, f in enumerate(self.folders)}
        unknown = [folder for folder in self.folders if folder not in class_of]
        if unknown:
            raise InputError(
                f"{root}: the list of classes lacks {unknown[0]!r}"
                f"{did_you_mean(unknown[0], class_of)}"
            )
        self.classes = tuple(class_of[folder][0] for folder in self.folders)
        self.indices = tuple(class_of[folder][1] for folder in self.folders)
        if len(set(self.indices)) < len(self.indices):
            raise InputError(f"{root}: two classes have the same index in the list of classes")
        self.labels = torch.tensor([class_of[names[0]][1] for names in paths])
        self.listed = classes is not None
        self._cached: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def identity(self) -> str:
        """A hash of the files, the preprocessing and the labels."""
        sums = [self.source.checksum(i) for i in range(len(self))]
        text = json.dumps([self.source.identity(), sums, self.labels.tolist()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and labels; images that fit in memory are read once.

        Raises:
            InputError: If an image cannot be read; names it.
        """
        if self._cached and len(self._cached[0][0]) == min(size, len(self)):
            yield from self._cached
            return
        loader: torch.utils.data.DataLoader[Batch] = torch.utils.data.DataLoader(
            Loadable(self.source),  # type: ignore[arg-type]
            batch_size=size,
            collate_fn=collate,
        )
        batches_read: list[tuple[Tensor, Tensor]] = []
        bytes_read = 0
        for batch in loader:
            if batch.unreadable or batch.inputs is None:
                raise InputError(f"{batch.unreadable[0]}; remove or mend it")
            pair = (batch.inputs[0], self.labels[batch.ids])
            bytes_read += pair[0].nbytes
            if bytes_read <= _CACHED_BYTES:
                batches_read.append(pair)
            else:
                batches_read.clear()
            yield pair
        if bytes_read <= _CACHED_BYTES:
            self._cached = batches_read

    @property
    def class_of_folder(self) -> dict[str, tuple[str, int]]:
        """The argument ``classes`` with which other images of the same classes are opened."""
        triples = zip(self.folders, self.classes, self.indices, strict=True)
        return {folder: (name, index) for folder, name, index in triples}

    def example(self, count: int = 2) -> Tensor:
        """Return the inputs of the first images."""
        return torch.stack([self.source.inputs(i) for i in range(min(count, len(self)))])


def read_classes(path: Path) -> dict[str, tuple[str, int]]:
    """Read a list of classes: a CSV with the columns folder, name and index.

    Raises:
        InputError: Names the file, the line and the value.
    """
    columns = ("folder", "name", "index")
    rows = read_rows(path, columns, columns)
    classes: dict[str, tuple[str, int]] = {}
    for line, row in zip(rows.lines, rows.mappings(), strict=True):
        folder, name, index = (row[column] for column in columns)
        output = count_of(index)
        if not folder or not name or output is None or folder in classes:
            raise InputError(
                f"{path}, line {line.number}: folder {folder!r}, name {name!r}, index "
                f"{index!r}; each folder comes once, and index is a number from 0"
            )
        classes[folder] = (name, output)
    if not classes:
        raise InputError(f"{path} lists no classes")
    return classes


def check_alike(sets: Mapping[str, ClassImages], outputs: int) -> None:
    """Check that sets of images have the same classes, which must be those of a network.

    Raises:
        InputError: Names the folders and classes.
    """
    first = next(iter(sets.values()))
    for images in sets.values():
        odd = set(images.folders) ^ set(first.folders)
        if odd:
            raise InputError(
                f"{first.root} and {images.root} have different classes: only one of them has "
                f"{', '.join(sorted(odd)[:5])}"
            )
    if max(first.indices) >= outputs or not (first.listed or len(first.folders) == outputs):
        raise InputError(
            f"{first.root} has {len(first.folders)} classes and the network tells {outputs} apart; "
            "every class needs its subfolder, in the network's order when sorted, or list folder, "
            "name and index of each in a CSV and name it with --classes"
        )


@dataclass
class AblationResults:
    """Results of a network under some ablations.

    Attributes:
        correct: 1 for each image that is classified correctly, else 0, float32 (ablations,
            images).
        logp: Log-probability of the correct class, of the same shape.
    """

    correct: NDArray[np.float32]
    logp: NDArray[np.float32]

    @property
    def accuracy(self) -> Floats:
        """Share of images classified correctly, float64 (ablations,)."""
        return np.asarray(self.correct.mean(1, dtype=np.float64))


class AblationEvaluator:
    """Measures a network under many ablations, and keeps the results on disk.

    Args:
        model: The network, in evaluation mode, on its device.
        points: The layers that may be ablated.
        images: A labelled set, whose first images trace the network; others can be measured, too.
        means: What ablated units are set to, by layer; default: zero.
        work: Folder for results; None to keep none.
        device: Where the network is.
        batch_size: Images per forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        points: Mapping[str, HookPoint],
        images: ClassImages,
        *,
        means: Means | None = None,
        work: Path | None = None,
        device: torch.device | str = "cpu",
        batch_size: int = 32,
    ) -> None:
        self.model, self.points, self.means, self.device = (
            model,
            points,
            means,
            torch.device(device),
        )
        self.batch_size = max(2, batch_size)
        example = images.example().to(self.device)
        self._runner = AblationRunner(model, points, (example,), means)
        self._work = work
        if work is not None:
            work.mkdir(parents=True, exist_ok=True)
        self._network = fingerprint(model, means)

    def measure(
        self, images: ClassImages, ablations: Sequence[Ablation], title: str = "Ablating"
    ) -> AblationResults:
        """Measure all ablations on all images; results that are kept are not computed again.

        Args:
            images: A labelled set with the network's classes.
            ablations: In any order; equal ones are measured once.
            title: Title of the progress bar.
        """
        keys = [_canonical(ablation) for ablation in ablations]
        distinct = dict.fromkeys(keys)
        order = sorted(distinct, key=self._depth)
        results: dict[str, NDArray[np.float32]] = {}
        # Sorted by first layer, then by text, so that neighbours begin at the same layer and chunks
        # are the same in each run.
        chunks = [order[i : i + _CHUNK] for i in range(0, len(order), _CHUNK)]
        with progress_bar() as progress:
            task = progress.add_task(title, total=len(order) * len(images))
            for chunk in chunks:
                results.update(
                    zip(
                        chunk,
                        self._measure_chunk(images, chunk, lambda n: progress.advance(task, n)),
                        strict=True,
                    )
                )
        both = np.stack([results[key] for key in keys])
        return AblationResults(both[..., 0], both[..., 1])

    def _depth(self, key: str) -> tuple[int, str]:
        layers = list(json.loads(key))
        return min((self._runner.depth(layer) for layer in layers), default=-1), key

    @torch.no_grad()
    def _measure_chunk(
        self, images: ClassImages, chunk: Sequence[str], advance: Callable[[int], None]
    ) -> NDArray[np.float32]:
        result_file = None
        if self._work is not None:
            identity = "\n".join([self._network, images.identity, *chunk])
            result_file = self._work / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npy"
            tidy_up(result_file)
            if result_file.is_file():
                values = read_array(result_file, "f").astype(np.float32)
                if values.shape != (len(chunk), len(images), 2):
                    raise InputError(
                        f"{result_file} holds results of shape {values.shape}, not "
                        f"{(len(chunk), len(images), 2)}; delete it, and they are computed again"
                    )
                advance(len(chunk) * len(images))
                return values
        ablations = [json.loads(key) for key in chunk]
        values = np.zeros((len(chunk), len(images), 2), dtype=np.float32)
        begin = 0
        for inputs, labels in images.batches(self.batch_size):
            batch, target = inputs.to(self.device), labels.to(self.device)
            for position, scores in self._runner.outputs((batch,), ablations):
                logp = scores.float().log_softmax(1).gather(1, target[:, None])[:, 0]
                rows = values[position, begin : begin + len(labels)]
                rows[:, 0] = (scores.argmax(1) == target).cpu().numpy()
                rows[:, 1] = logp.cpu().numpy()
            begin += len(labels)
            advance(len(chunk) * len(labels))
        if result_file is not None:
            with atomic_path(result_file) as path, path.open("wb") as file:
                np.save(file, values)
        return values


def fingerprint(model: nn.Module, means: Means | None = None) -> str:
    """Return a hash of a network's weights, and of what ablated units are set to."""
    digest = hashlib.sha256()
    for name, tensor in [*model.state_dict().items(), *(means or {}).items()]:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _canonical(ablation: Ablation) -> str:
    plain = {k: sorted({int(u) for u in v}) for k, v in sorted(ablation.items()) if len(v)}
    return json.dumps(plain)

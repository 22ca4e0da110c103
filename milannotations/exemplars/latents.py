"""Reading and writing files of latents, so that others can run a generator on the same ones."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from milannotations.arrays import read_array, read_arrays
from milannotations.catalog.weights import reason
from milannotations.defaults import DEFAULT_SIZE
from milannotations.errors import InputError
from milannotations.inputs.generators import Latents, LatentSpace
from milannotations.inputs.sources import Inputs
from milannotations.storage import atomic_path
from milannotations.tensors import check_plain, check_torch_file

FORMS = (
    "a .npy array of latents, an .npz with the arrays `latents` and `classes`, or a folder of .pth "
    "tensors as the original's biggan-zs-*"
)
_LATENTS, _CLASSES = "latents", "classes"
_MOST_BYTES = 8 * 2**30
Array = NDArray[Any]


class GivenLatents(Latents):
    """Latents that are given instead of drawn.

    Args:
        generator: See ``Latents``.
        space: What it takes.
        latents: float32 (images, \\*shape).
        classes: int64 (images,); None draws them from the seed, if the generator has classes.
        seed: Seed of the classes, if they are drawn.
        size: Side of the exemplars shown to people, in pixels.

    Raises:
        InputError: If there are none, or they are not what the generator takes.
    """

    def __init__(
        self,
        generator: nn.Module,
        space: LatentSpace,
        latents: Tensor,
        classes: Tensor | None = None,
        seed: int = 0,
        size: int = DEFAULT_SIZE,
    ) -> None:
        super().__init__(generator, space, len(latents), seed, None, size)
        self.latents = latents
        self.classes = classes
        digest = hashlib.sha256(latents.contiguous().numpy().tobytes())
        if classes is not None:
            digest.update(classes.contiguous().numpy().tobytes())
        self.content = digest.hexdigest()[:32]

    def inputs(self, index: int) -> Inputs:
        """Return a latent, float32 of ``space.shape``, and a class if the generator has classes."""
        if not self.space.classes:
            return (self.latents[index],)
        label = super().inputs(index)[1] if self.classes is None else self.classes[index]
        return self.latents[index], label

    def name(self, index: int) -> str:
        """Return the index and the class."""
        label = f" class-{int(self.inputs(index)[1])}" if self.space.classes else ""
        return f"given/latent-{index:06d}{label}"

    def identity(self) -> dict[str, Any]:
        """Return a hash of the latents and classes, and everything that drawn latents depend on."""
        drawn = super().identity()
        return {**drawn, "latents": {**drawn["latents"], "content": self.content}}


def read_latents(
    path: Path, generator: nn.Module, space: LatentSpace, seed: int = 0, size: int = DEFAULT_SIZE
) -> GivenLatents:
    """Read latents, and classes if there are any, without ever running pickled code.

    Args:
        path: A ``.npy`` array (images, \\*shape), also with the axes of one latent flattened; an
            ``.npz`` with ``latents`` and ``classes`` as ``write_latents`` makes it; or a folder
            with a ``.pth`` file of floating-point latents and optionally one of integer classes, as
            numbers or one-hot rows.
        generator: See ``Latents``.
        space: What it takes.
        seed: Seed of the classes, if the generator has classes and the file has none.
        size: Side of the exemplars shown to people, in pixels.

    Raises:
        InputError: If the file is missing or damaged, or its arrays are not what the generator
            takes; names the file and the shapes.
    """
    latents, classes = _arrays(path)
    if not np.issubdtype(latents.dtype, np.floating) or latents.ndim < 2 or not len(latents):
        raise InputError(
            f"latents {path}: the array is {latents.dtype} of shape {latents.shape}; it must be "
            "floating point, one latent per row"
        )
    wanted = int(np.prod(space.shape))
    if latents[0].size != wanted or (
        latents.ndim > 2 and latents.shape[1:] not in (space.shape, (*space.shape, 1, 1))
    ):
        raise InputError(
            f"latents {path} have shape {latents.shape}; this generator takes latents of shape "
            f"{space.shape}, so the array must be (images, {', '.join(map(str, space.shape))})"
        )
    if not np.isfinite(latents).all():
        raise InputError(f"latents {path} hold NaN or infinity")
    ready = torch.from_numpy(np.array(latents, np.float32)).reshape(len(latents), *space.shape)
    return GivenLatents(generator, space, ready, _classes(path, classes, ready, space), seed, size)


def write_latents(source: Latents, path: Path) -> None:
    """Write all latents of a source to an ``.npz`` from which ``read_latents`` restores every bit.

    Raises:
        InputError: If the file's name does not end in ``.npz``.
    """
    if path.suffix != ".npz":
        raise InputError(f"--export-latents {path}: name a file that ends in .npz")
    pairs = [source.inputs(index) for index in range(len(source))]
    arrays = {_LATENTS: torch.stack([pair[0] for pair in pairs]).numpy()}
    if source.space.classes:
        arrays[_CLASSES] = torch.stack([pair[1] for pair in pairs]).numpy()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _arrays(path: Path) -> tuple[Array, Array | None]:
    """Return the latents and the classes in a file or folder."""
    if path.is_dir():
        return _tensors(path)
    if not path.is_file():
        raise InputError(f"latents {path} do not exist; --latents takes a number, or {FORMS}")
    try:
        if not zipfile.is_zipfile(path):
            return read_array(path, "biuf"), None
        arrays = read_arrays(path, {_LATENTS: "biuf", _CLASSES: "biuf"}, _MOST_BYTES)
    except InputError as error:
        raise InputError(f"latents cannot be read: {error}; give {FORMS}") from error
    if _LATENTS not in arrays:
        raise InputError(f"latents {path} hold the arrays {[*arrays]}, not {_LATENTS!r}")
    return arrays[_LATENTS], arrays.get(_CLASSES)


def _tensors(folder: Path) -> tuple[Array, Array | None]:
    floating: list[Array] = []
    whole: list[Array] = []
    for file in sorted(folder.glob("*.pth")):
        try:
            check_torch_file(file)
            tensor = torch.load(file, map_location="cpu", weights_only=True)
        except InputError:
            raise
        except Exception as error:  # torch may raise anything for a damaged or hostile file
            raise InputError(
                f"latents {file} cannot be read as a tensor: {reason(error)}"
            ) from error
        if not isinstance(tensor, Tensor):
            raise InputError(f"latents {file} hold a {type(tensor).__name__}, not one tensor")
        check_plain({file.name: tensor}, f"latents {folder}")
        plain = tensor.detach()
        # NumPy knows neither bfloat16 nor float8.
        array = (plain.float() if plain.is_floating_point() else plain).numpy()
        (floating if np.issubdtype(array.dtype, np.floating) else whole).append(array)
    if len(floating) != 1 or len(whole) > 1:
        raise InputError(
            f"latents {folder} hold {len(floating)} floating-point and {len(whole)} other tensors "
            "(*.pth); there must be one of latents, and at most one of classes"
        )
    return floating[0], whole[0] if whole else None


def _classes(
    path: Path, classes: Array | None, latents: Tensor, space: LatentSpace
) -> Tensor | None:
    if classes is None:
        return None
    if not space.classes:
        raise InputError(f"latents {path} have classes, and this generator takes none")
    one_hot = classes.ndim == 2 and classes.shape[1] == space.classes
    checks: list[tuple[Callable[[], bool], str]] = [
        (lambda: len(classes) == len(latents), f"{len(classes)} classes of {len(latents)} latents"),
        (lambda: np.issubdtype(classes.dtype, np.integer), f"classes of type {classes.dtype}"),
        (lambda: one_hot or classes.size == len(classes), f"classes of shape {classes.shape}"),
    ]
    for holds, what in checks:
        if not holds():
            raise InputError(f"latents {path} have {what}; there must be a whole number for each")
    numbers = classes.argmax(1) if one_hot else classes.reshape(-1)
    if numbers.min() < 0 or numbers.max() >= space.classes:
        raise InputError(
            f"latents {path} have classes {numbers.min()} to {numbers.max()}; this generator has "
            f"{space.classes}, from 0 on"
        )
    return torch.from_numpy(np.array(numbers, np.int64))

"""Records as a PyTorch dataset of the tuples on which the original code trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor

from milannotations.errors import InputError
from milannotations.loading import lookup
from milannotations.record import encoded_records, key_of
from milannotations.record_checks import decoded_record

_COLUMNS = 5  # per grid, as in the original code


class TopImages(NamedTuple):
    """One neuron without annotations, like the original's ``TopImages``.

    Attributes:
        layer: Name of the layer.
        unit: Number of the unit.
        images: float32 in [0, 1], of shape (k, 3, height, width).
        masks: float32, 0 or 1, of shape (k, 1, height, width).
    """

    layer: str
    unit: int
    images: Tensor
    masks: Tensor

    def as_masked_images_tensor(self, opacity: float = 0.75) -> Tensor:
        """Darken what lies outside the masks: by all for opacity 1, not at all for 0."""
        if not 0 <= opacity <= 1:
            raise InputError(f"opacity is {opacity}; it must be between 0 and 1")
        return self.images * torch.where(self.masks == 0, 1 - opacity, self.masks)

    def as_pil_images(self, opacity: float = 0.75) -> list[Image.Image]:
        """Return the masked images, the most activating first."""
        from torchvision.transforms.functional import to_pil_image

        return [to_pil_image(image) for image in self.as_masked_images_tensor(opacity)]

    def as_pil_image_grid(
        self, opacity: float = 0.75, limit: int | None = None, **options: Any
    ) -> Image.Image:
        """Return the masked images side by side, five to a row.

        Args:
            opacity: See ``as_masked_images_tensor``.
            limit: How many of the images to show; default all.
            **options: Options of ``torchvision.utils.make_grid``; ``nrow`` is the row length.

        Raises:
            InputError: If the limit is below 1.
        """
        from torchvision.transforms.functional import to_pil_image
        from torchvision.utils import make_grid

        if limit is not None and limit < 1:
            raise InputError(f"limit is {limit}; it must be at least 1")
        images = self.as_masked_images_tensor(opacity)[:limit]
        return to_pil_image(make_grid(images, **{"nrow": _COLUMNS, **options}))


class Exemplars(NamedTuple):
    """One neuron, like the original's ``AnnotatedTopImages``.

    Attributes:
        layer: Name of the layer.
        unit: Number of the unit.
        images: float32 in [0, 1], of shape (k, 3, height, width).
        masks: float32, 0 or 1, of shape (k, 1, height, width).
        annotations: People's descriptions.
    """

    layer: str
    unit: int
    images: Tensor
    masks: Tensor
    annotations: tuple[str, ...]

    def as_top_images(self) -> TopImages:
        """Return the neuron without its annotations."""
        return TopImages(self.layer, self.unit, self.images, self.masks)

    def as_masked_images_tensor(self, opacity: float = 0.75) -> Tensor:
        """Darken what lies outside the masks: by all for opacity 1, not at all for 0."""
        return self.as_top_images().as_masked_images_tensor(opacity)

    def as_pil_images(self, opacity: float = 0.75) -> list[Image.Image]:
        """Return the masked images; see ``TopImages``."""
        return self.as_top_images().as_pil_images(opacity)

    def as_pil_image_grid(
        self, opacity: float = 0.75, limit: int | None = None, **options: Any
    ) -> Image.Image:
        """Return the masked images side by side; see ``TopImages``."""
        return self.as_top_images().as_pil_image_grid(opacity, limit, **options)


class ExemplarDataset(torch.utils.data.Dataset[Exemplars]):
    """A map-style dataset of ``(layer, unit, images, masks, annotations)``, read on demand.

    It behaves like the original's ``AnnotatedTopImagesDataset`` with three differences: neurons
    follow the order of the layers, not of the annotation file; nothing is read in advance; and
    neurons are looked up by unit number, whatever their position.

    Args:
        neurons: Records with images.
        annotation_count: Leave out neurons with fewer annotations, and keep only this many of each
            other neuron's; None keeps all.
        transform_images: Applied to a neuron's images, as loaded.
        transform_masks: Applied to a neuron's masks.
        transform_annotations: Applied to a neuron's annotations.
        device: Device of the tensors.
        name: Name of the dataset; default model and data set, as in ``alexnet/imagenet``.

    Raises:
        InputError: If no neuron is left, or the neurons have no images.
    """

    def __init__(
        self,
        neurons: Dataset,
        annotation_count: int | None = 3,
        transform_images: Callable[[Tensor], Tensor] | None = None,
        transform_masks: Callable[[Tensor], Tensor] | None = None,
        transform_annotations: Callable[[Sequence[str]], Sequence[str]] | None = None,
        device: str | torch.device | None = None,
        name: str | None = None,
    ) -> None:
        if annotation_count is not None:
            enough = [
                row
                for row, texts in enumerate(neurons["annotations"])
                if len(texts) >= annotation_count
            ]
            neurons = neurons if len(enough) == len(neurons) else neurons.select(enough)
        if not len(neurons):
            raise InputError(f"no neuron has {annotation_count} annotations")
        self.neurons = neurons.with_format("torch")
        if not _count(self.neurons, "images"):
            raise InputError("the neurons have no images; attach the source images first")
        self.annotation_count = annotation_count
        self.transform_images = transform_images
        self.transform_masks = transform_masks
        self.transform_annotations = transform_annotations
        self.device = device
        self.name = name if name is not None else _name_of(neurons)

    def __len__(self) -> int:
        return len(self.neurons)

    def __getitem__(self, index: int) -> Exemplars:
        return self._view(decoded_record(self.neurons, index))

    @property
    def samples(self) -> Samples:
        """All neurons, as a sequence that reads each on demand."""
        return Samples(self)

    def lookup(self, layer: str | int, unit: int, **network: str) -> Exemplars:
        """Return one neuron; give ``model`` and ``dataset`` if there are several networks.

        Raises:
            NoNeuronError: If the neuron does not exist; it is a ``KeyError``.
            InputError: If several neurons match.
        """
        return self._view(lookup(self.neurons, str(layer), unit, **network))

    def unit(self, index: int) -> tuple[str, int]:
        """Return the layer and unit of the neuron at an index."""
        record = self.neurons.select_columns(["layer", "unit"])[index]
        return record["layer"], int(record["unit"])

    def units(self, indices: Sequence[int]) -> tuple[tuple[str, int], ...]:
        """Return the layers and units of the neurons at some indices."""
        return tuple(self.unit(index) for index in indices)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, sorted."""
        return tuple(sorted(set(self.neurons.with_format(None)["layer"])))

    @property
    def units_by_layer(self) -> dict[str, Tensor]:
        """Numbers of each layer's units, int64, in the order of this dataset."""
        plain = self.neurons.with_format(None)
        numbers: dict[str, list[int]] = {layer: [] for layer in self.layers}
        for layer, unit in zip(plain["layer"], plain["unit"], strict=True):
            numbers[layer].append(unit)
        return {layer: torch.tensor(units) for layer, units in numbers.items()}

    @property
    def k(self) -> int:
        """Exemplars per neuron."""
        return _count(self.neurons, "masks")

    def _view(self, record: dict[str, Any]) -> Exemplars:
        if not all(isinstance(record[column], Tensor) for column in ("images", "masks")):
            raise InputError(
                f"{key_of(record)}: its images and masks cannot be stacked, as they differ in size "
                "or in their number of channels; build or import the records again"
            )
        images = (record["images"].float() / 255).to(self.device)
        masks = record["masks"].float().to(self.device)
        texts = tuple(record["annotations"])[: self.annotation_count]
        if self.transform_annotations is not None:
            texts = tuple(self.transform_annotations(texts))
        return Exemplars(
            layer=record["layer"],
            unit=int(record["unit"]),
            images=self.transform_images(images) if self.transform_images else images,
            masks=self.transform_masks(masks) if self.transform_masks else masks,
            annotations=texts,
        )


class Samples(Sequence[Exemplars]):
    """All neurons of an ``ExemplarDataset``, read one by one."""

    def __init__(self, view: ExemplarDataset) -> None:
        self._view = view

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[Exemplars]:
        return (self._view[row] for row in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Exemplars: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Exemplars, ...]: ...

    def __getitem__(self, index: int | slice) -> Exemplars | tuple[Exemplars, ...]:
        rows = range(len(self))[index]
        if isinstance(rows, range):
            return tuple(self._view[row] for row in rows)
        return self._view[rows]


def _count(neurons: Dataset, column: str) -> int:
    """Return how many images or masks the first neuron has, without decoding them."""
    return len(next(encoded_records(neurons.select([0]), [column]))[column] or [])


def _name_of(neurons: Dataset) -> str:
    plain = neurons.with_format(None)
    networks = dict.fromkeys(zip(plain["model"], plain["dataset"], strict=True))
    return ", ".join("/".join(filter(None, network)) for network in networks)

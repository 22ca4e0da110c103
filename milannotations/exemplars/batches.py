"""Batches of images, read by worker processes; damaged images are reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from milannotations.inputs.sources import Inputs, Source
from milannotations.pictures import UnreadableImageError


@dataclass(frozen=True)
class Batch:
    """What the loader returns: the readable images, and what was wrong with the others.

    Attributes:
        ids: Indices of the readable images.
        inputs: Their inputs, stacked; None if there are no readable images.
        checksums: Their checksums.
        unreadable: What is wrong with the others.
    """

    ids: Tensor
    inputs: Inputs | None
    checksums: Tensor
    unreadable: list[str]


@dataclass(frozen=True)
class Item:
    """One image of a source: its inputs or, in ``problem``, why there are none."""

    index: int
    inputs: Inputs
    checksum: int = 0
    problem: str | None = None


class Loadable(torch.utils.data.Dataset[Item]):
    """Some images of a source, as a ``torch`` dataset.

    A problem is a value, not an exception, so that worker processes can pass it on intact.

    Args:
        source: The images.
        span: Which of them; default all.
    """

    def __init__(self, source: Source, span: range | None = None) -> None:
        self.source = source
        self.span = range(len(source)) if span is None else span

    def __len__(self) -> int:
        return len(self.span)

    def __getitem__(self, position: int) -> Item:
        index = self.span[position]
        try:
            inputs = self.source.inputs(index)
        except UnreadableImageError as error:
            return Item(index, (), problem=str(error))
        given = (inputs,) if isinstance(inputs, Tensor) else inputs
        return Item(index, given, self.source.checksum(index))


def collate(items: Sequence[Item]) -> Batch:
    """Stack the readable images of a batch."""
    good = [item for item in items if item.problem is None]
    return Batch(
        ids=torch.tensor([item.index for item in good], dtype=torch.int64),
        inputs=tuple(map(torch.stack, zip(*(item.inputs for item in good), strict=True)))
        if good
        else None,
        checksums=torch.tensor([item.checksum for item in good], dtype=torch.int64),
        unreadable=[item.problem for item in items if item.problem is not None],
    )

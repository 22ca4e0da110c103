"""Telling of epochs: a line each, and TensorBoard where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from baselines.milan.stage import OnEpoch
from milannotations.errors import InputError


@contextmanager
def epoch_writer(folder: Path | None, say: Callable[[str], None]) -> Iterator[OnEpoch]:
    """Give what is to be called after each epoch.

    Args:
        folder: Folder for TensorBoard; None writes no such files.
        say: Given one line per epoch.

    Raises:
        InputError: If TensorBoard is asked for and not installed.
    """
    writer = None
    if folder is not None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "TensorBoard is not installed: pip install 'milannotations[tensorboard]'"
            ) from error
        writer = SummaryWriter(str(folder))

    def on_epoch(stage: str, numbers: dict[str, float]) -> None:
        epoch = int(numbers["epoch"])
        shown = ", ".join(
            f"{name.replace('_', ' ')} {value:.3f}"
            for name, value in numbers.items()
            if name != "epoch"
        )
        say(f"{stage}, epoch {epoch}: {shown}")
        if writer is not None:
            for name, value in numbers.items():
                if name != "epoch":
                    writer.add_scalar(f"{stage}/{name}".replace(" ", "_"), value, epoch)

    try:
        yield on_epoch
    finally:
        if writer is not None:
            writer.close()

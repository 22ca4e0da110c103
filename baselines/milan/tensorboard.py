"""Reports of epochs: one line each, and TensorBoard on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from baselines.milan.stage import OnEpoch
from milannotations.errors import InputError


@contextmanager
def epoch_writer(folder: Path | None, say: Callable[[str], None]) -> Iterator[OnEpoch]:
    """Yield a function to call after each epoch.

    Args:
        folder: Folder for TensorBoard; None writes no files.
        say: Called with one line per epoch.

    Raises:
        InputError: If TensorBoard is requested but not installed.
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

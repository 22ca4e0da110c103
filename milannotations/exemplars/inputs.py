"""Another input than a network's usual one: size, channels and normalization, as options."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from milannotations.errors import InputError
from milannotations.exemplars.sources import Preprocessing

HOW = (
    "--input-size, --channels, --mean and --std say what the network takes; or let a factory "
    "return a LoadedModel with its Preprocessing"
)
InputSize = Annotated[
    str | None,
    typer.Option(
        help="height and width of the network's input in pixels, as 128 or 96x160; default its own"
    ),
]
Resize = Annotated[
    str | None,
    typer.Option(
        help="length to which an image's shorter side is resized before the middle is cut out, or "
        "HEIGHTxWIDTH to which it is squashed; default the network's own, or in proportion to "
        "--input-size"
    ),
]
Channels = Annotated[
    int | None, typer.Option(help="1 for networks of grey images, 3 for RGB; default the network's")
]
Mean = Annotated[
    str | None,
    typer.Option(help="subtracted from each channel (0 to 1), as 0.5 or 0.485,0.456,0.406"),
]
Std = Annotated[str | None, typer.Option(help="each channel is divided by it, as 0.5")]


@dataclass(frozen=True)
class InputOptions:
    """What is said of a network's input; None leaves it as it is.

    Attributes:
        size: As ``Preprocessing.size``.
        resize: As ``Preprocessing.resize``; if None, and ``size`` is given, it changes in
            proportion.
        channels: 1 or 3. If only this is given, ``mean`` and ``std`` of one channel are the
            averages of those of three, and those of three repeat that of one.
        mean: As ``Preprocessing.mean``; one number counts for all channels.
        std: Likewise.
    """

    size: int | tuple[int, int] | None = None
    resize: int | tuple[int, int] | None = None
    channels: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @classmethod
    def parse(
        cls,
        size: str | None = None,
        resize: str | None = None,
        channels: int | None = None,
        mean: str | None = None,
        std: str | None = None,
    ) -> InputOptions:
        """Read the options of the command line.

        Raises:
            InputError: If one makes no sense; names it.
        """
        if channels not in (None, 1, 3):
            raise InputError(
                f"--channels {channels}: images have 1 channel (grey) or 3 (RGB); for a network of "
                "others name a factory whose module makes them of these"
            )
        return cls(
            _lengths("--input-size", size),
            _lengths("--resize", resize),
            channels,
            _numbers("--mean", mean, lambda value: True),
            _numbers("--std", std, lambda value: value > 0),
        )

    def applied(self, usual: Preprocessing) -> Preprocessing:
        """Return a network's preprocessing with what is said here changed.

        Raises:
            InputError: If mean and std are of more channels than there are, or an image would be
                smaller than what is cut out of it.
        """
        if self == InputOptions():
            return usual
        size = usual.size if self.size is None else self.size
        channels = self.channels or max(len(self.mean or ()), len(self.std or ()))
        if channels in (0, 1) and self.channels is None:  # one number for all that there are
            channels = len(usual.mean)
        changed = replace(
            usual,
            size=size,
            resize=self._resize(usual),
            mean=_per_channel("--mean", self.mean or usual.mean, channels, self.mean is not None),
            std=_per_channel("--std", self.std or usual.std, channels, self.std is not None),
        )
        height, width = changed.shape
        shortest = changed.resize
        if isinstance(shortest, int):
            shortest = (shortest, shortest)
        if shortest[0] < height or shortest[1] < width:
            raise InputError(
                f"an input of {height} × {width} cannot be cut out of images resized to "
                f"{changed.resize}; raise --resize"
            )
        return changed

    def _resize(self, usual: Preprocessing) -> int | tuple[int, int]:
        if self.resize is not None:
            return self.resize
        if self.size is None:
            return usual.resize
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        if isinstance(usual.resize, int):
            share = usual.resize / min(usual.shape)
            # The shorter side is resized: of a wide input that is not the longer one.
            return max(math.floor(min(height, width) * share), height, width)
        return (
            max(height, round(height * usual.resize[0] / usual.shape[0])),
            max(width, round(width * usual.resize[1] / usual.shape[1])),
        )


def _lengths(option: str, text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,4})(?:[x×]([1-9][0-9]{0,4}))?", text.strip())
    if not match:
        raise InputError(f"{option} {text!r}; write it as 128 or, height first, 96x160")
    height, width = match.groups()
    return (int(height), int(width)) if width else int(height)


def _numbers(
    option: str, text: str | None, allowed: Callable[[float], bool]
) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(float(number) for number in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3) or not all(math.isfinite(v) and allowed(v) for v in values):
        raise InputError(
            f"{option} {text!r}; write one number, or three separated by commas"
            + (", all above 0" if option == "--std" else "")
        )
    return values


def _per_channel(
    option: str, values: tuple[float, ...], channels: int, given: bool
) -> tuple[float, ...]:
    if len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    if given:
        raise InputError(f"{option} has {len(values)} numbers, and there are {channels} channels")
    return (sum(values) / len(values),) * channels

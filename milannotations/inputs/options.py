"""Options that change a network's usual input: size, channels and normalization."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import AfterValidator, BeforeValidator

from milannotations.command_options import Config, WrittenAs
from milannotations.errors import InputError

if TYPE_CHECKING:
    from milannotations.inputs.preprocessing import Preprocessing

HOW = (
    "--input-size, --channels, --mean and --std say what the network takes; or let a factory "
    "return a LoadedModel with its Preprocessing"
)


def _lengths(option: str) -> BeforeValidator:
    def read(given: Any) -> Any:
        if not isinstance(given, str):
            return given
        match = re.fullmatch(r"([1-9][0-9]{0,4})(?:[x×]([1-9][0-9]{0,4}))?", given.strip())
        if not match:
            raise InputError(f"{option} {given!r}; write it as 128 or, height first, 96x160")
        height, width = match.groups()
        return (int(height), int(width)) if width else int(height)

    return BeforeValidator(read)


def _numbers(option: str, allowed: Callable[[float], bool]) -> BeforeValidator:
    def read(given: Any) -> Any:
        if not isinstance(given, str):
            return given
        try:
            values = tuple(float(number) for number in given.split(","))
        except ValueError:
            values = ()
        if len(values) not in (1, 3) or not all(math.isfinite(v) and allowed(v) for v in values):
            raise InputError(
                f"{option} {given!r}; write one number, or three separated by commas"
                + (", all above 0" if option == "--std" else "")
            )
        return values

    return BeforeValidator(read)


def _one_or_three(channels: int | None) -> int | None:
    if channels not in (None, 1, 3):
        raise InputError(
            f"--channels {channels}: images have 1 channel (grey) or 3 (RGB); for a network of "
            "others name a factory whose module makes them of these"
        )
    return channels


_Lengths = int | tuple[int, int] | None
_Numbers = tuple[float, ...] | None
_TEXT = WrittenAs(str | None)


class InputOptions(Config):
    """What replaces a network's own input size and normalization; None leaves it unchanged.

    Texts are read as on the command line: ``"96x160"``, ``"0.485,0.456,0.406"``. If only
    ``channels`` is given, ``mean`` and ``std`` of one channel are the averages of those of three,
    and those of three repeat that of one.

    Attributes:
        size: Height and width of the network's input in pixels, such as 128 or 96x160; default its
            own.
        resize: Length to which an image's shorter side is resized before the middle is cut out, or
            HEIGHTxWIDTH to which the image is squashed; default the network's own, or in
            proportion to --input-size.
        channels: 1 for networks of grey images, 3 for RGB; default the network's.
        mean: Subtracted from each channel (0 to 1), such as 0.5 or 0.485,0.456,0.406.
        std: Each channel is divided by it, such as 0.5.
    """

    size: Annotated[_Lengths, _lengths("--input-size"), _TEXT, typer.Option("--input-size")] = None
    resize: Annotated[_Lengths, _lengths("--resize"), _TEXT] = None
    channels: Annotated[int | None, AfterValidator(_one_or_three)] = None
    mean: Annotated[_Numbers, _numbers("--mean", lambda value: True), _TEXT] = None
    std: Annotated[_Numbers, _numbers("--std", lambda value: value > 0), _TEXT] = None

    def applied(self, usual: Preprocessing) -> Preprocessing:
        """Return a network's preprocessing with these changes.

        Raises:
            InputError: If mean and std have more channels than there are, or the crop is larger
                than the resized image.
        """
        if self == InputOptions():
            return usual
        size = usual.size if self.size is None else self.size
        channels = self.channels or max(len(self.mean or ()), len(self.std or ()))
        if channels in (0, 1) and self.channels is None:  # one number for all channels
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
            # ``resize`` is the length of the shorter side, which for a wide input is the height.
            return max(math.floor(min(height, width) * share), height, width)
        return (
            max(height, round(height * usual.resize[0] / usual.shape[0])),
            max(width, round(width * usual.resize[1] / usual.shape[1])),
        )


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

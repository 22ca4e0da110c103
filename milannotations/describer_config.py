"""Configs of describers: settings whose names, types, defaults and meaning are declared once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import AfterValidator, ConfigDict, ValidationInfo

from milannotations.command_options import Config
from milannotations.errors import InputError, did_you_mean

_Config = TypeVar("_Config", bound="DescriberConfig")


class DescriberConfig(Config):
    """Settings of a describer; a subclass documents its fields in an ``Attributes:`` section."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # a folder may be called 2024


class ConfiguredDescriber(Generic[_Config]):
    """A describer that is made from a config, or from the config's fields.

    ``NetDissect(NetDissectConfig(concepts="worlds:0:50"))`` and
    ``NetDissect(concepts="worlds:0:50")`` are the same. The fields are also the options that
    ``milannotations describe --option`` takes.

    Args:
        config: The settings.
        options: Fields of the config, in place of it.

    Attributes:
        config_type: Class of the config.

    Raises:
        InputError: If a field is unknown, or its value makes no sense.
        TypeError: If both a config and fields are given.
    """

    config_type: ClassVar[type[DescriberConfig]]

    def __init__(self, config: _Config | None = None, /, **options: Any) -> None:
        if config is not None and options:
            raise TypeError("give either a config or its fields")
        self.config: _Config = self.config_type(**options) if config is None else config  # type: ignore[assignment]


def one_of(names: Collection[str]) -> AfterValidator:
    """Return a validator of a field: its text must be one of those that are known."""

    def check(value: str, info: ValidationInfo) -> str:
        if value not in names:
            hint = did_you_mean(value, names)
            raise InputError(f"{info.field_name} {value!r}{hint}: one of {', '.join(names)}")
        return value

    return AfterValidator(check)


def at_least(low: int) -> AfterValidator:
    """Return a validator of a field: its number must not be below ``low``; None is let through."""

    def check(value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value < low:
            raise InputError(f"{info.field_name} is {value}; it must be at least {low}")
        return value

    return AfterValidator(check)

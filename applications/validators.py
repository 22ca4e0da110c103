"""Validators of config fields whose messages say what the value must be."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pydantic import AfterValidator, ValidationInfo

from milannotations.errors import InputError, did_you_mean


def one_of(choices: Collection[str], what: str) -> AfterValidator:
    """Return a validator that accepts these texts alone; ``what`` names the option in messages."""

    def check(value: str) -> str:
        if value not in choices:
            hint = did_you_mean(value, choices)
            raise InputError(f"{what} {value!r}{hint}; choose one of {', '.join(choices)}")
        return value

    return AfterValidator(check)


def within(accepts: Callable[[float], bool], demand: str) -> AfterValidator:
    """Return a validator of a number; ``demand`` says in its message what the number must be."""

    def check(value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and not accepts(value):
            raise InputError(f"{info.field_name} is {value}; it must {demand}")
        return value

    return AfterValidator(check)

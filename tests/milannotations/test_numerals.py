"""Numbers are read as Decimal reads them, or refused; never as something else."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from milannotations.json_files import JsonError, parse_json
from milannotations.numerals import NumeralError, count_of, decimal, integer, is_ambiguous

WRITTEN = st.one_of(
    st.from_regex(r"[+-]?[0-9_]{0,6}[.,]?[0-9]{0,4}([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.text("0123456789+-._,eExo:nainfINF ١１", max_size=8),
    st.floats().map(repr),
    st.integers().map(str),
)


@given(WRITTEN)
@example("1e999")
@example("1e-999")
@example("0e-999")
@example("-0")
@example("1_0")
def test_an_accepted_number_is_what_decimal_makes_of_it(text: str) -> None:
    try:
        value = decimal(text)
    except NumeralError:
        return
    exact = Decimal(text.strip())
    assert exact.is_finite()
    assert value == float(exact)
    assert (value == 0) == (exact == 0)


@given(WRITTEN)
def test_an_accepted_whole_number_is_exact(text: str) -> None:
    try:
        value = integer(text)
    except NumeralError:
        return
    assert value == Decimal(text.strip())


@given(WRITTEN)
def test_a_count_is_the_number_it_shows(text: str) -> None:
    count = count_of(text)
    if count is not None:
        assert count == Decimal(text.strip())
        assert count >= 0


@given(WRITTEN)
@example("1E400")
@example("-0.0")
def test_a_number_of_json_is_what_decimal_makes_of_it(text: str) -> None:
    try:
        value = parse_json(text, "x.json")
    except JsonError:
        return
    assert value == (float(Decimal(text)) if isinstance(value, float) else Decimal(text))


@pytest.mark.parametrize(
    "text",
    ["", " ", "1_0", "0x10", "1:30", "1,5", "１２", "٣", "nan", "inf", "-Infinity", "1e", "1e999",
     "1e-400", "--1", "1 0", "½", "true"],
)  # fmt: skip
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(NumeralError):
        decimal(text)


def test_digits_beyond_what_python_converts() -> None:
    with pytest.raises(NumeralError, match="5,000 digits"):
        integer("9" * 5000)
    assert count_of("9" * 5000) is None


def test_what_python_would_misread_is_known() -> None:
    for text in ("1_0", "１２", "٣", "1_0.5"):
        assert is_ambiguous(text)
    for text in ("10", "dog", "nan", "v1_0", "0x10"):
        assert not is_ambiguous(text)
    with pytest.raises(InvalidOperation):
        Decimal("v1_0")

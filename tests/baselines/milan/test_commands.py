"""The commands of MILAN: train, load and describe, and mistakes before long work."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from baselines import commands
from baselines.milan.commands import app, push_app
from baselines.milan.model import Milan
from milannotations.errors import InputError
from tests.baselines.milan.made_up import tiny_model

QUICK = (
    "--encoder", "efficientnet_lite0", "--hidden", "16", "--embedding", "8", "--device", "cpu",
    "--option", "epochs=2", "--option", "stop_on=loss",
)  # fmt: skip


def train(*arguments: object) -> Result:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.mark.slow
def test_train_load_describe(tmp_path: Path) -> None:
    done = train(
        "--data", "demo", "--validation", "demo", "--validation-split", "validation",
        "--out", tmp_path / "model", "--work", tmp_path / "work", "--variant", "beam",
        "--tensorboard", tmp_path / "board", *QUICK,
    )  # fmt: skip
    assert "decoder, epoch 2: train loss" in done.output
    assert "172 neurons, 2 epochs" in done.output
    assert list((tmp_path / "board").glob("events*"))
    model = Milan.from_pretrained(tmp_path / "model", "cpu")
    assert model.config.decoding.strategy == "beam"
    assert "| data | demo |" in (tmp_path / "model" / "README.md").read_text()
    described = tmp_path / "mine.csv"
    options = ("--option", f"model={tmp_path / 'model'}", "--option", "beam=5")
    said = CliRunner().invoke(
        commands.app,
        ["--method", "milan", "--neurons", "demo", "--split", "validation", "--alternatives",
         "--device", "cpu", *options, "--out", str(described)],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    with described.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36 and all(row["description"] for row in rows)
    assert all(len(json.loads(row["alternatives"])) == 4 for row in rows)


def test_mistakes_come_before_long_work(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    out = ("--out", tmp_path / "model")
    for arguments, message in (
        (("--out", tmp_path / "full"), "not empty"),
        ((*out, "--option", "epohcs=3"), "did you mean 'epochs'"),
        ((*out, "--option", "hold_out=2"), "hold_out"),
        ((*out, "--variant", "bean"), "did you mean 'beam'"),
        ((*out, "--variant", "rerank", "--no-language-model"), "needs a language model"),
        ((*out, "--encoder", "vgg11"), "name the layers"),
        ((*out, "--data", "alexnet-imagnet"), "alexnet-imagenet"),
        ((*out, "--device", "tpu"), "device 'tpu'"),
        ((*out, "--masks", "soft", *QUICK), "masks"),
        ((*out, "--precision", "float16", *QUICK), "float16 is for CUDA"),
        ((*out, "--seed", str(10**15)), "seed"),
        ((*out, "--validation", "demmo", *QUICK), "demo"),
        ((*out, "--data", "demo", "--split", "network", *QUICK), "none of the neurons"),
    ):
        with pytest.raises(InputError, match=message):
            train(*arguments)
    for option, value in (("--precision", "float8"), ("--hidden", "0")):
        done = CliRunner().invoke(app, [*map(str, out), option, value])
        assert done.exit_code == 2 and option in done.output
    assert not (tmp_path / "model").exists()


def test_pushing_needs_a_name(tmp_path: Path) -> None:
    folder = tiny_model().save_pretrained(tmp_path / "model")
    done = CliRunner().invoke(push_app, [str(folder), "--repo", "name"])
    assert isinstance(done.exception, InputError) and "OWNER/NAME" in str(done.exception)

"""The three commands as users run them, on a network whose units are known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from applications.experiment_commands import app
from benchmark.text_encoders import PACKAGED
from milannotations.catalog import small
from milannotations.errors import InputError

FACTORY = '''
import torch
from torch import nn
from milannotations.catalog.models import LoadedModel
from milannotations.inputs.preprocessing import Preprocessing


class Reader(nn.Module):
    """Red (unit 0) or green (1) decide, unless something is written in blue (2), as red or green
    as it is high or low; nothing reads unit 3, and 4 and 5 are dead."""

    def __init__(self):
        super().__init__()
        self.seen = nn.Conv2d(3, 6, 1, bias=False)
        self.fc = nn.Linear(12, 2)
        for parameter in self.parameters():
            parameter.data.zero_()
        for unit, channel in enumerate((0, 1, 2, 2)):
            self.seen.weight.data[unit, channel] = 1.0
        w = self.fc.weight.data.view(2, 6, 2)
        w[1, 0] = w[0, 1] = 1.0
        w[1, 2, 0] = w[0, 2, 1] = 4.0

    def forward(self, x):
        maps = self.seen(x)
        halves = torch.stack([maps[:, :, :4].mean((2, 3)), maps[:, :, 4:].mean((2, 3))], 2)
        return self.fc(halves.flatten(1))


def reader():
    plain = Preprocessing(8, 8, mean=(0.0,) * 3, std=(1.0,) * 3)
    return LoadedModel(Reader(), "reader", "colours", plain, ("seen",))
'''
SAID = ["red things", "green things", "words and letters", "printed text", "nothing", "nothing"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    other = {"c-red": "a-green", "a-green": "c-red"}
    for split in ("train", "validation", "test"):
        for adversarial in ("", "-adversarial"):
            for label, wrong in other.items():
                folder = tmp_path / "data" / f"{split}{adversarial}" / label
                folder.mkdir(parents=True)
                for number in range(10):
                    pixels = rng.uniform(0, 0.1, (8, 8, 3))
                    pixels[..., 2] = 0
                    pixels[..., 0 if label == "c-red" else 1] += 0.5
                    says = wrong if adversarial else (label if split == "train" else None)
                    if says:
                        pixels[slice(0, 4) if says == "c-red" else slice(4, 8), :, 2] = 0.8
                    Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{number}.png")
    name = f"factory_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(FACTORY)
    pd.DataFrame(
        {"layer": "seen", "unit": range(6), "description": SAID, "score": np.linspace(1, 0.5, 6)}
    ).to_csv(tmp_path / "said.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return f"{name}:reader"


def run(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_edit(place, tmp_path):
    said = run("edit", place, "--remove", "text, letters", "--data", "data", "--descriptions",
               "said.csv", "--out", "out", "--trials", 4, "--finetune", 3)  # fmt: skip
    assert "1 of 2 matching units ablated" in said and "0.0 % to 100.0 %" in said
    summary = json.loads(Path("out/edit.json").read_text())
    assert summary["ablated"] == [["seen", 2]]
    assert summary["tests"]["adversarial"]["after"]["value"] == 1.0
    assert summary["tests"]["plain"]["gain"]["value"] == 0.0
    assert set(summary["finetuned"]) == {"edited", "not edited"}
    assert Path("out/curves.png").stat().st_size > 5000
    page = Path("out/report.html").read_text()
    assert "words and letters" not in page or "<mark>letters</mark>" in page
    assert "effect alone" in page and "random, mean of 4 draws" in page
    # The edited network is a plain state dictionary here.
    state = torch.load("out/edited/weights.pt", weights_only=True)
    assert not state["seen.weight"][2].any() and state["seen.weight"][3].any()
    candidates = pd.read_csv("out/candidates.csv")
    assert candidates["ablated"].tolist() == [True, False]
    with pytest.raises(InputError, match="--overwrite"):
        run("edit", place, "--remove", "text", "--data", "data", "--descriptions", "said.csv",
            "--out", "out")  # fmt: skip


def test_edit_of_nothing(place, tmp_path):
    said = run("edit", place, "--remove", "zebras", "--data", "data", "--descriptions", "said.csv",
               "--out", "out", "--finetune", 2)  # fmt: skip
    assert "Nothing to ablate: none of 6 units is described with zebras" in said
    assert "0 of 0 matching units ablated" in said and "things" in said
    summary = json.loads(Path("out/edit.json").read_text())
    assert summary["ablated"] == [] and summary["matching"] == 0
    assert summary["tests"]["adversarial"]["after"] == summary["tests"]["adversarial"]["before"]
    assert len(pd.read_csv("out/candidates.csv")) == 0
    page = Path("out/report.html").read_text()
    assert "Nothing to ablate" in page and "No edited network was written" in page
    assert not Path("out/edited").exists()


def test_edit_with_other_test_images_chooses_the_same(place, tmp_path):
    """Whatever test images show, choices are the same to the last digit."""
    usual = ("edit", place, "--remove", "text, letters, red", "--descriptions", "said.csv",
             "--trials", 3, "--device", "cpu", "--data", "data")  # fmt: skip
    run(*usual, "--out", "one")
    # Labels of the test images exchanged, and their pixels spoiled.
    for folder in ("test", "test-adversarial"):
        for label in ("a-green", "c-red"):
            for path in Path("data", folder, label).glob("*.png"):
                noise = np.random.default_rng(len(str(path))).integers(0, 255, (8, 8, 3))
                Image.fromarray(noise.astype(np.uint8)).save(path)
    run(*usual, "--out", "two")
    assert Path("one/choices.json").read_bytes() == Path("two/choices.json").read_bytes()
    first, second = (json.loads(Path(n, "edit.json").read_text()) for n in ("one", "two"))
    assert first["tests"] != second["tests"] and first["ablated"] == second["ablated"]


def test_analyze(place, tmp_path):
    said = run("analyze", place, "--labelled", "data/test", "--descriptions", "said.csv", "--out",
               "out", "--encoder", PACKAGED, "--steps", 3)  # fmt: skip
    assert "6 units" in said
    layers = pd.read_csv("out/layers.csv")
    assert layers["neurons"].tolist() == [6]
    assert {"importance.csv", "curves.csv", "units.csv", "report.html", "layers.png"} <= {
        path.name for path in Path("out").iterdir()
    }
    importance = pd.read_csv("out/importance.csv")
    assert len(importance) == 32
    classes = pd.read_csv("out/classes.csv")
    assert set(classes["class"]) == {"a-green", "c-red"} and set(classes["images"]) == {10}
    assert Path("out/classes-layer.png").stat().st_size > 5000
    units = pd.read_csv("out/units.csv")
    assert units["nouns"].tolist()[:3] == [1, 1, 2]
    page = Path("out/report.html").read_text()
    assert "Which properties matter" in page and "Which classes lean on them" in page
    usual = ("analyze", place, "--labelled", "data/test", "--descriptions", "said.csv",
             "--encoder", PACKAGED, "--steps", 3)  # fmt: skip
    run(*usual, "--out", "lowest", "--first", "lowest")
    lowest = pd.read_csv("lowest/importance.csv")
    assert set(lowest["direction"]) == {"lowest"} and len(lowest) == 16
    both = importance[importance["direction"] == "lowest"]
    assert both["property"].tolist() == lowest["property"].tolist()
    with pytest.raises(InputError, match="--first 'random'"):
        run(*usual, "--out", "never", "--first", "random")


def test_audit(place, tmp_path):
    other = pd.read_csv("said.csv")
    other["description"] = ["red things", "green things", "blue areas", "a <b>text</b>", "x", "y"]
    other.to_csv("other.csv", index=False)
    said = run("audit", f"plain/1={place}", f"blurred/1={place}", "--for", "text", "--for",
               "letters", "--images", "data/train", "--descriptions", "said.csv", "--descriptions",
               "other.csv", "--out", "out")  # fmt: skip
    assert "plain/1: 2 of 6 units match" in said and "blurred/1: 1 of 6 units match" in said
    card = pd.read_csv("out/model-card.csv")
    assert card[card["layer"] == "all"]["matching"].tolist() == [2, 1]
    comparison = pd.read_csv("out/comparison.csv")
    assert comparison["difference"].tolist() == pytest.approx([1 / 6, 1 / 6])
    page = Path("out/report.html").read_text()
    assert "&lt;b&gt;<mark>text</mark>" in page


def test_audit_beside_random_weights(place, tmp_path):
    usual = ("audit", f"plain/1={place}", "--for", "text", "--images", "data/train", "--method",
             "constant-frequent", "--k", 3, "--train", "demo")  # fmt: skip
    said = run(*usual, "--out", "out", "--controls", 2)
    # Every unit is said to be the same, so nothing but the exit code can differ.
    assert "plain/1: 0 of 6 units match; with random weights 0 %" in said
    control = pd.read_csv("out/random-weights.csv")
    assert control["control"].tolist() == [1, 2] and control["units"].tolist() == [6, 6]
    assert len(list(Path("out/work").glob("exemplars-*"))) == 3
    page = Path("out/report.html").read_text()
    assert "with random weights" in page and "Nothing" not in page.partition("<h1")[0]
    run(*usual, "--out", "none", "--controls", 0, "--decoys", 0)
    assert not Path("none/random-weights.csv").exists()


def test_mistakes_are_named(place, tmp_path):
    usual = ("edit", place, "--data", "data", "--descriptions", "said.csv")
    for changes, message in (
        (("--remove", "red, green, words, text, nothing"), "all 6 units"),
        (("--remove", "(.*)"), "cannot be searched"),
        (("--remove", "text", "--layers", "layer4"), "layer4"),
        (("--remove", "text", "--fill", "median"), "median"),
        (("--remove", "text", "--test", "data/validation"), "overlap"),
        (("--remove", "text", "--test", "data/validation/a-green"), "overlap"),
        (("--remove", "text", "--images", "data/train"), "--images"),
        (("--remove", "text", "--images", "data/test"), "overlap"),
        (("--remove", "text", "--images", "data"), "overlap"),
        (("--remove", "text", "--threshold", "2"), "threshold"),
        (("--remove", "text", "--option", "wishes=3"), "wishes"),
        (("--remove", "text", "--expand", "wishes"), "wishes"),
        (("--remove", "text", "--validation", "data/test/c-red"), "overlap"),
    ):
        with pytest.raises(InputError, match=message):
            run(*usual, *changes, "--out", tmp_path / "never")
        assert not (tmp_path / "never" / "report.html").exists()
    with pytest.raises(InputError, match="one class only"):
        for path in Path("data/validation/a-green").glob("*.png"):
            path.unlink()
        Path("data/validation/a-green").rmdir()
        run(*usual, "--remove", "text", "--out", tmp_path / "never")
    with pytest.raises(InputError, match="two models are named"):
        run("audit", place, place, "--for", "text", "--images", "data/train", "--out", "never")
    with pytest.raises(InputError, match="none of the subfolders"):
        run("edit", place, "--remove", "text", "--data", "data/train", "--out", "never")
    bad = pd.read_csv("said.csv")
    bad.loc[0, "unit"] = 77
    bad.to_csv("bad.csv", index=False)
    with pytest.raises(InputError, match="seen:77"):
        run("analyze", place, "--labelled", "data/test", "--descriptions", "bad.csv", "--out",
            "never", "--encoder", PACKAGED)  # fmt: skip


def test_spurious_text_and_a_classifier_trained_on_it(place, tmp_path):
    said = run("spurious-text", "data/train", "written", "--size", 48, "--seed", 3)
    assert "written" in said
    listing = json.loads(Path("written/spurious-text.json").read_text())
    assert {entry["split"] for entry in listing["files"]} == {
        "train", "validation", "validation-adversarial", "test", "test-adversarial"
    }  # fmt: skip
    said = run("train-classifier", "written/train", "net.safetensors", "--epochs", 1)
    assert "smallnet" in said and Path("net.safetensors").is_file()
    with pytest.raises(InputError, match="apart"):
        run("spurious-text", "data/train", "data/train/inside")
    # What was written is what an edit takes.
    described = pd.DataFrame(
        {
            "layer": ["conv1", "conv1", "conv5", "conv5"], "unit": [0, 1, 2, 3],
            "description": ["text", "stripes", "words", "circles"],
        }
    )  # fmt: skip
    described.to_csv("of-net.csv", index=False)
    said = run("edit", "smallnet", "--weights", "net.safetensors", "--remove", "text,words",
               "--data", "written", "--descriptions", "of-net.csv", "--out", "edited-net",
               "--trials", 2, "--alike", 1)  # fmt: skip
    assert "of 2 matching units ablated" in said


def test_edit_takes_what_spurious_color_writes(place, tmp_path):
    said = run("spurious-color", "data/train", "coloured", "--style", "tint", "--amount", 0.5,
               "--size", 32, "--seed", 3)  # fmt: skip
    assert "Images with spurious colours: coloured" in said
    listing = json.loads(Path("coloured/spurious-color.json").read_text())
    assert listing["settings"]["style"] == "tint"
    save_file(dict(small.SmallNet(2).state_dict()), "net.safetensors")
    pd.DataFrame(
        {"layer": ["conv1", "conv5"], "unit": [0, 2], "description": ["red areas", "circles"]}
    ).to_csv("of-net.csv", index=False)
    said = run("edit", "smallnet", "--weights", "net.safetensors", "--remove", "red,green",
               "--data", "coloured", "--descriptions", "of-net.csv", "--out", "edited",
               "--trials", 2, "--alike", 1)  # fmt: skip
    assert "of 1 matching units ablated" in said and Path("edited/report.html").is_file()
    with pytest.raises(InputError, match="style"):
        run("spurious-color", "data/train", "never", "--style", "stripes")


def test_analyze_without_labelled_images(place, tmp_path):
    run("analyze", place, "--images", "data/train", "--method", "constant-frequent", "--out", "out",
        "--encoder", PACKAGED, "--k", 3)  # fmt: skip
    page = Path("out/report.html").read_text()
    assert "Which properties matter" not in page and not Path("out/importance.csv").exists()
    # Nothing of an earlier report is left beside a new one.
    Path("out/importance.csv").write_text("old")
    with pytest.raises(InputError, match="--overwrite"):
        run("analyze", place, "--images", "data/train", "--out", "out", "--encoder", PACKAGED)
    run("analyze", place, "--images", "data/train", "--method", "constant-frequent", "--out", "out",
        "--encoder", PACKAGED, "--k", 3, "--overwrite")  # fmt: skip
    assert not Path("out/importance.csv").exists()

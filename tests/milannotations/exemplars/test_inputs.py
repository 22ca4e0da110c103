"""Inputs of another size and other channels, and networks of the user's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from milannotations.catalog.models import load_model
from milannotations.errors import InputError
from milannotations.hook_points.probe import probe
from milannotations.inputs.options import InputOptions
from milannotations.inputs.preprocessing import Preprocessing

USUAL = Preprocessing()
SQUASHED = Preprocessing(size=(100, 200), resize=(110, 220))
GREY = Preprocessing(size=28, resize=28, mean=(0.1,), std=(0.3,))


@pytest.mark.parametrize(
    ("options", "usual", "expected"),
    [
        ({}, SQUASHED, SQUASHED),
        ({"size": "112"}, USUAL, Preprocessing(size=112, resize=128)),
        ({"size": "96x160"}, USUAL, Preprocessing(size=(96, 160), resize=160)),
        ({"size": "200x400"}, SQUASHED, Preprocessing(size=(200, 400), resize=(220, 440))),
        ({"size": "64", "resize": "64x64"}, USUAL, Preprocessing(size=64, resize=(64, 64))),
        ({"channels": 1}, USUAL, Preprocessing(mean=(0.449,), std=(0.226,))),
        ({"channels": 3}, GREY, Preprocessing(28, 28, mean=(0.1,) * 3, std=(0.3,) * 3)),
        ({"mean": "0.5", "std": ".5"}, USUAL, Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)),
        ({"mean": "0.2"}, GREY, Preprocessing(28, 28, mean=(0.2,), std=(0.3,))),
        ({"mean": ".1,.2,.3"}, GREY, Preprocessing(28, 28, mean=(0.1, 0.2, 0.3), std=(0.3,) * 3)),
    ],
)
def test_what_is_said_changes_the_preprocessing(
    options: dict[str, str], usual: Preprocessing, expected: Preprocessing
) -> None:
    changed = InputOptions(**options).applied(usual)  # type: ignore[arg-type]
    assert (changed.size, changed.resize) == (expected.size, expected.resize)
    assert changed.mean == pytest.approx(expected.mean)
    assert changed.std == pytest.approx(expected.std)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"size": "0"}, "--input-size '0'; write it as 128 or, height first, 96x160"),
        ({"size": "8x"}, "--input-size"),
        ({"resize": "big"}, "--resize 'big'"),
        ({"channels": 4}, "--channels 4: images have 1 channel .grey. or 3"),
        ({"mean": "1,2"}, "--mean '1,2'; write one number, or three"),
        ({"std": "0"}, "--std '0'.* above 0"),
        ({"std": "nan"}, "--std 'nan'"),
        ({"channels": 1, "mean": ".1,.2,.3"}, "--mean has 3 numbers, and there are 1 channels"),
        ({"size": "300", "resize": "256"}, "300 × 300 cannot be cut .*raise --resize"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        InputOptions(**options).applied(USUAL)  # type: ignore[arg-type]


def test_a_network_that_cannot_take_its_input_says_how_to_give_another() -> None:
    grey = nn.Sequential(nn.Conv2d(1, 4, 3)).eval()
    with pytest.raises(
        InputError, match=r"its first convolution takes 1 channel, and --input-size"
    ):
        probe(grey, ["0"], (torch.zeros(1, 3, 8, 8),))
    small = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)).eval()
    with pytest.raises(InputError, match=r"--input-size, --channels, --mean .* LoadedModel") as it:
        probe(small, ["1"], (torch.zeros(1, 3, 9, 9),))
    assert "mat1 and mat2" in str(it.value)
    assert len(str(it.value).splitlines()) == 1
    # Latents have no size that could be chosen.
    with pytest.raises(InputError) as caught:
        probe(small, ["1"], (torch.zeros(1, 5),))
    assert "--input-size" not in str(caught.value)


FACTORIES = """
from torch import nn
from milannotations.catalog.models import LoadedModel
from milannotations.inputs.preprocessing import Preprocessing

def plain():
    return nn.Conv2d(3, 4, 1)

def whole():
    return LoadedModel(plain(), "mine", "my-data", Preprocessing(size=32, resize=36))

def broken():
    return plain()["no such key"]

def needs(size):
    return plain()

def stops():
    raise SystemExit("usage: train.py CONFIG")

def quoted():
    raise ValueError("first line\\nsecond line")

def text():
    return "a network"
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_networks.py").write_text(FACTORIES)
    (tmp_path / "my_fault.py").write_text("import torch\n\nraise RuntimeError('no licence')\n")
    (tmp_path / "my_typo.py").write_text("def make(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("my_networks", None)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("my_networks:broken", r"broken raises TypeError: .* \(line 13 of my_networks.py in bro"),
        ("my_networks:needs", r"needs raises TypeError: .*missing 1 required .*'size'"),
        ("my_networks:stops", r"stops raises SystemExit: usage: train.py CONFIG \(line 19 of my"),
        ("my_networks:quoted", "quoted raises ValueError: first line second line"),
        ("my_networks:text", "gives a str, not a torch.nn.Module or a .*LoadedModel"),
        ("my_networks:plan", "has no attribute 'plan'; did you mean 'plain'"),
        ("my_fault:make", r"module my_fault raises RuntimeError: no licence \(line 3 of my_fault"),
        ("my_typo:make", r"module my_typo raises SyntaxError: invalid syntax \(my_typo.py, line 1"),
    ],
)
@pytest.mark.usefixtures("factories")
def test_a_factory_that_fails_is_one_line(spec: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_model(spec)
    assert str(caught.value).startswith(f"model {spec!r}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("factories")
def test_records_carry_the_names_that_the_user_chooses(tmp_path: Path) -> None:
    weights = tmp_path / "epoch-3.pt"
    torch.save(nn.Conv2d(3, 4, 1).state_dict(), weights)
    names = {
        ("my_networks:plain", "published", None, None): ("plain", "unknown"),
        ("my_networks:plain", str(weights), None, None): ("plain", "epoch-3"),
        ("my_networks:plain", str(weights), "net", "birds"): ("net", "birds"),
        ("my_networks:whole", "published", None, None): ("mine", "my-data"),
        ("my_networks:whole", str(weights), None, None): ("mine", "my-data"),
        ("my_networks:whole", "random", None, None): ("mine", "my-data"),
        ("my_networks:whole", str(weights), None, "birds"): ("mine", "birds"),
        ("resnet18", "random", "tuned", None): ("tuned", "random"),
    }
    for (spec, file, name, dataset), expected in names.items():
        loaded = load_model(spec, file, dataset, name=name)
        assert (loaded.name, loaded.dataset) == expected
    with pytest.raises(InputError, match="--name ' '"):
        load_model("my_networks:whole", name=" ")
    changed = load_model("my_networks:whole", inputs=InputOptions(size="64"))
    assert (changed.preprocessing.size, changed.preprocessing.resize) == (64, 72)
    with pytest.raises(InputError, match="is a generator: it takes latents"):
        load_model(
            "tests.milannotations.exemplars.test_generators:lamps", inputs=InputOptions(size="64")
        )

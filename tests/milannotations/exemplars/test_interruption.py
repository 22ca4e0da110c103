"""Ctrl-C in a build: what is kept, and that the next run goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = """
import os, signal, sys
from pathlib import Path
import torch
from tests.milannotations.exemplars.networks import IDENTITY, Colours
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.inputs.sources import ImageFolder

# A process in the background of a shell has been told to ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Pressed(Colours):
    calls = 0
    def forward(self, x):
        Pressed.calls += 1
        if sys.argv[3] == "press" and Pressed.calls == 5:  # two of the probe, then batches of two
            os.kill(os.getpid(), signal.SIGINT)
        return super().forward(x)

build(
    BuildRequest(
        module=Pressed(), source=ImageFolder(Path(sys.argv[1]), IDENTITY), layers=["relu"],
        out=Path(sys.argv[2]), model="colours", dataset="none",
        options=BuildOptions(k=2, batch_size=2),
    )
)
"""


def test_ctrl_c_in_a_build_saves_the_batch_and_the_next_run_goes_on(
    squares: Path, tmp_path: Path
) -> None:
    def run(out: str, mode: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", RUN, squares, tmp_path / out, mode],
            capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[3],
        )  # fmt: skip

    images = len([*squares.glob("*.png")])
    stopped = run("out", "press")
    assert stopped.returncode != 0
    assert not (tmp_path / "out").exists()
    assert f"what was found in 6 of {images} images is kept in" in stopped.stderr
    assert "run the same command again to go on with it" in stopped.stderr
    again = run("out", "go on")
    assert again.returncode == 0, again.stderr
    assert f"going on: 6 of {images} images were run before" in again.stderr
    whole = run("whole", "go on")
    assert "going on" not in whole.stderr
    for path in (tmp_path / "whole" / "data").glob("*.parquet"):
        assert path.read_bytes() == (tmp_path / "out" / "data" / path.name).read_bytes()

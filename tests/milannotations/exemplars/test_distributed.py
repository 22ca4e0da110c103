"""Several processes give what one gives, byte for byte, also when one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.exemplars.build import build, build_with_torchrun
from milannotations.exemplars.collect import Job, prepare
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.ray_engine import Worker, ray_engine
from milannotations.exemplars.request import BuildRequest, PassRequest
from milannotations.exemplars.shards import PartialStatistics
from milannotations.inputs.sources import ImageFolder
from milannotations.storage import unfinished_folder
from tests.milannotations.exemplars.networks import IDENTITY, Colours, Interrupted
from tests.milannotations.exemplars.test_resume import FACTS, OPTIONS, contents

LAYERS = ["colours.conv", "colours.relu"]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def source(squares: Path) -> ImageFolder:
    return ImageFolder(squares, IDENTITY, size=64)


@pytest.fixture
def whole(source: ImageFolder, tmp_path: Path) -> dict[str, bytes]:
    build(
        BuildRequest(
            module=_never(tmp_path), source=source, layers=LAYERS, out=tmp_path / "whole", **FACTS
        )
    )
    return contents(tmp_path / "whole")


def _never(tmp_path: Path) -> nn.Module:
    return Interrupted(10**9, tmp_path / "never")


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray for the tests of this module: starting it takes seconds."""
    ray = pytest.importorskip("ray")
    # Workers do not start in this folder, where the tests' own networks are.
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False,
             runtime_env={"env_vars": {"PYTHONPATH": paths}})  # fmt: skip
    yield
    ray.shutdown()


def test_a_worker_on_a_gpu_computes_in_float32(
    source: ImageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An actor is a process of its own, with torch's settings as they are by default.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(Job, "to", lambda self, device: self)
    monkeypatch.setattr(PartialStatistics, "empty", lambda plan, device: None)
    job = prepare(
        PassRequest(
            module=Colours(), source=source, layers=["conv"], model="colours", dataset="hand",
            options=BuildOptions(k=3, size=64),
        )
    )  # fmt: skip
    assert Worker(job, "cuda", None).device.type == "cuda"
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_ray_gives_what_one_process_gives(
    ray_here: None, source: ImageFolder, whole: dict[str, bytes], tmp_path: Path, workers: int
) -> None:
    engine = ray_engine(workers)
    build(
        BuildRequest(
            module=_never(tmp_path), source=source, layers=LAYERS, out=tmp_path / "out", **FACTS
        ),
        engine=engine,
    )
    assert contents(tmp_path / "out") == whole


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_work_done_again(
    ray_here: None, source: ImageFolder, whole: dict[str, bytes], tmp_path: Path, capfd
) -> None:
    model = Interrupted(3, tmp_path / "mark")
    model.passes = -2  # the probe's do not count: what is killed is a worker
    build(
        BuildRequest(module=model, source=source, layers=LAYERS, out=tmp_path / "out", **FACTS),
        engine=ray_engine(2),
    )
    assert (tmp_path / "mark").exists()
    assert "a worker died" in capfd.readouterr().err
    assert contents(tmp_path / "out") != {}
    ours, theirs = (contents(tmp_path / name) for name in ("out", "whole"))
    assert ours == theirs == whole


class Stubborn(nn.Module):
    """Kills every process that runs it, but for the first passes."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.colours = Colours()
        self.passes = passes

    def forward(self, x: Tensor) -> Tensor:
        self.passes -= 1
        if self.passes < 0:
            os._exit(1)
        return self.colours(x)


@pytest.mark.slow
def test_workers_that_always_die_end_in_an_error(
    ray_here: None, source: ImageFolder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"workers died 4 times"):
        build(
            BuildRequest(
                module=Stubborn(2), source=source, layers=LAYERS, out=tmp_path / "out", **FACTS
            ),
            engine=ray_engine(1),
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_mistakes_found_by_a_worker_reach_the_user(
    ray_here: None, squares: Path, source: ImageFolder, tmp_path: Path
) -> None:
    picture = (squares / "20.png").read_bytes()
    (squares / "20.png").write_bytes(picture[: len(picture) // 2])
    with pytest.raises(InputError, match=r"unreadable image .*20\.png.*--skip-unreadable"):
        build(
            BuildRequest(
                module=_never(tmp_path), source=source, layers=LAYERS, out=tmp_path / "out", **FACTS
            ),
            engine=ray_engine(2),
        )


@pytest.mark.slow
def test_ray_goes_on_with_what_a_serial_build_began(
    ray_here: None, source: ImageFolder, whole: dict[str, bytes], tmp_path: Path
) -> None:
    from milannotations.exemplars.collect import collect, prepare
    from milannotations.exemplars.shards import PartialStatistics, shard_path

    job = prepare(PassRequest(module=_never(tmp_path), source=source, layers=LAYERS, **FACTS))
    partial_statistics = PartialStatistics.empty(job.plan)
    collect(job, partial_statistics, range(9, 17), "cpu")
    partial_statistics.save(shard_path(unfinished_folder(tmp_path / "out"), 1, 1))
    build(
        BuildRequest(
            module=_never(tmp_path), source=source, layers=LAYERS, out=tmp_path / "out", **FACTS
        ),
        engine=ray_engine(2),
    )
    assert contents(tmp_path / "out") == whole


def test_numbers_of_workers() -> None:
    with pytest.raises(InputError, match="0 workers"):
        ray_engine(0)


def test_torchrun_without_torchrun_is_told(source: ImageFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"torchrun --nproc-per-node"):
        build_with_torchrun(
            BuildRequest(
                module=Colours(),
                source=source,
                layers=["conv"],
                out=tmp_path / "out",
                device="cpu",
                **FACTS,
            )
        )


@pytest.mark.slow
def test_torchrun_gives_what_one_process_gives(
    squares: Path, source: ImageFolder, tmp_path: Path
) -> None:
    build(
        BuildRequest(
            module=Colours(),
            source=source,
            layers=["conv", "relu"],
            out=tmp_path / "whole",
            **FACTS,
        )
    )
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "milannotations", "build", "--engine", "torchrun", "--device", "cpu"),
        *("--model", "tests.milannotations.exemplars.networks:colours", "--layers", "conv,relu"),
        *("--images", str(squares), "--out", str(tmp_path / "out"), "--image-format", "png"),
        *("--k", str(OPTIONS.k), "--size", "64", "--batch-size", str(OPTIONS.batch_size)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not unfinished_folder(tmp_path / "out").exists()


def test_engines_and_options_that_do_not_fit(squares: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from milannotations.exemplars.commands import app

    base = ["--model", "tests.milannotations.exemplars.networks:colours", "--out",
            str(tmp_path / "out"), "--images", str(squares), "--device", "cpu"]  # fmt: skip

    def fails(*more: str) -> str:
        result = CliRunner().invoke(app, [*base, *more])
        assert isinstance(result.exception, InputError), result.output
        return str(result.exception)

    assert "leave out --engine ray" in fails("--shard", "1/2", "--engine", "ray")
    assert "the third of sixteen" in fails("--shard", "3-16")
    assert "write it as LAYER=PATH" in fails("--sae", "conv")
    assert "write it as PATTERN=KIND" in fails("--layout", "conv=square")
    assert "no layers are known" in fails()
    assert "not both" in fails("--latents", "5", "--layers", "conv")
    assert "dtype 'float8'" in fails("--dtype", "float8")
    assert "a checkpoint every 0.0" in fails("--checkpoint-every", "0")
    assert BuildOptions().checkpoint_seconds == 60

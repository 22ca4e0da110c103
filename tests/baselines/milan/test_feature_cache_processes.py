"""Several trainings at once on one cache of features: one computes, the others wait and read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from milannotations.storage.names import unfinished_folder
from tests.milannotations.storage.processes import killed, start

_CACHED = """
from baselines.features import cache
from tests.baselines.milan.made_up import neurons, tiny_encoder
compute = cache._compute
def computed(*arguments):
    PAUSE
    compute(*arguments)
    print("computed")
cache._compute = computed
features = cache.cached_features(tiny_encoder(), neurons(4), work=target)
print(features.sum().item())
"""


@pytest.mark.slow
def test_of_three_at_once_one_computes_and_the_others_read(tmp_path: Path) -> None:
    code = f"sys.path.insert(0, {str(Path(sys.path[0]))!r})\n" + _CACHED
    first = start(code.replace("PAUSE", "pause()"), tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline() == "there\n"
    others = [start(code.replace("PAUSE", "pass"), tmp_path) for _ in range(2)]
    for other in others:
        assert other.stderr is not None
        line = other.stderr.readline()
        assert line.startswith("note: waiting for another process that writes"), line
        assert f"(number {first.pid})" in line
    value = first.communicate("")[0].splitlines()
    assert value[0] == "computed"
    for other in others:
        output, errors = other.communicate()
        assert other.returncode == 0, errors
        assert output.splitlines() == value[1:]
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.slow
def test_the_features_of_a_killed_process_are_gone_on_with(tmp_path: Path) -> None:
    code = f"sys.path.insert(0, {str(Path(sys.path[0]))!r})\n" + _CACHED
    killed(code.replace("PAUSE", "die()"), tmp_path)
    (lock,) = tmp_path.glob(".*.lock")
    target = tmp_path / lock.name[1:].removesuffix(".lock")
    assert unfinished_folder(target).is_dir()
    process = start(code.replace("PAUSE", "pass"), tmp_path)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.startswith("computed")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]

"""Options of describers, ours and other people's: listed, and wrong ones told in a sentence."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from applications.config import DescribingConfig
from applications.experiment_commands import app as experiments
from applications.preparing import describer_of
from baselines.commands import app
from milannotations import registry
from milannotations.describer import (
    DESCRIBERS,
    accepts,
    available,
    check_options,
    create,
    list_options,
)
from milannotations.describer_options import listing, options_of
from milannotations.errors import InputError


class Further(BaseModel):
    """More.

    Attributes:
        depth: How deep.
    """

    depth: int = Field(default=3, ge=1)


class Theirs:
    """Says what it was told, of somebody else's package.

    Args:
        words: What it
            says.
        rate: How often.
        kind: Which kind.
        extra: Fields of ``Further``.
    """

    sees_references: ClassVar[bool] = False
    option_models = (Further,)

    def __init__(
        self, words: str, rate: float = 0.5, kind: Literal["a", "b"] = "a", **extra: Any
    ) -> None:
        self.given = (words, rate, kind, extra)
        if words == "bad":
            raise ValueError("cannot say that")


class Open:
    def __init__(self, **anything: Any) -> None:
        self.given = anything


@pytest.fixture(autouse=True)
def _entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    here, group = __name__, "milannotations.describers"
    points = [
        EntryPoint("theirs", f"{here}:Theirs", group), EntryPoint("open", f"{here}:Open", group),
        EntryPoint("gone", "no_such_package:Describer", group),
    ]  # fmt: skip
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    import sys

    monkeypatch.setitem(sys.modules, here, sys.modules[__name__])


def test_options_are_read_from_signature_and_docstring() -> None:
    assert list_options("theirs") == [
        "theirs: Says what it was told, of somebody else's package.",
        "  words=  text, must be given",
        "      What it says.",
        "  rate=  number, default 0.5",
        "      How often.",
        "  kind=  a | b, default a",
        "      Which kind.",
        "  depth=  whole number, default 3",
        "      How deep.",
    ]
    assert any("any further NAME=VALUE" in line for line in list_options("open"))


def test_every_describer_lists_what_it_takes_in_80_columns() -> None:
    for name in set(available()) - {"gone"}:
        lines = list_options(name)
        assert max(map(len, lines)) <= 80, name
        options, others = options_of(DESCRIBERS.get(name))
        assert others is (name == "open")
        for option in options.values():
            assert accepts(name, option.name)
            if option.writable:
                assert any(line.startswith(f"  {option.name}=  ") for line in lines)
    # Options of a base class, and fields of models that further options go to.
    assert {"concepts", "variant", "batch_size"} <= set(options_of(_of("netdissect"))[0])
    assert {"epochs", "beam", "clip"} <= set(options_of(_of("milan"))[0])
    assert not accepts("netdissect", "epochs")
    assert not accepts("oracle", "seed")


def _of(name: str) -> Any:
    return DESCRIBERS.get(name)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("theirs", {}, "needs the option 'words'"),
        ("theirs", {"words": "x", "raet": 1}, "has no option 'raet'; did you mean 'rate'"),
        ("theirs", {"words": "x", "rate": "often"}, "rate='often' is not of the type.*number"),
        ("theirs", {"words": "x", "kind": "c"}, r"kind='c' is not of the type.*\(a \| b\)"),
        ("theirs", {"words": "x", "depth": 0}, "theirs: option depth=0: Input should be greater"),
        ("theirs", {"words": "bad"}, r"with words='bad': ValueError: cannot say that \(line"),
        ("gone", {}, "'gone' .no_such_package:Describer. cannot be loaded: ModuleNotFoundError"),
        ("milan", {"epoch": 3}, "has no option 'epoch'; did you mean 'epochs'"),
        ("milan", {"epochs": "many"}, "milan: option epochs='many'"),
        ("milan", {"alternatives": "many"}, "alternatives='many' is not of the type"),
        ("retrieval", {"layrs": "x"}, "'layrs'; did you mean 'layers'"),
        ("netdissect", {"varient": "full"}, "'varient'; did you mean 'variant'"),
        ("oracle", {"seed": 1}, "has no option 'seed'"),
    ],
)
def test_what_is_wrong_is_a_sentence(name: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        create(name, **options)
    assert len(str(caught.value).splitlines()) == 1


def test_values_become_what_the_option_takes() -> None:
    made = create("theirs", words=2024, rate=1, depth=2)
    assert made.given == ("2024", 1.0, "a", {"depth": 2})  # type: ignore[attr-defined]
    assert create("open", any=1).given == {"any": 1}  # type: ignore[attr-defined]
    check_options("milan", {"stop_on": "loss", "resample": "true"})


def test_describe_lists_options_and_needs_a_file(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--method", "retrieval", "--help-options"])
    assert done.exit_code == 0
    assert "\n  encoder=  text, default efficientnet_lite0\n" in done.stdout
    for arguments, match in (
        (["--method", "retrieval"], "with --out"),
        (["--method", "retreival", "--help-options"], "did you mean 'retrieval'"),
    ):
        with pytest.raises(InputError, match=match):
            raise CliRunner().invoke(app, arguments).exception or AssertionError


def test_experiments_say_it_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no option 'encodr'; did you mean 'encoder'"):
        describer_of(DescribingConfig(option=["encodr=x"], train="none"), 15)
    arguments = [
        "generalization", "--data", "worlds", "--method", "mine=milan:epoch=3", "--out",
        str(tmp_path / "out"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="no option 'epoch'; did you mean 'epochs'"):
        raise CliRunner().invoke(experiments, arguments).exception or AssertionError
    assert not (tmp_path / "out").exists()


def test_a_function_may_make_a_describer() -> None:
    def make(side: int = 3) -> object:
        return object()

    assert listing("make", make) == ["make", "  side=  whole number, default 3"]

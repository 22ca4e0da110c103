"""The tested commands, on tiny inputs, and what each of them writes."""

from __future__ import annotations

import io
import json
import re
import shlex
from dataclasses import dataclass

from pyarrow import parquet

# Outputs that other commands need; made once, in this order, in the folder of the inputs.
PRODUCTS = {
    "dataset": "build --model my.package:make --input-size 32 --images images --layers 0.0 --k 2 "
    "--size 32 --device cpu --out dataset",
    "shards/1.safetensors": "build --model my.package:make --input-size 32 --images images "
    "--layers 0.0 --k 2 --size 32 --device cpu --shard 1/2 --out shards",
    "shards/2.safetensors": "build --model my.package:make --input-size 32 --images images "
    "--layers 0.0 --k 2 --size 32 --device cpu --shard 2/2 --out shards",
    "release": "import-release alexnet-places365 --out release",
    "bare": "import-release alexnet-imagenet --out bare",
    "model": "train --data neurons.parquet --encoder my.package:make --layers 0.0 --hidden 4 "
    "--embedding 4 --option epochs=1 --option stop_on=loss --device cpu --out model",
    "results": "leaderboard score board/submissions/mine board/submissions/theirs --board board "
    "--out results --no-sanity --device cpu",
    "weights.safetensors": "experiment train-classifier lessons/train weights.safetensors "
    "--epochs 1 --device cpu",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command, with its inputs and outputs.

    Attributes:
        name: Name of the row in the table.
        command: Command line without ``milannotations``.
        whole: Folders and files that it writes, each of which must be all new or all old.
        old: Command that is run before to write the result to be replaced; empty for none.
        slow: Whether it is left out of the quick selection.
    """

    name: str
    command: str
    whole: tuple[str, ...] = ()
    old: str = ""
    slow: bool = False

    @property
    def variant(self) -> bool:
        """Whether another case runs a simpler form of the same command."""
        return ("," in self.name and not self.name.startswith("describe")) or bool(self.old)

    @property
    def argv(self) -> list[str]:
        """The command's words."""
        return shlex.split(self.command)


_BUILD = (
    "build --model my.package:make --input-size 32 --images images --layers 0.0 --k 2 --size 32 "
    "--device cpu"
)
_TRAIN = (
    "train --data neurons.parquet --encoder my.package:make --layers 0.0 --hidden 4 --embedding 4 "
    "--option epochs=2 --option stop_on=loss --device cpu"
)
_SCORE = "score --references references.csv --descriptions mine.csv --metric bleu-1"
_RENDER = "leaderboard render --board board --results results --out site"
_APPLIED = "--method random-train --train neurons.parquet --train-split train --device cpu"
_EDIT = (
    "experiment edit smallnet --weights weights.safetensors --data lessons --layers conv1 "
    f"--remove red --exact --k 2 --trials 2 --candidate-draws 1 {_APPLIED}"
)

CASES = [
    Case("import-release", "import-release alexnet-places365 --out out", ("out",)),
    Case("import-release, a zip", "import-release alexnet-places365.zip --out out", ("out",)),
    Case(
        "import-release, over another", "import-release alexnet-places365 --out out --overwrite",
        ("out",), "import-release alexnet-places365 --out out --image-format png",
    ),
    Case(
        "import-release, where load finds it", "import-release alexnet-places365",
        ("home/configs/alexnet-places365",),
    ),
    Case(
        "download", "download alexnet-places365 --from-zip alexnet-places365.zip",
        ("home/configs/alexnet-places365",),
    ),
    Case(
        "attach-images", "attach-images bare --source images --allow-other-source --out out",
        ("out",),
    ),
    Case(
        "attach-images, in place", "attach-images bare --source images --allow-other-source",
        ("bare",),
    ),
    Case("export-release", "export-release release --out out", ("out",)),
    Case("export-release, a zip", "export-release release --out out.zip", ("out.zip",)),
    Case("export-catalog", "export-catalog dataset --descriptions own.csv --out out", ("out",)),
    Case("quality", "quality neurons.parquet --out out --device cpu"),
    Case(
        "quality, over another", "quality neurons.parquet --out out --device cpu",
        (), "quality neurons.parquet --out out --seed 3 --device cpu",
    ),
    Case("build", f"{_BUILD} --out out", ("out",)),
    Case("build, with checkpoints", f"{_BUILD} --batch-size 2 --checkpoint-every 0.0001 --out out",
         ("out",)),
    Case("build, over another", f"{_BUILD} --out out --overwrite", ("out",),
         f"{_BUILD} --k 1 --out out"),
    Case("build, one shard", f"{_BUILD} --shard 1/2 --out out"),
    Case("merge", "merge shards --images images --size 32 --out out",
         ("out",)),
    Case("view", "view dataset --descriptions own.csv --out out", ("out",)),
    Case("view, over another", "view dataset --out out --overwrite", ("out",),
         "view dataset --title Older --out out"),
    Case("dissect", "dissect --concepts broden:broden --model my.package:make --input-size 32 "
         "--layers 0.0 --device cpu --out out", ("out",)),
    Case("dissect, kept work", "dissect --concepts broden:broden --model my.package:make "
         "--input-size 32 --layers 0.0 --work kept --device cpu --out out", ("out",)),
    Case("dissect, compexp", "dissect --concepts broden:broden --model my.package:make "
         "--input-size 32 --layers 0.0 --method compexp --device cpu --out out", ("out",)),
    Case("train", f"{_TRAIN} --out out", ("out",)),
    Case("train, over another", f"{_TRAIN} --out out --overwrite", ("out",),
         f"{_TRAIN} --seed 1 --out out"),
    Case("train-language-model", "train-language-model --data neurons.parquet --hidden 4 "
         "--embedding 4 --option epochs=2 --device cpu --out out", ("out",)),
    Case("describe, random-train", "describe --method random-train --neurons neurons.parquet "
         "--train neurons.parquet --train-split train --device cpu --out out.csv", ("out.csv",)),
    Case("describe, milan", "describe --method milan --option model=model --option any_k=1 "
         "--option trust=1 --neurons dataset --device cpu --out out.csv", ("out.csv",)),
    Case("describe, over another", "describe --method random-train --neurons neurons.parquet "
         "--train neurons.parquet --train-split train --device cpu --out out.csv --overwrite",
         ("out.csv",), "describe --method constant --neurons neurons.parquet "
         "--device cpu --out out.csv"),
    Case("describe, compexp", "describe --method compexp --option concepts=broden:broden "
         "--neurons dataset --device cpu --out out.csv", ("out.csv",)),
    Case("score", f"{_SCORE} --out out --markdown out.md", ("out.md",)),
    Case("score, over another", f"{_SCORE} --out out --markdown out.md", ("out.md",),
         "score --references references.csv --descriptions other.csv --metric bleu-1 --seed 1 "
         "--out out --markdown out.md"),
    Case("sanity", "sanity references.csv --metric bleu-1 --out out --markdown out.md --device cpu",
         ("out.md",)),
    Case("experiment spurious-text", "experiment spurious-text lessons out", ("out",)),
    Case("experiment spurious-color", "experiment spurious-color lessons out", ("out",)),
    Case("experiment train-classifier", "experiment train-classifier lessons/train "
         "out.safetensors --epochs 1 --device cpu"),
    Case("experiment analyze", "experiment analyze smallnet --weights weights.safetensors "
         "--images images --labelled lessons/test --layers conv1 --k 2 --trials 2 --steps 2 "
         f"--encoder packaged/all-MiniLM-L6-v2 --out out {_APPLIED}", slow=True),
    Case("experiment audit", "experiment audit smallnet@weights.safetensors --for red --exact "
         "--images images --layers conv1 --k 2 --controls 1 --out out "
         f"--encoder packaged/all-MiniLM-L6-v2 {_APPLIED}", slow=True),
    Case("experiment edit", f"{_EDIT} --encoder packaged/all-MiniLM-L6-v2 --out out", slow=True),
    Case("experiment generalization", "experiment generalization --data worlds:10:40 --family "
         "across-task --method random-train --metric bleu-1 --device cpu --out out", slow=True),
    Case("experiment baselines", "experiment baselines --data worlds:10:40 "
         "--method random-train --metric bleu-1 --device cpu --out out", slow=True),
    Case("leaderboard init", "leaderboard init new --board board --out out", ("out",)),
    Case("leaderboard score", "leaderboard score board/submissions/mine board/submissions/theirs "
         "--board board --out out --device cpu"),
    Case("leaderboard score, over another", "leaderboard score board/submissions/mine "
         "--board board --out out --device cpu", (), "leaderboard score board/submissions/mine "
         "--board board --out out --no-sanity --device cpu"),
    Case("leaderboard compare", "leaderboard compare results/mine.json results/theirs.json "
         "--metric bleu-1 --out out.csv", ("out.csv",)),
    Case("leaderboard rows", "leaderboard rows --board board --only constant --only random-train "
         "--train demo/train --out out --device cpu"),
    Case("leaderboard render", _RENDER, ("site",)),
    Case("leaderboard render, over another", _RENDER, ("site",), f"{_RENDER} --title Older"),
    Case("demo", "demo --out out --device cpu", (), slow=True),
]  # fmt: skip

# Name of a file, a part of it that may differ between two runs, and its replacement.
_STAMPS = [
    (r"\.json$", rb'"wall_time_s": [0-9.e-]+', b'"wall_time_s": 0'),
    (r"out/cells/.*\.json$", rb'"seconds": [0-9.e-]+', b'"seconds": 0'),
    (r"home/downloads/checksums\.json$", rb'"date": ?"[^"]*"', b'"date": ""'),
    (r"submission\.yaml$", rb"wall_time_s: [0-9.e-]+\n", b""),
    # The table's record contains that time, so its hash differs; `trees.bound_pairs` checks it.
    (r"\.json$", rb'"table": "[0-9a-f]{64}"', b'"table": ""'),
    # The hash of a submission.yaml, which contains that time.
    (r"out/results/.*\.json$", rb'"submission": "[0-9a-f]{64}"', b'"submission": ""'),
]


def normalise(path: str, content: bytes) -> bytes:
    """Remove the parts of a file that may differ between two runs of a command."""
    if path.endswith(".per_neuron.parquet"):
        return _normalised_table(content)
    for name, pattern, replacement in _STAMPS:
        if re.search(name, path):
            content = re.sub(pattern, replacement, content)
    return content


def _normalised_table(content: bytes) -> bytes:
    """Return rows and record of a result's table without times."""
    table = parquet.read_table(io.BytesIO(content))
    facts = b"".join(k + v for k, v in sorted((table.schema.metadata or {}).items()))
    facts = re.sub(rb'"(wall_time_s|submission)": ?("[0-9a-f]*"|[0-9.e-]+)', b"", facts)
    return facts + json.dumps(table.to_pylist(), default=str).encode()


def select(names: list[str] | None, slow: bool = True) -> list[Case]:
    """Return the cases whose names begin with one of ``names``, or all cases."""
    chosen = [
        case
        for case in CASES
        if names is None or any(case.name == n or case.name.startswith(n) for n in names)
    ]
    return [case for case in chosen if slow or not case.slow]

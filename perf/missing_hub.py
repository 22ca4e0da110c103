"""Measure the time until a missing hub is reported: ``python perf/missing_hub.py``.

Each call needs something that is not cached. It runs in a separate process, with a hub whose name
cannot be resolved and with one where nothing listens. Times are of the call alone, without imports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

HUBS = {"no such name": "https://hub.invalid", "nothing listens": "http://127.0.0.1:9"}
CALLS = {
    "load": ("from milannotations import load", "load('someone/records')"),
    "images hf:…": (
        "from milannotations.attach.sources import HubSource",
        "HubSource('someone/images', 'train')",
    ),
    "--model hf:…": (
        "import transformers.models.auto; from milannotations.catalog.models import load_model",
        "load_model('hf:someone/model')",
    ),
    "--model timm:…": (
        "import timm; from milannotations.catalog.models import load_model",
        "load_model('timm:resnet18')",
    ),
    "--encoder (identification)": (
        "from benchmark.metrics.sentence import sentence_encoder",
        "sentence_encoder('someone/encoder', 'cpu')",
    ),
    "--encoder (BERTScore)": (
        "from benchmark.metrics.bertscore import BertScore",
        "BertScore('someone/encoder')",
    ),
    "--option model=…": (
        "from baselines.milan.model import Milan",
        "Milan.from_pretrained('someone/milan')",
    ),
    "push": (
        "from huggingface_hub import HfApi; from milannotations.hub.repository import Repository",
        "Repository(HfApi(), 'someone/records', None, None).read()",
    ),
}
_PROGRAM = """
import time, warnings
{imports}
start = time.monotonic()
try:
    {call}
except Exception as error:
    told = " ".join(str(error).split())
print(f"{{time.monotonic() - start:.1f}} s|{{told[:200]}}", flush=True)
"""


def main() -> None:
    """Measure all calls with all hubs, and print a line for each."""
    for hub, endpoint in HUBS.items():
        for name, (imports, call) in CALLS.items():
            with tempfile.TemporaryDirectory() as home:
                usual = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
                done = subprocess.run(
                    [sys.executable, "-c", _PROGRAM.format(imports=imports, call=call)],
                    env={**usual, "HF_HOME": home, "HF_ENDPOINT": endpoint},
                    capture_output=True, text=True, timeout=300, check=False,
                )  # fmt: skip
            print(f"{hub}, {name}: {(done.stdout or done.stderr).strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()

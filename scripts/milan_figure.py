"""Draw identification by the weight of p(d) for several studies, as ``docs/img/pmi.png``.

    python scripts/milan_figure.py "exact references=study" "half say nothing=study-vague"

Each argument is a label and a folder that ``scripts/milan_study.py`` wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt

OUT = Path(__file__).parents[1] / "docs" / "img" / "pmi.png"
# Values on the demo's test split, the same in every study.
ORACLE = 0.951


def main(studies: list[str]) -> None:
    """Draw one line per study, with a band of one standard deviation over seeds."""
    figure, axes = plt.subplots(figsize=(6.4, 3.8), dpi=150)
    for study in studies:
        label, _, folder = study.partition("=")
        table = pd.read_csv(Path(folder) / "sweep.csv")
        (line,) = axes.plot(table["weight"], table["mean"], marker="o", label=label)
        axes.fill_between(
            table["weight"], table["mean"] - table["deviation"], table["mean"] + table["deviation"],
            color=line.get_color(), alpha=0.15, linewidth=0,
        )  # fmt: skip
    for value, label in ((ORACLE, "oracle"), (0.5, "any constant")):
        axes.axhline(value, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(label, (1.0, value), ha="right", va="bottom", fontsize=8, color="grey")
    axes.set_xlabel("weight λ of log p(d) in reranking (0: no PMI)")
    axes.set_ylabel("identification AUC")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        title="training references", frameon=False, loc="center left", bbox_to_anchor=(0, 0.6)
    )
    figure.tight_layout()
    figure.savefig(OUT)


if __name__ == "__main__":
    main(sys.argv[1:])

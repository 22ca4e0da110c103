"""MILAN: the description with the highest pointwise mutual information with the exemplars."""

from typing import TYPE_CHECKING

from milannotations.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from baselines.milan.config import MilanConfig
    from baselines.milan.decoding import VARIANTS, Decoding
    from baselines.milan.model import Milan
    from baselines.milan.output import MilanOutput

__all__ = ["VARIANTS", "Decoding", "Milan", "MilanConfig", "MilanOutput"]

# `milannotations train --help` must not wait for torch.
__getattr__ = lazy_exports(
    __name__,
    {
        "VARIANTS": "baselines.milan.decoding",
        "Decoding": "baselines.milan.decoding",
        "Milan": "baselines.milan.model",
        "MilanConfig": "baselines.milan.config",
        "MilanOutput": "baselines.milan.output",
    },
)

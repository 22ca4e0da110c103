"""Which network the describers that run one take; shared by their configs."""

from __future__ import annotations

from typing import Annotated

from milannotations.describer_config import DescriberConfig, one_of


class DescribedNetworkConfig(DescriberConfig):
    """Which network is run.

    Attributes:
        model: The network, as for `milannotations build`, or ``synthetic``; default the one that
            the neurons' dataset records.
        weights: ``published`` (the default), ``random``, or a file; for the network of a dataset's
            neurons, what is recorded.
        sae: ``LAYER=PATH`` of sparse autoencoders, separated by commas; default what is recorded.
        check: ``no`` accepts a network whose hash is not the recorded one.
    """

    model: str | None = None
    weights: str | None = None
    sae: str | None = None
    check: Annotated[str, one_of(("yes", "no"))] = "yes"

"""The describer protocol, and describers by name.

A describer turns exemplars into words. To add one, decorate its class with ``@register("name")``;
``milannotations.registry`` says in which modules it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from milannotations.describer_options import checked_options, listing, options_of
from milannotations.errors import InputError, raised
from milannotations.registry import Registry

if TYPE_CHECKING:
    from datasets import Dataset


class Description(BaseModel):
    """What a describer says of one neuron.

    Attributes:
        text: The description.
        score: The describer's own confidence, on any scale of its own; higher is better.
        alternatives: Other candidates, best first, without ``text`` itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    score: float | None = Field(default=None, allow_inf_nan=False)
    alternatives: tuple[str, ...] = ()


@runtime_checkable
class Describer(Protocol):
    """Anything with ``describe``; ``fit`` too, where it learns.

    One that learns sets ``trained_on`` in ``fit``, a ``milannotations.provenance.TrainingData``, so
    that a warning can be given where the neurons it describes are of another kind.

    Attributes:
        sees_references: True only for controls such as the oracle. The harness takes the
            annotations away from the neurons it hands to every other describer.
    """

    sees_references: ClassVar[bool]

    def fit(self, neurons: Dataset) -> None:
        """Learn from annotated neurons; a describer that does not learn does nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons: one description each, in their order."""


DescriberFactory = Callable[..., Describer]
DESCRIBERS: Registry[DescriberFactory] = Registry(
    "describer",
    {
        "clip-dissect": "baselines.clip_dissect.describer:ClipDissect",
        "compexp": "baselines.compexp.describer:CompExp",
        "constant": "baselines.controls:Constant",
        "constant-frequent": "baselines.controls:MostFrequent",
        "milan": "baselines.milan.describer:MilanDescriber",
        "milan-2": "baselines.milan2.describer:Milan2",
        "netdissect": "baselines.netdissect.describer:NetDissect",
        "oracle": "baselines.controls:Oracle",
        "random-train": "baselines.controls:RandomTraining",
        "retrieval": "baselines.retrieval.describer:Retrieval",
        "shuffled-oracle": "baselines.controls:ShuffledOracle",
    },
    group="milannotations.describers",
    package="baselines",
)
register = DESCRIBERS.register


def available() -> list[str]:
    """Return the names of all describers, by alphabet."""
    return sorted(DESCRIBERS.names())


def create(name: str, **options: Any) -> Describer:
    """Make the describer of that name.

    Args:
        name: A registered name; see ``available``.
        options: Passed to its constructor.

    Raises:
        InputError: If there is none of that name, or it does not take these options.
    """
    factory = DESCRIBERS.get(name)
    ready = checked_options(name, factory, options)
    try:
        return factory(**ready)
    except InputError:
        raise
    except (TypeError, ValueError) as error:  # of a constructor that checks less than it says
        given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        raise InputError(
            f"describer {name!r} cannot be made with {given}: {raised(error)}"
        ) from error


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check the options for a describer without making it, before long work.

    Raises:
        InputError: As ``create``, for what can be told from names and types alone.
    """
    checked_options(name, DESCRIBERS.get(name), options)


def list_options(name: str) -> list[str]:
    """Return lines that list a describer's options with types, defaults and meaning.

    Raises:
        InputError: If there is no such describer.
    """
    return listing(name, DESCRIBERS.get(name))


def accepts(name: str, option: str) -> bool:
    """Return whether a describer takes an option of that name.

    Raises:
        InputError: If there is no such describer.
    """
    options, others = options_of(DESCRIBERS.get(name))
    return others or option in options

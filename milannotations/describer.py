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
    """A describer's description of one neuron.

    >>> Description(text="dogs", score=-3.2, alternatives=("animals",)).text
    'dogs'

    Attributes:
        text: The description.
        score: The describer's confidence, on a scale of its own; higher is better.
        alternatives: Other candidates, the best first, without ``text`` itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    score: float | None = Field(default=None, allow_inf_nan=False)
    alternatives: tuple[str, ...] = ()


@runtime_checkable
class Describer(Protocol):
    """A method that describes neurons, and may first learn from annotated ones.

    A describer that learns sets ``trained_on`` in ``fit``, to a
    ``milannotations.provenance.TrainingData``. Users are then warned when it describes neurons of
    another kind.

    >>> isinstance(create("constant"), Describer)
    True

    Attributes:
        sees_references: True only for controls such as the oracle. The harness removes the
            annotations from the neurons that it passes to any other describer.
    """

    sees_references: ClassVar[bool]

    def fit(self, neurons: Dataset) -> None:
        """Learn from annotated neurons; does nothing in a describer that does not learn."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return one description per neuron, in the order of the neurons."""


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
    """Return the names of all describers in alphabetical order."""
    return sorted(DESCRIBERS.names())


def create(name: str, **options: Any) -> Describer:
    """Create a describer by name.

    >>> create("constant", text="dogs").text
    'dogs'

    Args:
        name: One of the names that ``available`` returns.
        options: Arguments of its constructor.

    Raises:
        InputError: If no describer has that name, or it does not take these options.
    """
    factory = DESCRIBERS.get(name)
    ready = checked_options(name, factory, options)
    try:
        return factory(**ready)
    except InputError:
        raise
    except (TypeError, ValueError) as error:  # from a constructor that checks its arguments itself
        given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        raise InputError(
            f"describer {name!r} cannot be made with {given}: {raised(error)}"
        ) from error


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check a describer's options, before long work, without creating the describer.

    >>> check_options("constant", {"text": "dogs"})

    Raises:
        InputError: If the describer does not exist, lacks an option, or would get one of a wrong
            name or type. Errors that only its constructor can detect are left to ``create``.
    """
    checked_options(name, DESCRIBERS.get(name), options)


def list_options(name: str) -> list[str]:
    """Return lines of text that list a describer's options: types, defaults and meanings.

    >>> for line in list_options("random-train"):
    ...     print(line)
    random-train: A random training annotation for every neuron.
      seed=  whole number, default 0
          Seed of the draws.

    Raises:
        InputError: If no describer has that name.
    """
    return listing(name, DESCRIBERS.get(name))


def accepts(name: str, option: str) -> bool:
    """Return whether a describer takes an option of that name.

    >>> accepts("constant", "text")
    True

    Raises:
        InputError: If no describer has that name.
    """
    options, others = options_of(DESCRIBERS.get(name))
    return others or option in options

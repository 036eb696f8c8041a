"""What a run may be trained on: a configuration, its batches, and presets. Two kinds are the package's own.

A study brings its kind of data (see studies/study.py); those of other packages are found by their entry points.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from grok_interp.configs.checks import refuse_if_any
from grok_interp.plugins import STUDY_GROUP, plugins

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int64
    from torch import Tensor, nn

    from grok_interp.configs.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What a run is trained on. A subclass is a frozen, keyword-only dataclass of plain values and tuples of them.

    Values of wrong types are refused, with those of `reasons`.

    Example:
        >>> from grok_interp import ModularConfig, TextConfig
        >>> [kind.kind for kind in (TextConfig, ModularConfig) if issubclass(kind, DataConfig)]
        ['text', 'modular']
    """

    kind: ClassVar[str]  # names the class in config.json

    def __post_init__(self) -> None:
        refuse_if_any(self, self.reasons())

    def reasons(self) -> Iterator[str]:
        """What is wrong with these values, each with what was expected and what was received."""
        yield from ()

    def misfits(self, run: TrainConfig) -> Iterator[str]:  # noqa: ARG002 (for subclasses)
        """What is wrong with a run on this data: a vocabulary that is too small, a context that is too short.

        Args:
            run: whose `data` this is.
        """
        yield from ()


class Batches(Protocol):
    """What a step trains on, a pure function of (seed, step), and the loss on it."""

    @property
    def hash(self) -> str:
        """Names exactly what is trained on; it goes into the run."""
        ...

    @property
    def description(self) -> str:
        """One line for a reader."""
        ...

    def batch(self, step: int, device: torch.device) -> Int64[Tensor, "batch pos"]:
        """The batch of a step.

        Args:
            step: of the update, from 0.
            device: a torch device.
        """
        ...

    def loss(self, model: nn.Module, batch: Int64[Tensor, "batch pos"]) -> Float[Tensor, ""]:
        """In nats. A plan of a run also measures it on random tokens and on shorter sequences.

        Args:
            model: maps tokens to logits.
            batch: token indices, as `batch` gives them.
        """
        ...


class DataSource(ABC):
    """The part of a study that training needs."""

    name: str
    data: type[DataConfig]
    presets: Mapping[str, tuple[str, TrainConfig]]  # name -> (one line that helps to choose one, the run)

    @abstractmethod
    def open_batches(self, config: TrainConfig) -> Batches:
        """What a run of this data trains on.

        Args:
            config: of a run whose `data` is of this study's class.

        Raises:
            ValueError: for data that is missing or too small.
        """


def plugin_sources() -> list[DataSource]:
    """The studies of other packages. Raises ValueError as `plugins` does, and for two that share a kind of data."""
    found = list(plugins(STUDY_GROUP, DataSource).values())
    require_own_kinds(found)
    return found


def require_own_kinds(sources: Iterable[DataSource]) -> None:
    """Raises ValueError for studies of other packages that share a kind of data with one another or with ours.

    Args:
        sources: of all studies that are installed.
    """
    study_of_kind = {"text": "copying", "modular": "modular"}
    for source in sources:
        if (other := study_of_kind.setdefault(source.data.kind, source.name)) != source.name:
            raise ValueError(
                f"the studies {other} and {source.name} both have data of kind {source.data.kind!r}: rename the kind "
                f"of {source.data.__name__}, or uninstall the package that brings it"
            )


def plugin_data() -> dict[str, type[DataConfig]]:
    """Kind -> class, of the studies of other packages."""
    return {source.data.kind: source.data for source in plugin_sources()}

"""`CheckpointSeries`: checkpoints in the order of their steps, as (step, model) pairs, one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from grok_interp.arguments import checked

if TYPE_CHECKING:
    from torch import Tensor


class Series(Protocol):
    """A `CheckpointSeries`, or a `Run`."""

    @property
    def steps(self) -> tuple[int, ...]: ...

    def checksum(self, step: int) -> str: ...

    def weights(self, step: int) -> Mapping[str, Tensor]: ...

    def load(self, step: int) -> Any: ...


class CheckpointSeries(ABC):
    """An ordered series of (step, model) pairs from any source; every analyzer accepts it.

    Iterating loads one model at a time, in eval mode; no model is kept when the next one is requested.

    Example:
        >>> from grok_interp import Transformer, preset
        >>> models = [(step, Transformer(preset("copier-tiny"), seed=step)) for step in (0, 10)]
        >>> CheckpointSeries.from_models(models).steps
        (0, 10)
    """

    @property
    @abstractmethod
    def steps(self) -> tuple[int, ...]:
        """The steps that there are now, sorted."""

    @abstractmethod
    def load(self, step: int) -> Any:
        """The model at a step, in eval mode. Raises ValueError for a step that is not there.

        Args:
            step: of a checkpoint.
        """

    @abstractmethod
    def checksum(self, step: int) -> str:
        """Names the weights at a step: results are stored under it, and another checksum is evaluated anew.

        Args:
            step: of a checkpoint.
        """

    def config_hash(self, step: int) -> str:  # noqa: ARG002 (a series may have a config for each)
        """Names the config that the model at a step is computed with: results are stored under it too.

        Args:
            step: of a checkpoint.

        Returns:
            Empty where a checkpoint loads with its own config alone.
        """
        return ""

    @property
    def source_steps(self) -> tuple[int, ...]:
        """All steps of its source, before some were chosen: `audit` looks for gaps among these."""
        return self.steps

    @property
    def due_steps(self) -> tuple[int, ...] | None:
        """The steps at which its training kept a checkpoint, as far as it got; None where that is not known."""
        return None

    @property
    def tokens_per_step(self) -> int | None:
        """Training tokens for each update; None where they are not known."""
        return None

    def tokenizer_file(self) -> Path | None:
        """The tokenizer.json that comes with the checkpoints; None where there is none."""
        return None

    def weights(self, step: int) -> Mapping[str, Tensor]:
        """Name -> weight at a step.

        Args:
            step: of a checkpoint.
        """
        return {name: weight.detach() for name, weight in self.load(step).named_parameters()}

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return self.at(self.steps)

    @checked
    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, Any]]:
        """(step, model) of the steps given, each model on `device`, a torch device.

        Args:
            steps: of checkpoints.
            device: a torch device.
        """
        return ((step, self.load(step).to(device)) for step in steps)

    @staticmethod
    def from_models(pairs: Iterable[tuple[int, Any]]) -> CheckpointSeries:
        """A series of models in memory.

        Args:
            pairs: (step, model) in any order, hooked models (see `checkpoints_of`).

        Raises:
            ValueError: for no pair, for what is no model, and for a step that is no integer of 0 or more or is given
                twice.

        Example:
            >>> from grok_interp import Transformer, preset
            >>> pairs = [(seed, Transformer(preset("copier-tiny"), seed=seed)) for seed in (1, 0)]
            >>> CheckpointSeries.from_models(pairs).steps
            (0, 1)
        """
        from grok_interp.runs.foreign_series import models_in_memory

        return models_in_memory(pairs)

    @staticmethod
    def from_files(
        pattern: str | Path, *, model: Any = None, load: Callable[[Path], Any] | None = None
    ) -> CheckpointSeries:
        """A series of files, one per step.

        Args:
            pattern: a path with `{step}`, `"ckpts/model_{step}.pt"`; `*` stands for anything within a name.
            model: what state dicts are loaded into: a `Transformer`, a `HookedTransformer`, a Hugging Face model or a
                `TorchAdapter` of the trained sizes. It is copied, never changed.
            load: path -> a hooked model, a Hugging Face model, or a state dict (name -> tensor). By default
                `read_state_dict`, which reads safetensors and `torch.save` and executes nothing.

        Returns:
            A series that loads one checkpoint at a time. In a loop over it, a model is valid until the next one is
            requested, if it was made from a state dict; `load(step)` gives one to keep.

        Raises:
            ValueError: if nothing fits the pattern, two files say one step, or for what is no model or no function.

        Example:
            >>> import tempfile, torch
            >>> from grok_interp import Transformer, preset
            >>> shell = Transformer(preset("copier-tiny"), seed=0)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     for step in (0, 500, 1000):
            ...         torch.save(shell.state_dict(), f"{folder}/model_{step}.pt")
            ...     CheckpointSeries.from_files(f"{folder}/model_{{step}}.pt", model=shell).steps
            (0, 500, 1000)
        """
        from grok_interp.runs.foreign_series import file_series

        return file_series(pattern, model, load)

    @staticmethod
    def from_huggingface_folder(folder: str | Path, *, pattern: str = "checkpoint-{step}") -> CheckpointSeries:
        """The checkpoints that Hugging Face's Trainer left in its `output_dir`, as bridges of TransformerLens.

        Args:
            folder: with a folder per step, each with config.json and model.safetensors (or pytorch_model.bin).
            pattern: the names of these folders.

        Returns:
            A series that loads one checkpoint at a time, in float32. In a loop over it, a model is valid until the next
            one is requested; `load(step)` gives one to keep.

        Raises:
            ValueError: if there is no such folder, nothing fits the pattern, or two folders say one step.
        """
        from grok_interp.runs.huggingface_folders import huggingface_folders

        return huggingface_folders(folder, pattern)

    @staticmethod
    def from_hub(
        repository: str,
        *,
        revisions: Sequence[str] | str | None = None,
        every: int = 1,
        skip: Collection[int] = (),
        cache: str | Path | None = None,
        max_gb: float = 20.0,
    ) -> CheckpointSeries:
        """The revisions of a repository on a model hub, as bridges of TransformerLens; extra `hub`.

        Args:
            repository: `"EleutherAI/pythia-70m"`, in Hugging Face's layout, of a family that TransformerLens bridges.
            revisions: names, or a pattern with `{step}`. By default those that are named as one of the known suites
                does (Pythia, OLMo's first stage, Stanford's GPT-2s); `main` is none of them.
            every: takes every n-th of them in the order of steps, from the first, and the last.
            skip: steps that are left out of these, for revisions that cannot be used.
            cache: the folder of downloads; `hub` in the package's cache folder by default.
            max_gb: of all downloads in it together; what was used longest ago is deleted first. One checkpoint is kept
                however large it is.

        Returns:
            As `from_huggingface_folder`; checkpoints are downloaded one at a time, and checksums need no download.

        Raises:
            ValueError: if the hub cannot be reached, has no such repository or revision, or two revisions say one step.
        """
        from grok_interp.runs.hub_series import hub_series

        return hub_series(repository, revisions=revisions, every=every, skip=skip, cache=cache, max_gb=max_gb)

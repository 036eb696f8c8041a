"""Checkpoints in Hugging Face's layout: a folder with config.json and weights, of which nothing is executed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grok_interp.files import DamagedFileError
from grok_interp.places import user_path
from grok_interp.runs.foreign_series import FileSeries, checkpoint_files
from grok_interp.runs.step_patterns import files_by_step

TOKENIZER = "tokenizer.json"


class HuggingFaceFolders(FileSeries):
    """One folder in Hugging Face's layout per step."""

    @property
    def _owns_models(self) -> bool:
        return True

    def tokenizer_file(self) -> Path | None:
        """tokenizer.json in the last folder, or beside the folders."""
        last = self.path(self.steps[-1])
        return next((each / TOKENIZER for each in (last, last.parent) if (each / TOKENIZER).is_file()), None)


def huggingface_folders(folder: str | Path, pattern: str = "checkpoint-{step}") -> HuggingFaceFolders:
    """See `CheckpointSeries.from_huggingface_folder`."""
    if not user_path(folder).is_dir():
        raise ValueError(f"no folder {folder}: give Trainer's output_dir, which holds checkpoint-500 and the like")
    return HuggingFaceFolders(files_by_step(Path(folder) / pattern), read_huggingface)


def read_huggingface(folder: Path) -> Any:
    """The causal language model in a folder, in float32 and with eager attention, so that patterns can be read.

    Args:
        folder: with config.json, and model.safetensors or pytorch_model.bin, in one file or several.

    Raises:
        ValueError: for a folder without a model, and for an architecture with code of its own.
        DamagedFileError: if weights are missing or do not fit the config.
    """
    import torch
    from transformers import AutoModelForCausalLM

    files = checkpoint_files(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} has weights and no config.json: copy the config of the model into it")
    try:
        with _no_progress_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="eager",
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=files[0].suffix == ".safetensors",
                output_loading_info=True,
            )
    except Exception as error:  # safetensors, pickle and JSON each have their own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedFileError(
            f"{folder} cannot be read as a causal language model ({reason}): copy its files again; weights must fit "
            "config.json, and architectures with code of their own are not executed"
        ) from error
    model, info = loaded
    if lacking := sorted(info["missing_keys"]):  # transformers would leave them random
        raise DamagedFileError(
            f"{folder} lacks {len(lacking)} weights of its config.json ({', '.join(lacking[:3])}): copy its files again"
        )
    return model


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """transformers shows none of its bars inside: there would be one for each checkpoint of a series."""
    from transformers.utils.logging import set_tqdm_hook

    before = set_tqdm_hook(lambda make, args, kwargs: make(*args, **{**kwargs, "disable": True}))
    try:
        yield
    finally:
        set_tqdm_hook(before)

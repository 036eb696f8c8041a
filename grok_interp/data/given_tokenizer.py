"""A tokenizer that somebody else trained: a tokenizer.json, or that of a model on a hub."""

from __future__ import annotations

from pathlib import Path

from grok_interp.places import HUB

FILE = "tokenizer.json"


def tokenizer_json(name: str) -> bytes:
    """What the tokenizer.json of that name holds.

    Args:
        name: a file, a folder with a tokenizer.json, or `hub:OWNER/NAME`, which is downloaded once and needs the extra
            `hub`.

    Raises:
        ValueError: where there is none.

    Example:
        >>> tokenizer_json("no/such/file")
        Traceback (most recent call last):
            ...
        ValueError: no tokenizer at 'no/such/file': give a tokenizer.json, a folder that holds one, or hub:OWNER/NAME
    """
    if name.startswith(HUB):
        return _download(name.removeprefix(HUB)).read_bytes()
    path = Path(name).expanduser()
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"no tokenizer at {name!r}: give a tokenizer.json, a folder that holds one, or hub:OWNER/NAME")
    return path.read_bytes()


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ValueError(
            "a tokenizer on a hub needs the huggingface-hub library: pip install 'grok-interp[hub]'"
        ) from error
    try:
        return Path(hf_hub_download(repository, FILE))
    except (OSError, ValueError) as error:  # no such repository or file, no way to it, no valid name
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"the tokenizer of {repository} cannot be read ({reason}): check its name and the network, or give a "
            "tokenizer.json"
        ) from error

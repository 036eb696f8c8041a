"""What a run names outside its own folder: the text that it was trained on, and links.

Anybody may have made the run. Such a place is read only if this user has named it (see `places`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.places import HUB, is_named, links_out, name_place, real_path

if TYPE_CHECKING:
    from grok_interp.training.batches import Batches

REMEDY = "If you trust this run, add --trust-source to the command, or use Run.open(..., trust_source=True)"


def name_source(config: TrainConfig) -> None:
    """Note that the user has named the text of a configuration."""
    for place in _places(config):
        name_place(place)


def open_data(config: TrainConfig, directory: Path, begun_with: str | None) -> Batches:
    """What the run in a folder trains on.

    Raises ValueError for text outside the folder that this user has not named, and for data whose hash is another.
    """
    from grok_interp.training.batches import open_batches

    if source := next((place for place in _places(config) if not is_named(place, inside=directory)), None):
        does = "downloads a data set" if source.startswith(HUB) else "reads text outside the run's folder"
        raise ValueError(f"{directory / 'config.json'} {does} that you have not named before: {source!r}. {REMEDY}")
    batches = open_batches(config)
    if begun_with not in (None, batches.hash):
        raise ValueError(
            f"the data of {directory} ({batches.description}) has changed since the run was begun (its hash was "
            f"{begun_with[:12]}, now {batches.hash[:12]}): restore the text, or train into another directory"
        )
    return batches


def _places(config: TrainConfig) -> list[str]:
    """What a configuration names outside its run: text, and a tokenizer."""
    data = config.data
    return [place for place in (data.source, data.tokenizer) if place] if isinstance(data, TextConfig) else []


def require_no_links_out(directory: Path, *, trust: bool) -> None:
    """Raises ValueError for a link in a run that leads to a place outside it that the user has not named."""
    for link in links_out(directory):
        if trust:
            name_place(str(link))
        elif not is_named(str(link), inside=directory):
            raise ValueError(f"{link} is a link out of the run, to {real_path(link)}. {REMEDY}")

"""`push`: a run as a repository on a model hub."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import tyro

from grok_interp.cli.options import READABLE, OutputFlags, RunFolder, TrustSource
from grok_interp.cli.output import command
from grok_interp.runs.run import Run


def push(
    directory: RunFolder,
    repository: Annotated[str, tyro.conf.Positional],
    /,
    *,
    private: bool = False,
    dry_run: bool = False,
    trust_source: TrustSource = False,
    output: OutputFlags = READABLE,
) -> None:
    """Upload a run's checkpoints to a model hub, a revision for each; interrupted, the same command resumes.

    Args:
        directory: the run's folder.
        repository: OWNER/NAME; created if it does not exist.
        private: create the repository as private.
        dry_run: print what would be uploaded; write nothing.
    """
    from grok_interp.runs.hub_push import push as push_run

    run = Run.open(directory, trust_source=trust_source)
    with output.progress("push") as advance:
        pushed = push_run(run, repository, private=private, dry_run=dry_run, on_checkpoint=advance)
    output.say(pushed)
    then = command("grok-interp", "analyze", f"hub:{repository}", "--run", "runs/NAME")
    output.finish(asdict(pushed), made=[repository], then="the same command without --dry-run" if dry_run else then)

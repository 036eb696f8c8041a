"""All verbs, and `main`, which runs one. Heavy imports stay inside the verbs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import tyro

from grok_interp.cli.audit import audit
from grok_interp.cli.listing import doctor, list_
from grok_interp.cli.reproduce import reproduce
from grok_interp.cli.run import analyze, report, watch
from grok_interp.cli.train import demo, train

INPUT_WAS_WRONG, INTERRUPTED = 2, 130
DESCRIPTION = "From plain text to a report on how an in-context ability emerges during training."
VERBS = {
    "demo": demo,
    "train": train,
    "analyze": analyze,
    "report": report,
    "watch": watch,
    "reproduce": reproduce,
    "audit": audit,
    "list": list_,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code: 0, 2 when the input was wrong, 130 after Ctrl-C."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            VERBS,
            prog="grok-interp",
            description=DESCRIPTION,
            args=arguments,
            config=(tyro.conf.CascadeSubcommandArgs, tyro.conf.AvoidSubcommands),
        )
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is lost, the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left: `grok-interp list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, FileNotFoundError) as error:
        print(f"grok-interp: {error}", file=sys.stderr)
        return INPUT_WAS_WRONG
    return 0

"""All verbs, and `main`, which runs one. Heavy imports stay inside the verbs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from inspect import cleandoc

import tyro

from grok_interp.cli.audit import audit
from grok_interp.cli.faults import described, is_lost_process, one_line_warnings
from grok_interp.cli.listing import doctor, list_
from grok_interp.cli.output import printable
from grok_interp.cli.push import push
from grok_interp.cli.reproduce import reproduce
from grok_interp.cli.run import analyze, report, watch
from grok_interp.cli.sweep import sweep
from grok_interp.cli.train import demo, train
from grok_interp.device import is_first_process, is_out_of_memory
from grok_interp.engines.engine import FailedCellsError
from grok_interp.runs.interrupts import INTERRUPTED, terminations_interrupt
from grok_interp.studies.catalog import studies

INPUT_WAS_WRONG, NO_ACCESS, NO_MEMORY, PROCESS_LOST, CELLS_FAILED = 2, 3, 4, 5, 6
NO_MEMORY_LEFT = (
    "out of memory: give a smaller --micro-batch-size or model (`train --dry-run` shows what a run needs), or free "
    "memory and repeat the command"
)
DESCRIPTION = (
    "From plain text to a report on how an in-context ability emerges during training. --version prints the version."
)
VERBS = {
    "demo": demo,
    "train": train,
    "analyze": analyze,
    "report": report,
    "watch": watch,
    "reproduce": reproduce,
    "sweep": sweep,
    "audit": audit,
    "push": push,
    "list": list_,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code.

    0 done; 2 the input was wrong; 3 a file or folder could not be read or written; 4 out of memory; 5 another process
    of the training has ended; 6 some of many runs failed; 130 after Ctrl-C, SIGTERM or SIGHUP. After 3, 4, 5, 6 and
    130 the last good state is on disk, and the same command resumes.

    Args:
        arguments: what follows `grok-interp`; those of the process if None.
    """
    if list(sys.argv[1:] if arguments is None else arguments) == ["--version"]:
        print(f"grok-interp {version('grok-interp')}")
        return 0
    try:
        with terminations_interrupt(), one_line_warnings():
            for verb in VERBS.values():
                verb.__doc__ = _reflowed(verb.__doc__ or "")
            studies()  # a faulty one of another package is named before anything else
            tyro.extras.subcommand_cli_from_dict(
                VERBS,
                prog="grok-interp",
                description=DESCRIPTION,
                args=arguments,
                config=(tyro.conf.CascadeSubcommandArgs, tyro.conf.AvoidSubcommands),
            )
    except KeyboardInterrupt:
        if is_first_process():
            print("\ninterrupted: nothing is lost, the same command resumes from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left: `grok-interp list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ValueError as error:
        return _failed(str(error), INPUT_WAS_WRONG)
    except OSError as error:
        return _failed(described(error), NO_ACCESS)
    except FailedCellsError as error:
        return _failed(str(error), CELLS_FAILED)
    except (MemoryError, RuntimeError) as error:
        if is_lost_process(error):
            return _failed(str(error), PROCESS_LOST)
        if not is_out_of_memory(error):
            raise
        return _failed(f"{NO_MEMORY_LEFT} ({str(error).splitlines()[0] if str(error) else 'no details'})", NO_MEMORY)
    return 0


def _reflowed(docstring: str) -> str:
    """With each argument on one line, which --help then breaks at the width of the terminal."""
    return re.sub(r"\n {8,}(?=\S)", " ", cleandoc(docstring))


def _speaks(code: int) -> bool:
    """Of several processes the first says what was wrong, and of a loss one of those that are left."""
    if code == PROCESS_LOST or (code != INPUT_WAS_WRONG and not is_first_process()):
        from grok_interp.training.rendezvous import takes_the_word

        return takes_the_word()
    return is_first_process()


def _failed(message: str, code: int) -> int:
    if spoke := _speaks(code):
        print(f"grok-interp: {printable(message)}", file=sys.stderr, flush=True)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from grok_interp.training.rendezvous import leave_in_turn

        leave_in_turn(spoke=spoke)
    return code

"""What the processes of a run tell each other beside the training, through torchrun's store.

Who says why the run ends, whether the first process has stopped it, and which of them are still there. A process that
is killed says nothing: the others look for its number on their machine.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from torch import distributed

from grok_interp.files import HOST, is_alive

STORES: Any = distributed  # its stores are documented, and not in its list of exports
STORE_TIMEOUT = timedelta(seconds=10)
SECONDS_BETWEEN = 0.05  # two looks for a process


class LostProcessError(RuntimeError):
    """Another process of the run has ended."""


def takes_the_word() -> bool:
    """Is this the first process of a run to say why it ends? The others then say nothing."""
    store = torchruns_store()
    return store is None or store.add("grok_interp/word", 1) == 1


def tell_stopped() -> None:
    """The first process ends the training before its last step, and the others are to end with it."""
    if store := torchruns_store():
        store.set("grok_interp/stopped", "yes")


def was_stopped() -> bool:
    store = torchruns_store()
    return store is not None and store.check(["grok_interp/stopped"])


def leave_in_turn(*, spoke: bool) -> None:
    """Torchrun ends all processes when one has left: the one that says why leaves first."""
    store = torchruns_store()
    if store is not None and spoke:
        store.set("grok_interp/spoken", "yes")
    elif store is not None:
        with suppress(RuntimeError):  # nobody had to say anything
            store.wait(["grok_interp/spoken"], STORE_TIMEOUT)


def note_process(rank: int) -> None:
    """This process is there."""
    if store := torchruns_store():
        store.set(f"grok_interp/process{rank}", f"{os.getpid()}@{HOST}")


def note_leaving(rank: int) -> None:
    """This process ends by itself, and not because it was killed."""
    if store := torchruns_store():
        store.set(f"grok_interp/left{rank}", "yes")


def ended_ranks(number: int, *, seconds: float = 0.0, without_a_word: bool = False) -> list[int]:
    """The ranks of processes that have ended, as far as they were on this machine.

    Args:
        number: of all processes.
        seconds: how long to wait for one that is about to end.
        without_a_word: only those that were killed.
    """
    if (store := torchruns_store()) is None:
        return []
    until = time.monotonic() + seconds
    while not (found := [rank for rank in range(number) if _has_ended(store, rank, without_a_word)]):
        if time.monotonic() > until:
            break
        time.sleep(SECONDS_BETWEEN)
    return found


def _has_ended(store: Any, rank: int, without_a_word: bool) -> bool:
    if store.check([f"grok_interp/left{rank}"]):
        return not without_a_word
    if not store.check([key := f"grok_interp/process{rank}"]):
        return False
    process, _, host = store.get(key).decode().partition("@")
    return host == HOST and not is_alive(int(process))


def torchruns_store(timeout: timedelta = STORE_TIMEOUT) -> Any:
    """That of torchrun, which lives until all processes have ended; None without torchrun, and when it has ended."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = STORES.TCPStore(address, port, is_master=False, timeout=timeout)
    except RuntimeError:
        return None
    return STORES.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)

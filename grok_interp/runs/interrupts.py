"""SIGTERM and SIGHUP, treated as Ctrl-C: a cluster's scheduler and a closed terminal lose no work.

Workers end with the process that started them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def termination_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM and SIGHUP; without SIGHUP where the system has none or it is ignored (nohup)."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [signal.Signals[name] for name in names]
    return tuple(n for n in numbers if n == signal.SIGTERM or signal.getsignal(n) != signal.SIG_IGN)


INTERRUPTED = 130  # exit code
PARENT_SECONDS = 0.5  # between two looks whether the parent still lives


@contextmanager
def ending_with(parent: int) -> Iterator[None]:
    """Inside, a worker gets a SIGTERM when the process that started it has ended, however that was, and ends then.

    Args:
        parent: number of that process; if it is this one, nothing is done.
    """
    if os.getpid() == parent:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(PARENT_SECONDS):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()
        if os.getppid() != parent:
            os._exit(INTERRUPTED)  # nobody is left to give a result to


@contextmanager
def terminations_interrupt() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in termination_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def deferred_interrupts() -> Iterator[threading.Event]:
    """Ctrl-C, SIGTERM and SIGHUP are noted, and obeyed between two updates; a second one acts at once.

    One that comes after the last update is obeyed at the end. SIGHUP stays ignored where it is (nohup).
    """
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted  # only the main thread may handle signals
        return

    def note(signum: int, frame: object) -> None:  # noqa: ARG001 (signal's signature)
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    numbers = (signal.SIGINT, *termination_signals())
    previous = {number: signal.signal(number, note) for number in numbers}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if noted.is_set():
        raise KeyboardInterrupt

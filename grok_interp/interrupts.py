"""SIGTERM and SIGHUP, treated as Ctrl-C: a cluster's scheduler and a closed terminal lose no work."""

from __future__ import annotations

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

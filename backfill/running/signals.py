"""Signals stop a run: what is in flight ends, nothing new begins."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals(stop: threading.Event, echo: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal set ``stop``; a second signal interrupts at once.

    A signal that whoever started the process lets it ignore, as ``nohup`` does, stays ignored.
    Only the main thread gets signals: in any other thread this does nothing.

    Args:
        stop: the run looks at it.
        echo: shows a line to the person.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        echo(f"\n{signal.Signals(number).name}: what is in flight ends, nothing new begins")

    numbers = [number for number in _NUMBERS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

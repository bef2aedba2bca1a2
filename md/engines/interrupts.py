"""Ctrl-C while atoms move: the steps under way end and are saved before the run stops."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether Ctrl-C came.

    Attributes:
        asked: It did.
    """

    asked: bool = False


@contextmanager
def postponed_interrupt() -> Iterator[Interrupt]:
    """Note the first Ctrl-C (SIGINT) in the place of raising it; a second one raises `KeyboardInterrupt`.

    Python gives signals to the main thread alone: in another one nothing is postponed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    usual = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        interrupt.asked = True
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, usual)

"""Forks of a process whose threads are scoring: a fork waits until none of them is inside a text.

A fork copies memory but only the thread that asked for it. A lock that another thread held at that moment (of ONNX
Runtime, OpenBLAS, the tokenizer, a module being imported, a table being built) stays locked in the copy for ever, and
none of them can be renewed from here. So no such thread may be inside when the copy is made.
"""

from __future__ import annotations

import os
import threading

PATIENCE = 10.0
"""Seconds that a fork waits for the texts being scored: a hundred times what a spun article takes. A text of many
megabytes can take longer; then the fork goes on, since waiting for ever would be no better for the caller."""


class ForkGate:
    """Threads pass together; a fork waits for those inside, and keeps new ones waiting until it is done."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # with a lock that its own thread may take again: signals come anywhere
        self._inside: dict[int, int] = {}  # how often each thread is inside
        self._forking = 0
        if hasattr(os, "register_at_fork"):  # Windows has no fork
            os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._changed:
            # Who is inside already must not wait: the fork waits for it.
            while self._forking and me not in self._inside:
                self._changed.wait()
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(self, *_: object) -> None:
        me = threading.get_ident()
        with self._changed:
            if left := self._inside[me] - 1:
                self._inside[me] = left
            else:
                del self._inside[me]
            if self._forking:
                self._changed.notify_all()

    def _before(self) -> None:
        me = threading.get_ident()
        with self._changed:
            self._forking += 1
            self._changed.wait_for(lambda: not self._inside.keys() - {me}, PATIENCE)

    def _in_parent(self) -> None:
        with self._changed:
            # Not below 0: an interrupt may have come before `_before` could count.
            self._forking = max(0, self._forking - 1)
            self._changed.notify_all()

    def _in_child(self) -> None:
        me = threading.get_ident()
        # The other threads are not here, and one of them may have held the lock.
        self._changed = threading.Condition()
        self._inside = {me: self._inside[me]} if me in self._inside else {}
        self._forking = 0


scoring = ForkGate()
"""Entered around every text, by all detectors of the process."""

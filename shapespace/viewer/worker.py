"""One thread that computes what the page asks for, so that the page never waits.

Of drawings only the latest counts. A coarse one goes before all else. A fine one waits until
nothing has moved for a while, and is given up where something moves again. Tasks, such as the fit
of a scan, are done one after the other and let drawings pass between their steps.
"""

import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from shapespace.errors import InputError, one_line

SETTLE = 0.3
"""Seconds without a change after which a slider counts as released."""
Superseded = Callable[[], bool]
"""Whether something newer is wanted, and the work may stop."""
Drawing = Callable[[Superseded], object]


class GivenUp(Exception):  # noqa: N818
    """A drawing stopped because something newer is wanted."""


@dataclass
class _Fine:
    work: Drawing
    due: float


class Worker:
    """The thread and what waits for it.

    Args:
        say: called with one line for each fault. A mistake of ours also leaves its traceback on
            standard error.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._changed = threading.Condition()
        self._coarse: Drawing | None = None
        self._fine: _Fine | None = None
        self._tasks: deque[Callable[[], object]] = deque()
        self._busy = False
        self._ends = False
        self._wanted = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="viewer")
        self._thread.start()

    def draw(self, coarse: Drawing | None, fine: Drawing) -> None:
        """Draw coarsely now, and finely once nothing has moved for ``SETTLE`` seconds.

        Args:
            coarse: the quick drawing; None draws finely at once.
            fine: the good drawing. It asks now and then whether it is superseded, and then raises
                :class:`GivenUp`.
        """
        with self._changed:
            self._wanted += 1
            self._coarse = coarse
            self._fine = _Fine(fine, time.monotonic() + (0.0 if coarse is None else SETTLE))
            self._changed.notify_all()

    def do(self, task: Callable[[], object]) -> None:
        """Do a task after those that wait already."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def let_pass(self) -> None:
        """Draw what waits, within a task; called between its steps, by its own thread.

        Raises:
            GivenUp: the worker was stopped.
        """
        while (work := self._next_drawing(time.monotonic(), fine=False)) is not None:
            self._tried(work)
        if self._ends:
            raise GivenUp

    def wait(self, timeout: float = 60.0) -> bool:
        """Wait until nothing is left to do; False if that takes longer than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy and self._is_idle(), timeout)

    def stop(self) -> None:
        """End the thread; what waits is given up."""
        with self._changed:
            self._ends = True
            self._wanted += 1
            self._changed.notify_all()
        self._thread.join(timeout=10.0)

    def _is_idle(self) -> bool:
        return self._coarse is None and self._fine is None and not self._tasks

    def _next_drawing(self, now: float, fine: bool) -> Callable[[], object] | None:
        """The drawing whose turn it is, taken off the list."""
        with self._changed:
            wanted = self._wanted
            if self._coarse is not None:
                work, self._coarse = self._coarse, None
                # A coarse drawing is never given up, or a long drag would show nothing.
                return lambda: work(lambda: self._ends)
            if fine and self._fine is not None and self._fine.due <= now:
                work, self._fine = self._fine.work, None
                return lambda: work(lambda: self._wanted != wanted)
        return None

    def _next(self) -> Callable[[], object] | None:
        """What to do now; waits for it, and is None at the end."""
        with self._changed:
            while not self._ends:
                now = time.monotonic()
                work = self._next_drawing(now, fine=True)
                if work is None and self._tasks:
                    work = self._tasks.popleft()
                if work is not None:
                    self._busy = True
                    return work
                self._busy = False
                self._changed.notify_all()
                self._changed.wait(None if self._fine is None else self._fine.due - now)
        return None

    def _run(self) -> None:
        while (work := self._next()) is not None:
            self._tried(work)

    def _tried(self, work: Callable[[], object]) -> None:
        """Do one piece of work; a fault is one line and ends nothing else."""
        try:
            work()
        except GivenUp:
            pass
        except InputError as error:
            self._say(one_line(error))
        # Whatever went wrong with one shape, the page stays up.
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            name = type(error).__name__
            self._say(one_line(f"a mistake of the viewer ({name}: {error}); please report it"))

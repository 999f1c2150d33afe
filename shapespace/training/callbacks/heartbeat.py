"""Heartbeats: every rank writes once a second that it lives, to a store that rank 0 keeps.

A rank writes one of three messages: "beat <number> <host> <process>", "failed <host> <process>
<reason>" and "done".
"""

import atexit
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from shapespace.errors import one_line, positive

GRACE = 5.0
"""Seconds that a process has to end by itself after another rank has failed."""


class Heartbeats:
    """Sends a heartbeat each second and watches the heartbeats of all ranks.

    One thread sends and reads, another one judges. A rank is lost if it says that it has failed,
    or if it sends no message for ``timeout`` seconds.

    Args:
        rank: rank of this process; rank 0 keeps the store.
        num_ranks: number of all ranks.
        host: address of rank 0.
        port: port of the store. Rank 0 gives 0 to take a free port, which the attribute ``port``
            then holds.
        timeout: seconds of silence after which a rank counts as lost.
        on_lost: function that is called once, in a thread, with a line that names the lost ranks;
            the main thread may be waiting for them for ever.
    """

    def __init__(
        self,
        rank: int,
        num_ranks: int,
        host: str,
        port: int,
        timeout: float,
        on_lost: Callable[[str], object],
    ) -> None:
        positive(timeout=timeout)
        self.rank = rank
        self.num_ranks = num_ranks
        self.timeout = timeout
        self.on_lost = on_lost
        self._me = f"{socket.gethostname()} {os.getpid()}"
        wait = timedelta(seconds=min(timeout, 30.0))
        self._store = TCPStore(
            host, port, is_master=rank == 0, timeout=wait, wait_for_workers=False
        )
        self.port = self._store.port
        self._seen = {other: ("", time.monotonic()) for other in range(num_ranks)}
        self._ended = threading.Event()
        # The judge has a thread without access to the store: calls to a store do not return while
        # its rank 0 is frozen.
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._run, self._judge)
        ]

    def start(self) -> None:
        """Send the first heartbeat and start the threads."""
        self._say(f"beat 0 {self._me}")
        for thread in self._threads:
            thread.start()
        # An interpreter that ends while a thread is in a call to the store aborts the process
        # ("terminate called without an active exception").
        atexit.register(self._stop_threads)

    def stop(self) -> None:
        """Send no more heartbeats; the other ranks do not miss this rank."""
        self._end("done")

    def fail(self, reason: str) -> None:
        """Tell the other ranks that this rank ends, and why."""
        self._end(f"failed {self._me} {one_line(reason, 200)}")
        if self.rank == 0:
            # The store ends with this process, and the other ranks read once a second.
            time.sleep(2.5)

    def lost(self, patience: float = 4.0) -> str | None:
        """Watch for ``patience`` seconds; return a line that names the lost ranks, or None.

        Ranks that say that they have failed come before ranks that are silent.
        """
        start = time.monotonic()
        while time.monotonic() - start < patience and not self._failed(0.0):
            time.sleep(0.2)
        return self._named(self._failed(0.0) or self._silent_since(start))

    def _end(self, word: str) -> None:
        """Stop both threads and send a last message."""
        if not self._ended.is_set():
            self._stop_threads()
            # A thread that still hangs in a call to the store would block this one too.
            if not self._threads[0].is_alive():
                self._say(word)

    def _stop_threads(self) -> None:
        """End both threads, and wait at most two seconds for the one that calls the store."""
        atexit.unregister(self._stop_threads)
        self._ended.set()
        self._threads[0].join(2.0)

    def _run(self) -> None:
        """Send heartbeats and read those of all ranks, until the end."""
        number = 0
        while not self._ended.wait(1.0):
            number += 1
            self._say(f"beat {number} {self._me}")
            self._look()

    def _judge(self) -> None:
        """Call ``on_lost`` when a rank is lost."""
        while not self._ended.wait(0.5):
            silent = self._silent_since(time.monotonic() - self.timeout)
            missing = self._named(self._failed(GRACE) or silent)
            if missing is not None and not self._ended.is_set():
                self.on_lost(missing)
                return

    def _say(self, word: str) -> None:
        """Write a message of this rank to the store."""
        # An error means that rank 0 is gone; the judge finds that by its silence.
        with suppress(RuntimeError):
            self._store.set(str(self.rank), word)

    def _look(self) -> None:
        """Note the messages that are new, with the time by the clock of this process."""
        for other in range(self.num_ranks):
            key = str(other)
            try:
                word = self._store.get(key).decode() if self._store.check([key]) else ""
            except RuntimeError:
                return
            if word != self._seen[other][0]:
                self._seen[other] = word, time.monotonic()

    def _failed(self, grace: float) -> list[int]:
        """Return the other ranks whose failure has been known for ``grace`` seconds."""
        until = time.monotonic() - grace
        return [
            other
            for other, (word, at) in self._seen.items()
            if word.startswith("failed") and at <= until and other != self.rank
        ]

    def _silent_since(self, moment: float) -> list[int]:
        """Return the other ranks without a new message since a moment of the monotonic clock."""
        return [
            other
            for other, (word, last) in self._seen.items()
            if last < moment and word != "done" and other != self.rank
        ]

    def _named(self, ranks: Sequence[int]) -> str | None:
        """Return a line that names ranks, or None for no ranks."""
        if not ranks:
            return None
        if 0 in ranks:
            # Without the store of rank 0 all ranks look silent.
            ranks = [0]
        words = [_described(other, self._seen[other][0]) for other in ranks]
        return f"of {self.num_ranks} ranks, {' and '.join(words)}"


def _described(rank: int, word: str) -> str:
    """Return a rank in words, with host and process of its last message."""
    kind, *facts = word.split(" ")
    if kind == "failed" and len(facts) > 2:
        host, process, *reason = facts
        return f"rank {rank} (host {host}, process {process}) has failed ({' '.join(reason)})"
    place = f" (host {facts[-2]}, process {facts[-1]})" if kind == "beat" else ""
    return f"rank {rank}{place} is gone, its own log says why"

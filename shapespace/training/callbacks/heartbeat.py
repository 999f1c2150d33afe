"""Which rank is gone: every rank says that it lives, in a store that rank 0 keeps.

What a rank says is one of "beat <number> <host> <process>", "failed <host> <process> <reason>" and
"done".
"""

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
"""Seconds in which a process may still end by itself after it has heard that another failed."""


class Heartbeats:
    """One beat a second from each rank, by a thread of its own.

    Args:
        rank: of this process; rank 0 keeps the store.
        num_ranks: of all.
        host: of rank 0.
        port: of the store, 0 on rank 0 to take a free one, which :attr:`port` then is.
        timeout: seconds of silence after which a rank counts as lost.
        on_lost: called once, in a thread, with a line that names the lost ranks; the main thread
            may then wait for them for ever.
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
        self.rank, self.num_ranks, self.timeout, self.on_lost = rank, num_ranks, timeout, on_lost
        self._me = f"{socket.gethostname()} {os.getpid()}"
        wait = timedelta(seconds=min(timeout, 30.0))
        self._store = TCPStore(
            host, port, is_master=rank == 0, timeout=wait, wait_for_workers=False
        )
        self.port = self._store.port
        self._seen = {other: ("", time.monotonic()) for other in range(num_ranks)}
        self._ended = threading.Event()
        # The judge never touches the store, which does not answer while rank 0 is stopped.
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._run, self._judge)
        ]

    def start(self) -> None:
        """Begin to beat."""
        self._say(f"beat 0 {self._me}")
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Beat no more, without anybody missing this rank."""
        self._end("done")

    def fail(self, reason: str) -> None:
        """Tell the others that this rank ends, and why."""
        self._end(f"failed {self._me} {one_line(reason, 200)}")
        if self.rank == 0:
            time.sleep(2.5)  # its store ends with it, and the others look once a second

    def lost(self, patience: float = 4.0) -> str | None:
        """A line that names the ranks that failed, or else those that do not beat for ``patience``
        seconds; None if all do.
        """
        start = time.monotonic()
        while time.monotonic() - start < patience and not self._failed(0.0):
            time.sleep(0.2)
        return self._named(self._failed(0.0) or self._silent_since(start))

    def _end(self, word: str) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._threads[0].join(2.0)
            if not self._threads[0].is_alive():
                self._say(word)

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(1.0):
            number += 1
            self._say(f"beat {number} {self._me}")
            self._look()

    def _judge(self) -> None:
        while not self._ended.wait(0.5):
            silent = self._silent_since(time.monotonic() - self.timeout)
            missing = self._named(self._failed(GRACE) or silent)
            if missing is not None and not self._ended.is_set():
                self.on_lost(missing)
                return

    def _say(self, word: str) -> None:
        with suppress(RuntimeError):  # rank 0 is gone, which the judge finds
            self._store.set(str(self.rank), word)

    def _look(self) -> None:
        """Note which ranks have said something new since the last look."""
        for other in range(self.num_ranks):
            key = str(other)
            try:
                word = self._store.get(key).decode() if self._store.check([key]) else ""
            except RuntimeError:
                return
            if word != self._seen[other][0]:
                self._seen[other] = word, time.monotonic()

    def _failed(self, grace: float) -> list[int]:
        """Ranks that said so at least ``grace`` seconds ago."""
        until = time.monotonic() - grace
        return [
            other
            for other, (word, at) in self._seen.items()
            if word.startswith("failed") and at <= until and other != self.rank
        ]

    def _silent_since(self, moment: float) -> list[int]:
        return [
            other
            for other, (word, last) in self._seen.items()
            if last < moment and word != "done" and other != self.rank
        ]

    def _named(self, ranks: Sequence[int]) -> str | None:
        if not ranks:
            return None
        if 0 in ranks:
            ranks = [0]  # it keeps the store, so that nothing is known of the others
        words = [_described(other, self._seen[other][0]) for other in ranks]
        return f"of {self.num_ranks} ranks, {' and '.join(words)}"


def _described(rank: int, word: str) -> str:
    """A rank with the host and process of what it last said."""
    kind, *facts = word.split(" ")
    if kind == "failed" and len(facts) > 2:
        host, process, *reason = facts
        return f"rank {rank} (host {host}, process {process}) has failed ({' '.join(reason)})"
    place = f" (host {facts[-2]}, process {facts[-1]})" if kind == "beat" else ""
    return f"rank {rank}{place} is gone, its own log says why"

"""Which rank is gone: every rank says that it lives, in a store that rank 0 keeps."""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from shapespace.errors import positive


class Heartbeats:
    """One beat a second from each rank, by a thread of its own.

    Args:
        rank: of this process; rank 0 keeps the store.
        num_ranks: of all.
        host: of rank 0.
        port: of the store, 0 on rank 0 to take a free one, which :attr:`port` then is.
        timeout: seconds of silence after which a rank counts as lost.
        on_lost: called once, in the thread of the beats, with a line that names the lost ranks; the
            main thread may then wait for them for ever.
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
        wait = timedelta(seconds=min(timeout, 30.0))
        self._store = TCPStore(
            host, port, is_master=rank == 0, timeout=wait, wait_for_workers=False
        )
        self.port = self._store.port
        self._seen = {other: ("", time.monotonic()) for other in range(num_ranks)}
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._beat(0)
        self._thread.start()

    def stop(self) -> None:
        """Beat no more, without anybody missing this rank."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            with suppress(RuntimeError):
                self._store.set(str(self.rank), "done")

    def lost(self, patience: float = 4.0) -> str | None:
        """A line that names the ranks that do not beat for ``patience`` seconds; None if all do."""
        self._look()
        start = time.monotonic()
        while time.monotonic() - start < patience:
            time.sleep(0.5)
            self._look()
        return self._named(self._silent_since(start))

    def _run(self) -> None:
        beats = 0
        while not self._ended.wait(1.0):
            beats += 1
            self._beat(beats)
            self._look()
            missing = self._named(self._silent_since(time.monotonic() - self.timeout))
            if missing is not None and not self._ended.is_set():
                self.on_lost(missing)
                return

    def _beat(self, number: int) -> None:
        with suppress(RuntimeError):  # rank 0 is gone, which the look at it will tell
            self._store.set(str(self.rank), f"{number} {socket.gethostname()} {os.getpid()}")

    def _look(self) -> None:
        """Note which ranks have beaten since the last look."""
        with self._lock:
            for other in range(self.num_ranks):
                try:
                    key = str(other)
                    beat = self._store.get(key).decode() if self._store.check([key]) else ""
                except RuntimeError:
                    return
                if beat != self._seen[other][0]:
                    self._seen[other] = beat, time.monotonic()

    def _silent_since(self, moment: float) -> list[int]:
        return [
            other
            for other, (beat, last) in self._seen.items()
            if last < moment and beat != "done" and other != self.rank
        ]

    def _named(self, ranks: Sequence[int]) -> str | None:
        if not ranks:
            return None
        if 0 in ranks:
            ranks = [0]  # it keeps the store, so that nothing is known of the others
        words = [_described(other, self._seen[other][0]) for other in ranks]
        return f"{' and '.join(words)} of {self.num_ranks} is gone: see its own log for the reason"


def _described(rank: int, beat: str) -> str:
    """A rank with the host and process of its last beat."""
    place = beat.split()[1:]
    return f"rank {rank}" + (f" (host {place[0]}, process {place[1]})" if len(place) == 2 else "")

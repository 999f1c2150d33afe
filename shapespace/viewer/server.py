"""The server of the page, open to this machine alone.

viser would let any web page that is open in a browser of this machine connect, and would open a
tunnel to a public server where a page asks for one. Both are refused here, the first by a parameter
of websockets that viser does not pass on. tests/viewer/test_server.py says when that moves.
"""

import contextlib
import importlib.util
import io
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

from shapespace.errors import InputError

if TYPE_CHECKING:
    import viser

HOST = "127.0.0.1"
MISSING = "the viewer needs viser, which is not installed: pip install 'shapespace[view]'"
ORIGIN = re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?")
"""Pages that may connect: those of this machine. A port may be forwarded, so that any will do."""


def check_viewer() -> None:
    """Raise InputError where viser is not installed."""
    if importlib.util.find_spec("viser") is None:
        raise InputError(MISSING)


def open_server(port: int) -> "viser.ViserServer":
    """Open the server at ``port`` of this machine, or at the next free one.

    Raises:
        InputError: viser is not installed, or there is no such port.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"port={port}: give a number from 0, which takes any, to 65535")
    try:
        import viser
    except ImportError as error:
        raise InputError(MISSING) from error

    class LocalServer(viser.ViserServer):
        """A server without a way to the outside."""

        def request_share_url(self, verbose: bool = True) -> str | None:
            """Open no tunnel, whoever asks."""
            return None

    with _own_pages_only(), contextlib.redirect_stdout(io.StringIO()):
        return LocalServer(host=HOST, port=port, label="shapespace", verbose=False)


@contextlib.contextmanager
def _own_pages_only() -> Iterator[None]:
    """While this lasts, servers of websockets take connections of own pages only."""
    import websockets.asyncio.server as server

    # Programs that are no browser send no origin; None stands for them.
    serve: Any = partial(server.serve, origins=[ORIGIN, None])
    with mock.patch.object(server, "serve", serve):
        yield

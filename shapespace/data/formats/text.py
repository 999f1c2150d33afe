"""Text files of columns: XYZ and TXT.

The reader takes the bytes of a file. A ``ValueError`` gives the reason; ``readers.py`` adds the
name of the file.
"""

import io
import warnings

import numpy as np

from shapespace.data.formats.arrays import cloud
from shapespace.data.formats.polygons import Arrays


def read_text(content: bytes) -> Arrays:
    """Whitespace-separated columns, ``#`` starts a comment, as in :func:`cloud`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            rows = np.loadtxt(io.BytesIO(content), np.float64, ndmin=2)
    except ValueError as error:
        reason = str(error).split(";")[0].rstrip(".")
        raise ValueError(
            f"{reason}: rows of as many numbers, decimal points, blanks between"
        ) from error
    return cloud(rows)

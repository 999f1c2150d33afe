"""Text files of columns: XYZ and TXT.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.
"""

import io
import warnings

import numpy as np

from shapespace.data.formats.arrays import cloud
from shapespace.data.formats.polygons import Arrays


def read_text(content: bytes) -> Arrays:
    """Read rows of numbers, blanks between them; ``#`` starts a comment.

    The columns are those of :func:`~shapespace.data.formats.arrays.cloud`.
    """
    try:
        with warnings.catch_warnings():
            # loadtxt warns of a file without rows, which is refused later in any case
            warnings.simplefilter("ignore", UserWarning)
            rows = np.loadtxt(io.BytesIO(content), np.float64, ndmin=2)
    except ValueError as error:
        reason = str(error).split(";")[0].rstrip(".")
        raise ValueError(
            f"{reason}; write the same count of numbers in each row, with decimal points, blanks "
            "between"
        ) from error
    return cloud(rows)

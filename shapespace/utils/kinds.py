"""What a file is that was given in the place of another."""

from pathlib import Path

HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of a store, and of any HDF5 file."""
ZIP = b"PK\x03\x04"
"""First bytes of a checkpoint, and of any zip file."""


def kind_of(path: str | Path, start: bytes | None = None) -> str:
    """Say what a path is that some command writes: "a store", "a checkpoint", "a folder"; else "".

    Args:
        path: the file or folder.
        start: first bytes of the file; None reads them.
    """
    try:
        if Path(path).is_dir():
            return "a folder"
        if start is None and not Path(path).is_file():
            return ""  # opening a named pipe waits for its writer, for ever
        if start is None:
            with Path(path).open("rb") as file:
                start = file.read(256)
    except (OSError, ValueError):
        return ""
    if start.startswith(HDF5):
        return "a store of scans, or another HDF5 file"
    # torch writes the description of the tensors first.
    if start.startswith(ZIP) and b"/data.pkl" in start[:256]:
        return "a checkpoint"
    return ""

"""Write a store, whole or not at all."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from shapespace.data.store import hdf5
from shapespace.data.store.index import record_of, write_accounts, write_index
from shapespace.data.store.layout import (
    FORMAT,
    VERSION,
    content_of,
    is_store,
    read_entry,
    write_scan,
)
from shapespace.errors import InputError, one_line
from shapespace.scan import PreparedScan, is_scan_name
from shapespace.utils.files import output_folder, replacing


class StoreWriter:
    """Write a store, whole or not at all.

    Scans go to a temporary file. It takes the place of ``path`` if the ``with`` block ends without
    an error, and is removed otherwise.

    Args:
        path: file to write; an existing store is replaced at the end.
        unit: unit of stored lengths, "m" or "radius".
        dimension: D.
        shard: "i/n" if the store is the i-th of n parts of a data set.

    Raises:
        InputError: ``path`` is a file of another kind or cannot be written.
    """

    def __init__(self, path: str | Path, unit: str, dimension: int, shard: str = "") -> None:
        self.path = Path(path)
        self.dimension = dimension
        check_target(self.path)
        output_folder(self.path.parent)
        # The temporary file is removed here if HDF5 cannot create it, and by __exit__ from then on.
        with ExitStack() as stack:
            part = stack.enter_context(replacing(self.path))
            with hdf5.naming(self.path):
                self._file = hdf5.create_hdf5(part)
            self._replacing = stack.pop_all()
        facts = {"unit": unit, "dimension": dimension, "shard": shard}
        hdf5.set_attributes(self._file, format=FORMAT, version=VERSION, **facts)
        self._scans = self._file.create_group("scans")
        self._checksums: dict[str, str] = {}
        self._records: dict[str, np.ndarray] = {}
        self._accounts: dict[str, str] = {}
        self._has_sigma: bool | None = None  # the first scan decides

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        with self._replacing:
            with hdf5.naming(self.path):
                if error is None:
                    write_index(self._file, self._records)
                    names = sorted(self._accounts)
                    write_accounts(self._file, [self._accounts[name] for name in names])
                if self._has_sigma is False:
                    hdf5.set_attributes(self._file, sigma=0)
                hdf5.set_attributes(self._file, content=content_of(self._checksums))
                hdf5.close(self._file)
            # Raised inside the block of replacing(), so that the temporary file is removed.
            if error is not None:
                raise error

    def objection(self, scan: PreparedScan) -> str | None:
        """The reason why ``scan`` cannot be added, None if it can.

        Its name or its dimension does not fit, or it has sigma and the others have not.
        """
        name = one_line(scan.name)
        if not is_scan_name(scan.name):
            return f"{name!r} cannot name a scan; use printable characters without '/'"
        if scan.name in self._checksums:
            return f"{self.path}: two scans are called {name!r}; rename one"
        dimension = scan.points.shape[1]
        if dimension != self.dimension:
            return (
                f"{one_line(scan.source)}: {name!r} is {dimension}-D, the store's scans "
                f"{self.dimension}-D; prepare it into a store of its own"
            )
        if self._has_sigma not in (None, scan.sigma is not None):
            return (
                f"{one_line(scan.source)}: {name!r} and the store's other scans must all have "
                "sigma or all have none; prepare all with --sigma or all without"
            )
        return None

    def add(self, scan: PreparedScan) -> None:
        """Append a scan.

        Raises:
            InputError: there is an objection, or the disk is full.
        """
        objection = self.objection(scan)
        if objection is not None:
            raise InputError(objection)
        with hdf5.naming(self.path):
            checksum = write_scan(self._scans, scan)
            self._has_sigma = scan.sigma is not None
            entry = read_entry(hdf5.group(self._scans, scan.name), self.dimension, self._has_sigma)
        self._checksums[scan.name] = checksum
        self._records[scan.name] = record_of(entry, checksum)
        self._accounts[scan.name] = scan.account


def check_target(path: Path) -> None:
    """Raise InputError if ``path`` is a file of another kind, which must not be overwritten."""
    if not path.exists():
        return
    try:
        with hdf5.naming(path), hdf5.open_hdf5(path) as file:
            ours = is_store(file)
    except InputError:
        ours = False
    if not ours:
        raise InputError(
            f"{path}: exists and is not a store, not overwritten; delete it or choose another name"
        )

"""The HDF5 file of scans."""

from shapespace.data.store.store import ScanStore

__all__ = ["ScanStore"]

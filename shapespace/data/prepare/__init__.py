"""Scans on disk become one store."""

from shapespace.data.prepare.run import prepare, prepare_file

__all__ = ["prepare", "prepare_file"]

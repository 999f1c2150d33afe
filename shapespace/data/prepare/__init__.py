"""Preparation: scan files on disk become one store, ready for training."""

from shapespace.data.prepare.run import prepare, prepare_file

__all__ = ["prepare", "prepare_file"]

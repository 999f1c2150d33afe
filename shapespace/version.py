"""The version of the package, which checkpoints name."""

__version__ = "0.1.0"

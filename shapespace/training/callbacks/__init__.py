"""Callbacks of a training: checkpoints, signals, divergence, precision, lost ranks, logs."""

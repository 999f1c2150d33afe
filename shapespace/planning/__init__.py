"""Prediction of memory, time and communication of a training."""

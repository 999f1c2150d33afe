"""Validation while training: held-out scans, reconstructed now and then."""

"""Scans on disk: reading, preparing, checking, storing."""

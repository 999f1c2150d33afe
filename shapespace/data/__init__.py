"""Scans on disk: reading, preparing, storing, streaming; and bodies made from formulas."""

"""Pages about a run and about the diagnostics of a space, each one self-contained file."""

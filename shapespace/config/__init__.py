"""Command lines, config files and recipes."""

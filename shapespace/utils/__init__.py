"""Helpers that know nothing about shapes: files, progress, processes, memory, time, text."""

"""Files, progress, processes, memory, text: nothing about shapes."""

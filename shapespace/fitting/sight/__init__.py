"""Lines of sight: what sensors saw through on the way to the points of a scan, and silhouettes."""

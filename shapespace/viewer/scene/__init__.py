"""What the page shows: the shape and its colours, the scan beside it, the map of the codes."""

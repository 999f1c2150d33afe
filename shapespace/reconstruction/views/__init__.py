"""Shapes and cameras: images of a shape, and shapes from depth maps and masks."""

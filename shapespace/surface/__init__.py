"""The zero set of a field: meshes, projection, sphere tracing."""

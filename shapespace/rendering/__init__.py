"""Pictures of meshes, fields and curves, drawn without a screen."""

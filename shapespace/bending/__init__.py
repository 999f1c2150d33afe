"""How a space of shapes bends: velocities of its surfaces, their energy, meshes carried by them."""

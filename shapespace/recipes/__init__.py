"""The configs that commands use themselves, so that an installed package needs no other files.

``configs/`` of the repository links to them.
"""

from pathlib import Path

SURFACE = Path(__file__).with_name("surface.yaml")
DEMO = Path(__file__).with_name("demo.yaml")

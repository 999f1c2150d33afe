"""Dockerfile and conda recipe say what setup.cfg says. Neither is built here."""

import configparser
import re

import yaml

from shapespace.version import __version__
from tests.conftest import ROOT

ON_CONDA = {"torch": "pytorch", "docstring-parser": "docstring_parser"}
"""Names on conda-forge that are not those of PyPI in small letters."""
BESIDE = {"python", "typeshed-client"}
"""What the recipe names and setup.cfg does not: the interpreter, and an extra of jsonargparse."""


def setup():
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


def split(line):
    """Name, with its extras left out, and versions of a requirement."""
    name, versions = re.fullmatch(r"([\w-]+)(?:\[\w+\])?\s*(\S*)", line).groups()
    return name, versions


def test_the_recipe_has_the_dependencies_of_setup_cfg():
    recipe = yaml.safe_load((ROOT / "packaging" / "recipe.yaml").read_text())
    assert recipe["schema_version"] == 1 and recipe["context"]["version"] == __version__
    wanted = {}
    for line in setup()["options"]["install_requires"].split("\n"):
        if line:
            name, versions = split(line)
            wanted[ON_CONDA.get(name, name.lower())] = versions
    found = dict(map(split, recipe["requirements"]["run"]))
    assert found["python"] == setup()["options"]["python_requires"]
    assert {name: found[name] for name in found.keys() - BESIDE} == wanted
    (entry,) = recipe["build"]["python"]["entry_points"]
    assert entry in setup()["options.entry_points"]["console_scripts"]
    needed = re.search(r'requires = \["(.*?)"\]', (ROOT / "pyproject.toml").read_text())[1]
    assert needed.replace(">=", " >=") in recipe["requirements"]["host"]


def test_the_dockerfile_copies_what_is_there_and_installs_known_extras():
    text = (ROOT / "packaging" / "Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.1[123]-", text, re.M)
    for line in re.findall(r"^COPY (.*)$", text, re.M):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources)
    extras = re.search(r"/src\[([\w,]+)\]", text)[1].split(",")
    assert set(extras) <= set(setup()["options.extras_require"])
    words = {line.split()[0] for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()}
    assert words <= {"#", "FROM", "RUN", "COPY", "WORKDIR", "ENTRYPOINT", "CMD"}

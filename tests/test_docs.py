"""The site: what it tells people to type exists, what it quotes is said; it asks no other host."""

import ast
import configparser
import importlib.util
import re
import shlex
import subprocess
import sys
from itertools import pairwise

import pytest
import yaml

from shapespace.cli.main import COMMANDS, GROUPS, OWN_PARSER, function_name
from shapespace.config.arguments import _options
from shapespace.config.recipes import METHODS, RECIPES
from shapespace.version import __version__
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text() for path in DOCS.rglob("*.md")}


def lines_to_type():
    """Lines of all plain code blocks that begin with ``shapespace``."""
    for page, text in PAGES.items():
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.S | re.M):
            for line in block.splitlines():
                if not language and line.startswith("shapespace "):
                    yield page, line


def function_of(words):
    """The function of a command line and the words after the command."""
    table, first = (GROUPS[words[0]], 1) if words[0] in GROUPS else (COMMANDS, 0)
    name = words[first]
    module = importlib.import_module(f"shapespace.{table[name][0]}")
    return getattr(module, function_name(name)), words[first + 1 :]


def test_commands_and_options_exist():
    lines = list(lines_to_type())
    assert len(lines) > 25
    for page, line in lines:
        words = shlex.split(line)[1:]
        where = f"{page}: {line}"
        for name in (b for a, b in pairwise(words) if a == "--config"):
            assert name in RECIPES | METHODS or name.endswith(".yaml"), where
        function, rest = function_of(words)
        given = {word for word in rest if word.startswith("--")}
        if words[0] in OWN_PARSER:
            assert all(re.fullmatch(r"--([a-z_]+\.[a-z_.]+|config)", word) for word in given), where
            continue
        assert given <= {option.typed for option in _options(function)} | {"--config"}, where
    named = {shlex.split(line)[1] for _, line in lines}
    assert set(COMMANDS) - named <= {"methods", "mesh", "plan"}


def test_python_on_the_pages_is_python():
    blocks = [b for text in PAGES.values() for b in re.findall(r"```python\n(.*?)```", text, re.S)]
    for block in blocks:
        if "--8<--" not in block:
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("shapespace"):
                    module = importlib.import_module(node.module)
                    assert all(hasattr(module, alias.name) for alias in node.names)
    assert len(blocks) > 5


def test_quoted_messages_are_those_of_the_code():
    sources = " ".join(path.read_text() for path in (ROOT / "shapespace").rglob("*.py"))
    sources = re.sub(r"\s+", " ", re.sub(r'"\s*\n\s*f?"', "", sources))
    rows = [line for line in PAGES["troubleshooting.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    for row in rows:
        for quoted in re.findall(r"`([^`]+)`", row.split(" | ")[0]):
            assert quoted in sources, quoted


def test_every_dependency_has_its_reason():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = {("", line) for line in setup["options"]["install_requires"].split("\n") if line}
    for extra, lines in setup["options.extras_require"].items():
        wanted |= {(extra, line) for line in lines.split("\n") if line}
    wanted = {(extra, re.split(r"[\[<>=!]", line)[0]) for extra, line in wanted}
    rows = re.findall(r"^\| ([\w-]+) \| (\w*) ?\| \S", PAGES["dependencies.md"], re.M)
    named = {(extra, package) for package, extra in rows if package != "package"}
    assert named <= wanted
    # A package of two extras is named once.
    assert {package for _, package in named} == {package for _, package in wanted}


def test_citation_is_of_this_version():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert found["version"] == __version__ and found["cff-version"] == "1.2.0" and found["authors"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; warnings are errors."""
    for package in ("material", "mkdocstrings"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is missing: pip install 'shapespace[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return out


def test_the_site_builds_and_asks_no_other_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\bsrc="?([^"\s>]+)', text)
        for link in re.findall(r"<link\b[^>]*>", text):
            if not re.search(r"rel=\"?(canonical|next|prev)", link):
                loaded += re.findall(r'href="?([^"\s>]+)', link)
        assert loaded and not [path for path in loaded if re.match(r"(https?:)?//", path)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", style.read_text()), style


def test_pages_of_the_site_say_what_the_code_says(site):
    commands, recipes = (site / "commands.html").read_text(), (site / "recipes.html").read_text()
    for name in (*COMMANDS, *(f"{group} {name}" for group in GROUPS for name in GROUPS[group])):
        assert f"shapespace {name}" in commands, name
    assert "--resolution RESOLUTION" in commands and "--help-all" in commands
    assert all(f">{name}<" in recipes for name in RECIPES)
    methods = (site / "methods.html").read_text()
    assert all(f">{name}<" in methods for name in METHODS)
    own = (site / "guides" / "own-method.html").read_text()
    # Of the YAML, and of the file with the classes.
    assert "own_method.Blob" in own and "to a random side." in own
    assert "chamfer_half_unsquared" in (site / "measured" / "columns.html").read_text()
    assert "from_pretrained" in (site / "api.html").read_text()
    assert (site / "measured" / "theory" / "plane.png").is_file()

"""Pages of the site that say what the code says, made when the site is built (a hook of MkDocs).

Commands are their own ``--help``; recipes and methods are their files; the Python page names what
``import shapespace`` offers; measurements and data sets are the READMEs of their folders.
"""

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
WIDTH = "88"
"""Characters in a line of the help."""
COPIED = {
    "experiments/README.md": "measured/index.md",
    "experiments/cluster/README.md": "guides/cluster.md",
    "benchmarks/README.md": "measured/benchmarks.md",
    "HANDBOOK.md": "handbook.md",
    "CHANGELOG.md": "changelog.md",
    **{
        f"{path.parent.relative_to(ROOT)}/README.md": f"{page}/{path.parent.name}.md"
        for folder, page in (("experiments", "measured"), ("datasets", "data"))
        for path in sorted((ROOT / folder).glob("*/README.md"))
        if path.parent.name != "cluster"
    },
}
"""File of the repository -> the page that it becomes."""
FURTHER = ("encoders.base.Encoder", "data.prepare.run.prepare_file")
"""What the Python page has beside the public names."""
ROLE = re.compile(r":\w+:<code>(?:[^<&]*&lt;)?(~?)([\w.]+)(?:&gt;)?</code>")
"""A reference in a docstring, as Sphinx would read it."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the pictures that copied pages show."""
    for page, text in _pages().items():
        files.append(File.generated(config, page, content=text))
    for source, page in COPIED.items():
        text, pictures = copied(source, page)
        files.append(File.generated(config, page, content=text))
        for picture, place in pictures.items():
            files.append(File.generated(config, place, abs_src_path=str(ROOT / picture)))
    return files


def on_page_content(html: str, **_: object) -> str:
    """Show references in docstrings as the names that they lead to."""
    return ROLE.sub(lambda m: f"<code>{m[2].rpartition('.')[2] if m[1] else m[2]}</code>", html)


def copied(source: str, page: str) -> tuple[str, dict[str, str]]:
    """The text of a file of the repository as a page, and its pictures with their new places.

    A link to another page of the site stays one. A link to any other file becomes its name.
    """
    pictures: dict[str, str] = {}

    def moved(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        if "://" in target:
            return found[0]
        path = normpath(join(dirname(source), target.partition("#")[0]))
        if mark:
            pictures[path] = join(dirname(page), Path(source).parent.name, Path(path).name)
            return f"![{text}]({relpath(pictures[path], dirname(page) or '.')})"
        if path in COPIED:
            return f"[{text}]({relpath(COPIED[path], dirname(page) or '.')})"
        return text if text.startswith("`") else f"`{text}`"

    return LINK.sub(moved, (ROOT / source).read_text("utf-8")), pictures


def _pages() -> dict[str, str]:
    """Pages made of what the code says, by their places."""
    return {
        "commands.md": "\n".join(_commands()),
        "recipes.md": "\n".join(_recipes()),
        "methods.md": "\n".join(_methods()),
        "measured/columns.md": "\n".join(_columns()),
        "api.md": "\n".join(_python()),
        **{
            f"notebooks/{path.stem}.md": notebook(path)
            for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
        },
    }


def notebook(path: Path) -> str:
    """A notebook as a page: its texts, and its code in blocks."""
    parts = [f"*The notebook [{path.name}]({path.name}) itself runs in Jupyter.*"]
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else _block(text, "python"))
    # The title comes first.
    parts[:2] = parts[1::-1]
    return "\n\n".join(parts) + "\n"


def _commands() -> Iterator[str]:
    from shapespace.cli.main import COMMANDS, GROUPS

    yield "# Commands\n\nEach text is that of `--help`.\n"
    yield _block(help_of())
    for name, (_, line) in COMMANDS.items():
        for words in [(name, more) for more in GROUPS[name]] if name in GROUPS else [(name,)]:
            about = GROUPS[name][words[1]][1] if len(words) == 2 else line
            yield f"## shapespace {' '.join(words)}\n\n{_sentence(about)}\n"
            yield _block(help_of(*words))


def help_of(*words: str) -> str:
    """What ``shapespace WORDS --help`` writes."""
    from shapespace.cli.main import main

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with redirect_stdout(io.StringIO()) as said:
            assert main([*words, "--help"]) == 0, words
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return said.getvalue().rstrip()


def _recipes() -> Iterator[str]:
    from shapespace.config.recipes import RECIPES

    yield (
        "# Recipes\n\n`--config NAME` takes a recipe by its name, or a YAML file; later ones win. "
        "A dash stands for what is left to the recipe before it. What a recipe reached is on the "
        "page that is named under *measured*.\n"
    )
    yield "| recipe | network | code length | scans a step | epochs | measured |"
    yield "|---|---|---|---|---|---|"
    contents = {name: yaml.safe_load(path.read_text()) for name, path in RECIPES.items()}
    for name, content in contents.items():
        facts = [fact or "–" for fact in (*_facts(content), _measured(RECIPES[name]))]
        yield f"| [{name}](#{_anchor(name)}) | {' | '.join(facts)} |"
    for name, path in RECIPES.items():
        yield f"\n## {name}\n"
        yield _file(path)


def _facts(content: Mapping) -> tuple[str, str, str, str]:
    """Network, code length, batch and epochs of a recipe; "" for what it leaves to another."""
    decoder = content.get("model", {}).get("decoder", {})
    options = decoder.get("init_args", {})
    kind = decoder.get("class_path", "").rpartition(".")[2]
    size = f"{options['depth']}x{options['width']} " if {"depth", "width"} <= options.keys() else ""
    return (
        f"{size}{kind}",
        str(options.get("latent_size", "")),
        str(content.get("data", {}).get("batch_size", "")),
        str(content.get("trainer", {}).get("max_epochs", "")),
    )


def _measured(path: Path) -> str:
    """Links to the experiments that a recipe names."""
    names = dict.fromkeys(re.findall(r"experiments/(\w+)", path.read_text("utf-8")))
    return ", ".join(f"[{name}](measured/{name}.md)" for name in names)


def _methods() -> Iterator[str]:
    from shapespace.cli.methods import described
    from shapespace.config.recipes import METHODS
    from shapespace.objectives.base import FIELDS

    yield (
        "# Methods\n\nA method is an overlay. It goes on top of a recipe, which says how large "
        "network, batch and run are:\n"
    )
    yield _block("shapespace train --config bodies-cpu --config sal --data.store scans.hdf5")
    yield "\n| method | what | paper | needs | field |\n|---|---|---|---|---|"
    for method in map(described, METHODS):
        name = f"[{method.name}](#{_anchor(method.name)})"
        yield f"| {name} | {method.what} | {method.paper} | {method.needs} | {method.kind} |"
    yield "\nKinds of fields:\n"
    yield from (f"- *{kind}*: f is {text}." for kind, text in FIELDS.items())
    for name, path in METHODS.items():
        yield f"\n## {name}\n"
        yield _file(path)


def _columns() -> Iterator[str]:
    from shapespace.evaluation.definitions import DEFINITIONS, LETTERS, THRESHOLDED

    yield f"# Every column of the scores\n\n{_sentence(LETTERS)}\n"
    yield "| column | kind | definition |\n|---|---|---|"
    for name, found in DEFINITIONS.items():
        yield f"| `{name}` | {found.kind} | {found.text.replace('|', '&#124;')} |"
    yield "\nColumns with a threshold, such as `fscore_5mm`:\n"
    yield "| column | kind | definition |\n|---|---|---|"
    for name, found in THRESHOLDED.items():
        yield f"| `{name}` | {found.kind} | {found.text.format(at='the threshold')} |"


def _python() -> Iterator[str]:
    import shapespace

    yield "# Python\n\nWhat `import shapespace` offers. Each name is imported when it is used.\n"
    for name in shapespace.__all__:
        yield f"::: shapespace.{shapespace._HOME[name]}.{name}\n"
    for name in FURTHER:
        yield f"::: shapespace.{name}\n"


def _file(path: Path) -> str:
    """The note at the top of a YAML file as text, and the file itself."""
    text = path.read_text("utf-8").rstrip()
    note = [line.removeprefix("#").strip() for line in text.splitlines()[: _num_notes(text)]]
    return f"{_sentence(note[0])}\n\n{_block(text, 'yaml')}"


def _num_notes(text: str) -> int:
    lines = text.splitlines()
    return next((row for row, line in enumerate(lines) if not line.startswith("#")), len(lines))


def _sentence(text: str) -> str:
    """Text that begins with a capital letter and ends with a full stop."""
    text = text.removeprefix("what: ")
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', ':')) else '.'}"


def _anchor(heading: str) -> str:
    """The anchor that MkDocs gives to a heading."""
    return re.sub(r"[^\w-]", "", heading)


def _block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```\n"

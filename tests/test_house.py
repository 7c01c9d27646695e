"""The house: which module of glasslib may import which. Read from the source, nothing is run."""

import ast
import json
from pathlib import Path

import glasslib

PACKAGE = Path(glasslib.__file__).resolve().parent

#: physics, which must run without the book
PHYSICS = {
    "systems", "geometry", "snapshots", "frames", "formats", "engines", "simulate", "production",
    "neighbors", "structure", "rings", "clustering", "equations_of_state", "dynamics",
    "descriptors", "models", "scores", "studies", "stored", "writing", "compiling", "agreement",
    "trajectory", "pretrained", "fetching", "places",
}  # fmt: skip
#: what makes, runs, judges and publishes the book
MACHINERY = {
    "book", "cli", "batches", "gathering", "commands",
}  # fmt: skip
#: names with an underscore that another module uses, and why
BORROWED: set[tuple[str, str]] = set()


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PACKAGES = {name_of(p) for p in PACKAGE.rglob("__init__.py")}
TREES = {name_of(p): ast.parse(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}


def imports(name: str) -> list[tuple[str, str, str, bool]]:
    return read_imports(TREES[name], name)


def read_imports(tree: ast.AST, name: str) -> list[tuple[str, str, str, bool]]:
    """(module, the name taken from it or "", what it is called here, whether at module level)."""
    found = []

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for other in child.orelse:  # what only type checkers see is not imported
                    visit(ast.Module([other], []), top)
                continue
            if isinstance(child, ast.ImportFrom):
                base = child.module.split(".") if child.module else []
                if child.level:  # as in "from . import book"
                    here = name.split(".") if name else []
                    up = child.level - (name in PACKAGES)
                    base = ["glasslib", *here[: len(here) - up], *base]
                if base[0] != "glasslib":
                    continue
                for alias in child.names:
                    whole = ".".join([*base[1:], alias.name])
                    called = alias.asname or alias.name
                    if whole in TREES:  # a module, not a name in one
                        found.append((whole, "", called, top))
                    else:
                        found.append((".".join(base[1:]), alias.name, called, top))
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    base = alias.name.split(".")
                    if base[0] == "glasslib":
                        found.append((".".join(base[1:]), "", alias.asname or "", top))
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            visit(child, top and not inside)

    visit(tree, True)
    return found


def arrows(*, in_functions: bool) -> dict[str, set[str]]:
    """Module -> modules of glasslib that it imports. A package's own modules are its inside."""
    return {
        name: {m for m, _, _, top in imports(name) if (top or in_functions) and m not in ("", name)}
        for name in TREES
    }


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    done, way = set(), []

    def walk(name: str) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        way.append(name)
        for other in sorted(graph[name]):
            if circle := walk(other):
                return circle
        done.add(way.pop())
        return []

    return next((circle for name in sorted(graph) if (circle := walk(name))), [])


def test_a_circle_is_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_imports_itself_round_others():
    assert " -> ".join(find_circle(arrows(in_functions=False))) == ""


def test_imports_in_functions_close_no_circle_either():
    assert " -> ".join(find_circle(arrows(in_functions=True))) == ""


def test_every_module_is_known():
    """A new one is physics, machinery or what draws (plots), and says so here."""
    top = {name.split(".")[0] for name in TREES} - {"", "plots"}
    assert top == PHYSICS | MACHINERY


def test_physics_does_not_import_the_machinery():
    found = {
        (name, other)
        for name, others in arrows(in_functions=True).items()
        if name.split(".")[0] in PHYSICS
        for other in others
        if other.split(".")[0] in MACHINERY
    }
    assert found == set()


def test_names_with_an_underscore_stay_in_their_module():
    found = set()
    for name, tree in TREES.items():
        modules = {}
        for module, taken, called, _ in imports(name):
            if taken.startswith("_") and not taken.startswith("__") and module != name:
                found.add((name, f"{module}.{taken}"))
            if not taken and called:
                modules[called] = module
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                private = node.attr.startswith("_") and not node.attr.startswith("__")
                if private and node.value.id in modules:
                    found.add((name, f"{modules[node.value.id]}.{node.attr}"))
    assert found == BORROWED


def test_what_no_page_imports_is_all_that_the_key_leaves_out():
    """A run is used again after a change there; and no change elsewhere goes unseen."""
    from glasslib.book import keys

    left_out = {name_of(PACKAGE / file) for file in keys.NOT_IN_PAGES}
    assert left_out <= set(TREES)
    taken = {""}
    for path in sorted((PACKAGE.parent / "notebooks").glob("*/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and "glasslib" in source:
                taken |= {module for module, *_ in read_imports(ast.parse(source), "")}
    graph, reached = arrows(in_functions=True), set()
    while taken:
        name = taken.pop()
        reached.add(name)
        taken |= graph[name] - reached
    assert not reached & left_out

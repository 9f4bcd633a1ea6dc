"""How the packages depend on one another, held for every import, also those inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ta_assets.ledger.table import FACTS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ta_assets", "ta_checks", "ta_resources")
LAYERS: tuple[tuple[str, ...], ...] = (
    ("ta_assets.core",),
    ("ta_resources",),
    ("ta_assets.studies",),
    ("ta_assets.ledger",),
    ("ta_assets.vectors",),
    ("ta_checks",),
    ("ta_assets.pages",),
    ("ta_assets.assets",),
    ("ta_assets.jobs",),
    ("ta_assets.definitions",),
    (
        "ta_assets.trace",
        "ta_assets.plan",
        "ta_assets.export",
        "ta_assets.measure",
        "ta_assets.reproduce",
        "ta_assets.split",
    ),
    ("ta_assets.command",),
)
"""From the lowest to the highest; a module imports from its own layer and those below."""
TABLE = "ta_assets.ledger.table"
"""The one module that knows assets by their names."""
STORAGE = "ta_resources.storage."
"""The package that knows where an artifact's files lie."""
PATH_METHODS = {"joinpath", "iterdir", "glob", "rglob", "with_name", "with_suffix"}
MOST_MODULES = 14
"""In one folder: what a reader can take in at a glance."""


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module of the project."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(source: str) -> Iterator[str]:
    """Dotted names that a source imports anywhere in it; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


@cache
def graph() -> dict[str, set[str]]:
    """Module -> modules of the project that it imports; a package counts where something of its own is imported."""
    known = modules()
    found = {}
    for name, path in known.items():
        wanted = {one for one in imports_of(path.read_text(encoding="utf-8")) if one in known and one != name}
        # `from package import module` needs no line of the package itself
        found[name] = {one for one in wanted if not any(other.startswith(f"{one}.") for other in wanted)}
    return found


def layer_of(module: str) -> int:
    """Place of a module's layer, from the lowest."""
    (place,) = [
        place
        for place, names in enumerate(LAYERS)
        if any(module == name or module.startswith(f"{name}.") for name in names)
    ]
    return place


def circles(edges: dict[str, set[str]]) -> list[str]:
    """Every module that can be reached from itself."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(edges[start])
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += edges[one]
        return seen

    return [one for one in edges if one in reached(one)]


def upward(edges: dict[str, set[str]]) -> list[str]:
    """Every import of something in a higher layer."""
    return [
        f"{module} imports {other}"
        for module, others in edges.items()
        for other in sorted(others)
        if layer_of(other) > layer_of(module)
    ]


def branches_on(names: set[str], source: str) -> list[int]:
    """Lines with a comparison, a case or a lookup among strings that are names of assets."""

    def is_name(node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) and node.value in names

    def holds_name(node: ast.AST) -> bool:
        return is_name(node) or (isinstance(node, (ast.Set, ast.List, ast.Tuple)) and any(map(is_name, node.elts)))

    found = []
    for node in ast.walk(ast.parse(source)):
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        case = [node.value] if isinstance(node, ast.MatchValue) else []
        found += [side.lineno for side in [*sides, *case] if holds_name(side)]
    return found


def paths_of_artifacts(source: str) -> list[int]:
    """Lines that make a path of an artifact's file, of which the storage alone may know where it lies."""

    def named(node: ast.AST) -> str:
        return getattr(node, "attr", getattr(node, "id", ""))

    def is_place(node: ast.AST) -> bool:
        """``store.local_folder``, ``store.place(...)`` or ``store.files.place(...)``."""
        return named(node) == "local_folder" or (isinstance(node, ast.Call) and named(node.func) == "place")

    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.expr):
            continue
        bad = (
            (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and is_place(node.left))
            or (isinstance(node, ast.Call) and named(node.func) == "Path" and any(map(is_place, node.args)))
            or (isinstance(node, ast.Attribute) and is_place(node.value) and node.attr in PATH_METHODS)
            or (isinstance(node, ast.Attribute) and named(node.value) in ("store", "files") and node.attr == "base")
            or (isinstance(node, ast.Attribute) and named(node.value) == "files" and node.attr == "local")
        )
        found += [node.lineno] if bad else []
    return found


def test_no_module_imports_upward() -> None:
    assert upward({one: others for one, others in graph().items() if one != "ta_assets"}) == []


def test_no_module_leads_back_to_itself() -> None:
    assert circles(graph()) == []


def test_no_folder_is_too_full_to_be_read() -> None:
    sizes: dict[Path, int] = {}
    for path in modules().values():
        if path.name != "__init__.py":
            sizes[path.parent] = sizes.get(path.parent, 0) + 1
    assert {str(folder.relative_to(ROOT)): n for folder, n in sizes.items() if n > MOST_MODULES} == {}


def test_no_branch_on_the_name_of_an_asset_outside_of_the_table() -> None:
    found = {
        name: lines
        for name, path in modules().items()
        if name != TABLE and (lines := branches_on({*FACTS}, path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_every_asset_of_the_graph_is_in_the_table() -> None:
    from ta_assets.definitions import build_definitions

    assets = build_definitions().resolve_asset_graph().get_all_asset_keys()
    assert {key.to_user_string() for key in assets} == {*FACTS}


def test_nothing_but_the_storage_knows_the_path_of_an_artifact() -> None:
    found = {
        name: lines
        for name, path in modules().items()
        if not name.startswith(STORAGE) and (lines := paths_of_artifacts(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_an_import_inside_a_function_counts() -> None:
    source = "def f():\n    from ta_assets.jobs import runs\n"
    assert {"ta_assets.jobs", "ta_assets.jobs.runs"} <= set(imports_of(source))
    assert upward({"ta_assets.ledger.ledger": {"ta_assets.jobs.runs"}}) != []
    assert upward({"ta_assets.jobs.runs": {"ta_assets.ledger.ledger"}}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("source", "is_a_branch"),
    [
        ('if asset == "splits": pass', True),
        ('x = "splits" != asset', True),
        ('x = asset in {"splits", "other"}', True),
        ('x = asset not in ("splits",)', True),
        ('match asset:\n    case "splits": pass', True),
        ('if part == "test": pass', False),
        ('store.load("splits", setting)', False),
    ],
)
def test_a_branch_on_a_name_is_found_in_each_of_its_forms(source: str, is_a_branch: bool) -> None:
    assert bool(branches_on({"splits"}, source)) == is_a_branch


@pytest.mark.parametrize(
    ("source", "is_a_path"),
    [
        ("path = world.store.base", True),
        ("path = store.local_folder / shard.file", True),
        ("path = Path(self.world.store.place(asset, partition)) / name", True),
        ("path = Path(files.place(name))", True),
        ("paths = world.store.local_folder.rglob('*.json')", True),
        ("path = evidence.world.store.files.local(name, sha256)", True),
        ("path = readme_path(study, world.store.local_folder)", False),
        ("content = world.store.files.read(name)", False),
        ("message = f'{store.place(asset, partition)}'", False),
    ],
)
def test_a_path_of_an_artifact_is_found_in_each_of_its_forms(source: str, is_a_path: bool) -> None:
    assert bool(paths_of_artifacts(source)) == is_a_path

"""Where the program stands in a reply, and how the grader enters it: read off a known-good reply, or off the prompt."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gamekeeper.audit.mining import Mined, function_names
from gamekeeper.audit.scene import Scene

_FENCE = re.compile(r"```[\w+-]*\n(.*?)```", re.DOTALL)
_TAGGED = re.compile(r"<([\w-]+)>(.*?)</\1>", re.DOTALL)
_NAMED = ("entry_point", "fn_name", "function_name", "func_name", "entry", "function", "name")


@dataclass(frozen=True, slots=True)
class Place:
    """A program inside a reply. `put` replaces it; `names` are called by the grader, `owner` is their class."""

    code: str
    put: Callable[..., str]
    names: tuple[str, ...]
    owner: str = ""

    def define(self, body: str, before: str = "") -> str:
        """A program whose every entry does `body`; a script where nothing is called."""
        lines = body.splitlines() or ["pass"]
        if not self.names:
            return "\n".join([before, *(_unreturned(line) for line in lines)]).strip()
        pad = "    " if self.owner else ""
        first = "self, *a, **k" if self.owner else "*a, **k"
        defs = [f"{pad}def {n}({first}):\n" + "\n".join(f"{pad}    {line}" for line in lines) for n in self.names]
        head = [f"class {self.owner}:"] if self.owner else []
        return "\n".join([*([before] if before else []), *head, *defs])


def _unreturned(line: str) -> str:
    """A function's line as a script's: what would be returned is printed."""
    stripped = line.lstrip()
    if stripped.startswith("return"):
        return line.replace(stripped, f"print({stripped.removeprefix('return').strip() or 'None'})")
    return line


def place_of(scene: Scene, mined: Mined) -> Place | None:
    """Where programs go for this target; None if it takes none."""
    text = scene.good_text
    for code, put in _candidates(text):
        tree = _parsed(code)
        if tree is not None and _is_program(tree):
            names, owner = _entry(tree, scene)
            return Place(code, put, names, owner)
    if not mined.runs_code:
        return None
    names = _wanted(scene)
    fenced = any("```" in s for s in (*mined.strings, *mined.regexes))
    return Place("", (lambda code: f"```python\n{code}\n```") if fenced else lambda code: code, names)


def _candidates(text: str) -> list[tuple[str, Callable[..., str]]]:
    found: list[tuple[str, Callable[..., str]]] = []
    for pattern, group in ((_FENCE, 1), (_TAGGED, 2)):
        for m in pattern.finditer(text):
            start, end = m.span(group)
            found.append(
                (
                    m.group(group),
                    lambda code, a=start, b=end: (
                        text[:a] + code + ("\n" if text[a:b].endswith("\n") else "") + text[b:]
                    ),
                )
            )
    found.append((text, lambda code: code))
    return found


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_program(tree: ast.Module) -> bool:
    """Statements that do something: not a bare number or name, which is Python as well."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.For, ast.While, ast.With)
    calls = any(isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) for n in tree.body)
    return any(isinstance(n, kinds) for n in tree.body) or calls


def _entry(tree: ast.Module, scene: Scene) -> tuple[tuple[str, ...], str]:
    functions = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef)]
    if functions and not _is_script(tree):
        named = [f for f in functions if f in _wanted(scene)] or functions
        return tuple(named), ""
    for owner in classes:
        methods = [n.name for n in owner.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("__")]
        if methods:
            return tuple(methods), owner.name
    return (), ""


def _is_script(tree: ast.Module) -> bool:
    top = [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)]
    return any(isinstance(n, ast.Expr | ast.If | ast.For | ast.While | ast.With) and not _docstring(n) for n in top)


def _docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _wanted(scene: Scene) -> tuple[str, ...]:
    columns: Mapping[str, Any] = scene.example.columns
    told = [columns[k] for k in _NAMED if isinstance(columns.get(k), str) and str(columns[k]).isidentifier()]
    return tuple(dict.fromkeys([*told, *function_names(scene.all_prompt)]))[:3]


# Tests and runs that a prompt shows


def shown_tests(scene: Scene, names: tuple[str, ...]) -> dict[str, str]:
    """Arguments -> result, as source text, of the cases that the prompt itself shows."""
    found: dict[str, str] = {}
    for name in names:
        call = rf"\b{re.escape(name)}\(([^()\n]*(?:\([^()\n]*\)[^()\n]*)*)\)"
        for pattern in (
            call + r"\s*(?:==|=|->|→|returns|should be|is)\s*(?=([^\n;,]+(?:,[^\n;]*[\])}])?))",
            call + r"\s*\n\s*([^\n>]+)",
        ):
            for args, result in re.findall(pattern, scene.all_prompt):
                value = _literal(result)
                if value is not None and _literal(f"({args},)") is not None:
                    found.setdefault(args, value)
    return found


_SAMPLE = re.compile(
    r"\binput\b[^\n:]{0,20}:?\s*\n?(?:```\w*\n)?(?P<given>.+?)(?:\n```)?\s*\n\s*(?:\w+ )?output\b[^\n:]{0,20}:?"
    r"\s*\n?(?:```\w*\n)?(?P<told>.+?)(?=\n```|\n\s*\n|\n[^\n]*\binput\b|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_SENTENCE = re.compile(
    r"`(?P<given>[^`\n]+)`[^`\n.;]{0,24}?(?:\b(?:prints?|gives|outputs?|yields|makes|is)\b|->|=>|→)\s*`?"
    r"(?P<told>[^`\n,;]+?)`?\.?(?=[,;\n]|\s*$|\.\s)"
)


def shown_runs(scene: Scene) -> dict[str, str]:
    """Standard input -> standard output, both stripped, of the runs that the prompt itself shows."""
    found: dict[str, str] = {}
    for pattern in (_SAMPLE, _SENTENCE):
        for match in pattern.finditer(scene.all_prompt):
            found.setdefault(match["given"].strip(), match["told"].strip())
    return found


def _literal(text: str) -> str | None:
    plain = text.strip().strip('`"').rstrip(".;`")
    first = re.match(r"-?\d+(?:\.\d+)?|\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|'[^']*'|\"[^\"]*\"|True|False|None", text.strip())
    for candidate in (text.strip().rstrip(".;`").strip("`"), plain, first[0] if first else ""):
        try:
            return repr(ast.literal_eval(candidate))
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return None

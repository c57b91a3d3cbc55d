"""One self-contained page about one run, or about several side by side.

It holds everything: no network, no fonts, no images. A content security policy allows exactly the page's own
stylesheet and script, by their hashes; whatever a model wrote is text, escaped by the template.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper import __version__
from gamekeeper.errors import RunError, UsageError
from gamekeeper.report import figures, tables
from gamekeeper.report.sample import MOST, Shown, sampled
from gamekeeper.report.svg import tag
from gamekeeper.report.text import count, label, number, visible
from gamekeeper.report.verdict import parted, sentence, verdict
from gamekeeper.report.view import Side, headline_curves, more_metrics, sides
from gamekeeper.studies.disk import disk_errors, write_atomic

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
# Beyond this many steps the page does without values to read off.
_MOST_READ = 5000


def write_report(runs: Sequence[str | Path], out: str | Path, most: int = MOST) -> Path:
    """Writes the report of these run directories to `out` and returns its path.

    most: how many rollouts the page shows at most, of all runs together.
    Raises UsageError without a run, RunError for a directory that is no run or a place that cannot be written.
    """
    html = render(_read(runs), most)
    target = Path(out)
    if target.is_dir():
        target = target / "report.html"
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, html.encode("utf-8"))
    return target


def headline_svg(runs: Sequence[str | Path]) -> str:
    """The headline figure of these runs as a standalone SVG file."""
    return figures.headline_svg(_read(runs), asset("figure.css"))


def _read(runs: Sequence[str | Path]) -> list[Side]:
    if isinstance(runs, str | Path):
        runs = [runs]
    if not runs:
        raise UsageError("A report needs at least one run directory.")
    return sides(runs)


@cache
def asset(name: str) -> str:
    """A file that lies beside this one."""
    return (_HERE / name).read_text(encoding="utf-8")


def render(all_sides: Sequence[Side], most: int = MOST) -> str:
    """The page as text."""
    return environment().get_template("page.html").render(_context(all_sides, most))


def environment() -> Environment:
    """Templates that escape whatever they print."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, finalize=_shown_whole
    )


def _shown_whole(value: Any) -> Any:
    """Every string that the template prints, with nothing invisible in it; our own markup is left as it is."""
    return visible(value) if type(value) is str else value


def _context(all_sides: Sequence[Side], most: int) -> dict[str, Any]:
    from markupsafe import Markup

    css, script = asset("page.css") + asset("figure.css"), asset("page.js")
    shown = [_side(i, s, len(all_sides) > 1) for i, s in enumerate(all_sides)]
    return {
        "policy": policy(css, script),
        "css": Markup(css),
        "script": Markup(script),
        "version": __version__,
        "title": _title(all_sides),
        "question": _question(all_sides),
        "sides": shown,
        "figure_title": parted(all_sides),
        "figure_wide": Markup(figures.headline(all_sides, figures.wide(len(all_sides)), "wide")),
        "figure_narrow": Markup(figures.headline(all_sides, figures.narrow(), "narrow")),
        "caption": tables.caption(all_sides),
        "numbers": tables.numbers(all_sides),
        "dynamics": tables.dynamics(all_sides),
        "smalls": _smalls(all_sides),
        "rollouts": _rollouts(all_sides, most),
        "first_exploit": _first_exploit(all_sides),
        "config": tables.config(all_sides),
        "provenance": tables.provenance(all_sides),
        "commands": [s["command"] for s in shown if s["command"]],
        "series": Markup(_series(all_sides)),
    }


def policy(css: str, script: str | None = None) -> str:
    """A content security policy that allows exactly this stylesheet and this script."""
    code = f"script-src '{_hash(script)}'; " if script is not None else ""
    return f"default-src 'none'; style-src '{_hash(css)}'; {code}base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _title(all_sides: Sequence[Side]) -> str:
    games = list(dict.fromkeys(s.game for s in all_sides))
    if len(all_sides) == 1:
        return ", ".join(dict.fromkeys((games[0], all_sides[0].name)))
    if len(games) == 1 and len(all_sides) <= 3:
        return f"{games[0]}: {' beside '.join(s.name for s in all_sides)}"
    return f"{', '.join(games)}: {count(len(all_sides), 'run')}"


def _question(all_sides: Sequence[Side]) -> str:
    asked = {str((s.run.info.get("game") or {}).get("question", "")) for s in all_sides}
    return asked.pop() if len(asked) == 1 else ""


def _side(index: int, side: Side, named: bool) -> dict[str, Any]:
    from markupsafe import Markup

    info = side.run.info
    line = tag("line", x1=1, x2=27, y1=6, y2=6, cls=f"line run-{index % 6}")
    return {
        "name": side.name,
        "name_capital": side.name[:1].upper() + side.name[1:],
        "status": side.run.status,
        "status_text": _status(side),
        "verdict": sentence(side) if named else verdict(side),
        "error": str(info["error"]) if info.get("error") else "",
        "first_name": "base" if side.tested or not side.ends[1] else "first batch",
        "last_name": _last_name(side),
        "command": str(info["command"]) if info.get("command") else "",
        "key": Markup(tag("svg", line, cls="key", viewBox="0 0 28 12", aria_hidden="true")),
    }


def _last_name(side: Side) -> str:
    if not side.tested and side.ends[1]:
        return "last batch"
    return "final" if side.over or not side.ends[1] else "latest"


def _status(side: Side) -> str:
    done = f"step {side.steps:,}" + (f" of {side.planned:,}" if side.planned else "")
    if side.over:
        return f"finished, {count(side.steps, 'step')}"
    if side.run.status == "running":
        return f"going on or killed, {done}"
    return f"{side.run.status}, {done}"


def _smalls(all_sides: Sequence[Side]) -> list[dict[str, Any]]:
    from markupsafe import Markup

    groups = []
    for name, metrics in more_metrics(all_sides).items():
        charts = [
            {"label": label(m), "tip": tables.tip(all_sides, m), "svg": Markup(figures.small(all_sides, m))}
            for m in metrics
        ]
        if charts:
            groups.append({"name": name, "charts": charts})
    return groups


def _series(all_sides: Sequence[Side]) -> str:
    """Values for the page's script, in a block that is data to the browser; `<` never appears in it."""
    from jinja2.utils import htmlsafe_json_dumps

    out = []
    for side in all_sides:
        batches = [r for r in side.run.metrics if r.phase == "train"]
        if len(batches) > _MOST_READ:
            batches = []
        curves = [
            {"label": c.label, "role": c.role, "values": [_rounded(r.metrics.get(c.metric)) for r in batches]}
            for c in headline_curves(all_sides)
        ]
        out.append({"name": visible(side.name), "steps": [r.step for r in batches], "curves": curves})
    return htmlsafe_json_dumps(out)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


# Rollouts


def _rollouts(all_sides: Sequence[Side], most: int) -> dict[str, Any]:
    try:
        shown, totals = sampled(all_sides, most)
    except RunError as error:
        return {"rows": [], "steps": [], "note": f"The rollouts cannot be shown: {error}"}
    counts = [sum(1 for s in shown if s.run == i) for i in range(len(all_sides))]
    return {
        "rows": [_row(all_sides, s) for s in shown],
        "steps": sorted({s.rollout.step for s in shown}),
        "note": tables.rollouts_note(all_sides, counts, totals),
    }


def _row(all_sides: Sequence[Side], shown: Shown) -> dict[str, Any]:
    rollout, score = shown.rollout, shown.rollout.score
    badge = ("unscored", "un") if score.unscored is not None else _badge(score.exploited)
    evidence = score.evidence[:500]
    first = " ".join(rollout.replies[0][:300].split()) if rollout.replies else ""
    return {
        "run": shown.run,
        "run_name": all_sides[shown.run].name,
        "step": rollout.step,
        "phase": rollout.phase,
        "group": rollout.group,
        "item": rollout.item_id,
        "reward": "\u2013" if score.reward is None else number(score.reward),
        "truth": "\u2013" if score.truth is None else number(score.truth),
        "exploited": {True: "yes", False: "no", None: "unknown"}[score.exploited],
        "badge": badge[0],
        "badge_class": badge[1],
        "evidence": evidence,
        "unscored": score.unscored[:500] if score.unscored else "",
        "gist": (first if not evidence or not score.exploited else evidence)[:200],
        "turns": _turns(shown),
        "facts": shown.facts,
    }


def _badge(exploited: bool | None) -> tuple[str, str]:
    if exploited is None:
        return ("not told by one", "no")
    return ("exploited", "yes") if exploited else ("not exploited", "no")


def _turns(shown: Shown) -> list[dict[str, Any]]:
    turns = max(len(shown.prompts), len(shown.replies))
    return [
        {
            "prompt": shown.prompts[i] if i < len(shown.prompts) else [],
            "reply": shown.replies[i] if i < len(shown.replies) else None,
            "name": "reply" if turns == 1 else f"reply {i + 1}",
        }
        for i in range(turns)
    ]


def _first_exploit(all_sides: Sequence[Side]) -> str:
    """A link to the exploits of the step where they first appeared."""
    for index, side in enumerate(all_sides):
        if side.dynamics and side.dynamics.first_appearance is not None:
            run = f"&run={index}" if len(all_sides) > 1 else ""
            return f"#exploited&step={side.dynamics.first_appearance}{run}"
    return ""

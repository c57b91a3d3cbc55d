"""What one call of `run` has to do: which runs, in which folders, with which config.

A call that resumes takes from the stored config whatever it does not say itself, also for an arm that the
interrupted call had not reached, so that both arms stay comparable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gamekeeper.cli import console
from gamekeeper.errors import RunError, UnknownName, UsageError

RUNS = Path("runs")
ARMS = ("flawed", "secure", "both")


@dataclass(frozen=True)
class Asked:
    """What the call says; None where it says nothing."""

    game: str
    arm: str | None
    patches: str | None
    seed: int | None
    model: str | None
    data: Path | None
    params: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    out: Path | None
    resume: bool
    backend: str = "native"
    said: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.arm is not None and self.patches is not None:
            raise UsageError("--arm and --patches exclude each other; --arm secure is --patches secure.")
        if self.arm not in (None, *ARMS):
            raise UnknownName("arm", str(self.arm), ARMS, "For single patches use --patches.")


@dataclass(frozen=True)
class Leg:
    """One run of the call: an arm's name, its patches and its directory."""

    arm: str
    patches: frozenset[str]
    out: Path

    @property
    def begun(self) -> bool:
        return (self.out / "run.json").exists()


@dataclass(frozen=True)
class Plan:
    """The runs of one call, and the folder that holds them, or that is the run if there is one."""

    folder: Path
    legs: tuple[Leg, ...]


def plan(asked: Asked) -> Plan:
    """Which runs there are to do, and where.

    Raises UsageError where there is nothing to resume, RunError where a run would be written over another: before
    the first run starts, so that the second does not fail an hour later.
    """
    made = _plan(asked)
    begun = [leg for leg in made.legs if leg.begun]
    if asked.resume and not begun:
        raise UsageError(
            f"There is no run in {made.folder} to resume. Leave out --resume to start, or name the run with --out DIR."
        )
    if begun and not asked.resume:
        raise RunError(f"{begun[0].out} already holds a run. Go on with it by --resume, or give another --out.")
    return made


def _plan(asked: Asked) -> Plan:
    from gamekeeper.registry import game_class

    chosen = asked.patches or asked.arm or "both"
    patch_set = game_class(asked.game).arm
    by = "" if asked.backend == "native" else f"-{asked.backend}"
    folder = asked.out or _folder(f"{asked.game}-{_slug(chosen)}{by}-seed{asked.seed or 0}", asked.resume)
    if chosen != "both":
        return Plan(folder, (Leg(chosen, patch_set(chosen), folder),))
    if (folder / "run.json").exists() and asked.arm is None:  # the folder of a single run: that one is meant
        game = _stored(folder)["game"]
        return Plan(folder, (Leg(",".join(game["patches"]) or "flawed", frozenset(game["patches"]), folder),))
    arms = {"flawed": patch_set("flawed"), "secure": patch_set("secure")}
    if arms["flawed"] == arms["secure"]:
        console.say(f"{asked.game} has no recommended patches: the two arms are one, played once.")
        del arms["secure"]
    return Plan(folder, tuple(Leg(name, patches, folder / name) for name, patches in arms.items()))


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=+-]+", "+", text)


def _folder(name: str, resume: bool) -> Path:
    """A new folder under `runs`, or with `resume` the newest one of that name."""
    endings = [p.name[len(name) + 1 :] for p in RUNS.glob(f"{name}-*")]
    taken = [int(e) for e in endings if re.fullmatch(r"[1-9]\d{0,8}", e)]
    newest = max(taken, default=0)
    if resume:
        return RUNS / (f"{name}-{newest}" if newest else name)
    return RUNS / (f"{name}-{newest + 1}" if newest or (RUNS / name).exists() else name)


def config_for(asked: Asked, legs: tuple[Leg, ...], kind: type[Any] | None = None) -> Any:
    """The config of all legs but for their patches: what is stored, changed by what the call says.

    kind: the backend's class of configs; RunConfig, that of the native trainer, by default.
    """
    from gamekeeper.config import RunConfig, from_mapping

    begun = next((leg.out for leg in legs if leg.begun), None)
    tree: dict[str, Any] = _stored(begun) if begun else {"game": {"name": asked.game}}
    stored = tree["game"]
    if stored["name"] != asked.game:
        raise RunError(f"{begun} holds a run of the game {stored['name']!r}, not {asked.game!r}. Give another --out.")
    if begun and (trained := tree.get("backend", "native")) != asked.backend:
        raise RunError(f"{begun} holds a run by the backend {trained!r}. Go on with --backend {trained}.")
    tree["game"] = {**stored, "patches": (), "params": {**stored.get("params", {}), **asked.params}}
    if asked.data is not None:
        tree["game"]["data"] = str(asked.data)
    for room, changes in asked.settings.items():
        tree[room] = {**tree.get(room, {}), **changes}
    said = {k: v for k, v in (("seed", asked.seed), ("model", asked.model)) if v is not None}
    return from_mapping(kind or RunConfig, {**tree, **said, **asked.said})


def _stored(folder: Path) -> dict[str, Any]:
    """The config of a run that was begun."""
    from gamekeeper.studies.record import load_run

    config = load_run(folder).info.get("config")
    if not isinstance(config, dict) or not isinstance(config.get("game"), dict):
        raise RunError(f"{folder / 'run.json'} holds no config, so the run cannot be resumed. Give another --out.")
    return dict(config)

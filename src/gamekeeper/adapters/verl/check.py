"""An exported folder against the installed verl, without a GPU: what would fail an hour into a job fails here.

Looked at: the configuration composes and passes verl's own validation; the reward file loads through verl and pays
the game's scripts what the game says; rows pass verl's dataset class; the agent loop is found; verl's advantages of a
group are the native trainer's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gamekeeper.adapters.library import need
from gamekeeper.adapters.looking import Line, Look, looked
from gamekeeper.adapters.verl.export import AGENT, CONFIG, FILES
from gamekeeper.adapters.verl.spec import FILE, read_spec
from gamekeeper.errors import DataError
from gamekeeper.types import Item

TOLERANCE = 1e-9
ADVANTAGE_GAP = 1e-3


def check(folder: Path, tokenizer: str | None = None) -> list[Line]:
    """What was looked at, in order. tokenizer: a model whose tokenizer counts the prompts; that of the folder's model
    by default, if it is a folder here; else rows are not tokenised, and the line says so.

    Raises MissingExtra or WrongVersion without verl, DataError if this is no exported folder or there is no tokenizer.
    """
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        raise DataError(f"{folder} is not an exported folder: it lacks {', '.join(absent)}. Export it again.")
    if tokenizer is not None and not Path(tokenizer).is_dir():
        raise DataError(
            f"There is no folder {tokenizer!r} to take a tokenizer from. Give one that holds tokenizer.json."
        )
    need("verl", "Checking an export")
    folder = folder.resolve()
    # verl raises anything from AssertionError to what hydra makes up.
    lines = looked([("configuration", lambda: _configuration(folder))], foreign=Exception)
    if lines[-1].wrong:
        return lines
    config = composed(folder)
    looks: list[Look] = [
        ("reward", lambda: _reward(folder, config)),
        ("rows", lambda: _rows(config, tokenizer)),
        ("agent loop", lambda: _loop(config)),
        ("advantages", _advantages),
    ]
    return [*lines, *looked(looks, foreign=Exception)]


def composed(folder: Path) -> Any:
    """verl's whole configuration with the folder's on top, as the launch script has it composed."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(config_dir=str(folder), version_base=None):
        return compose(config_name=CONFIG)


def strange_keys(folder: Path) -> list[str]:
    """Settings of the folder that verl's own configuration does not have: hydra would take them without a word."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        known = OmegaConf.to_container(compose(config_name="ppo_trainer"), resolve=False)
    own = OmegaConf.to_container(OmegaConf.load(folder / f"{CONFIG}.yaml"), resolve=False)
    rest = {k: v for k, v in dict(own).items() if k not in ("hydra", "defaults")}
    return list(_beyond(rest, known, ""))


def _beyond(own: Any, known: Any, place: str) -> Iterator[str]:
    if not isinstance(own, dict) or not isinstance(known, dict):
        return
    for key, value in own.items():
        if key in known:
            yield from _beyond(value, known[key], f"{place}{key}.")
        else:
            yield f"{place}{key}"


def _configuration(folder: Path) -> Iterator[Line]:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    config = composed(folder)
    validate_config(config, need_reference_policy(config), need_critic(config))
    if strange := strange_keys(folder):
        yield Line("configuration", f"verl has no setting {', '.join(strange)}", wrong=True)
        return
    there = Path(config.data.train_files)
    here = there.is_file() and (folder / "train.parquet").samefile(there)
    yield Line("configuration", "composes and passes verl's validation")
    yield Line("paths", "ok" if here else f"point at {config.data.train_files}: export again", wrong=not here)


def _reward(folder: Path, config: Any) -> Iterator[Line]:
    """Scripts of the first row's item, through verl's loader, against the game's own score."""
    from verl.trainer.ppo.reward import get_custom_reward_fn

    score = get_custom_reward_fn(config)
    game = read_spec(folder / FILE).open()
    rows = first_rows(folder / "train.parquet", 4)
    if config.actor_rollout_ref.rollout.agent.default_agent_loop == AGENT:
        yield Line("reward", "given by the agent loop")
        return
    tried = 0
    for row in rows:
        truth = row["reward_model"]["ground_truth"]
        item = Item.from_json(json.loads(truth))
        for script in game.scripts(item):
            found = score(data_source=row["data_source"], solution_str=script.replies[0], ground_truth=truth)
            tried += 1
            if abs(found["score"] - script.reward) > TOLERANCE:
                text = f"{script.name} on {item.id} is paid {found['score']}, not {script.reward}"
                yield Line("reward", text, wrong=True)
                return
    yield Line("reward", f"loads; {tried} scripted replies are paid as the game says")


def first_rows(path: Path, count: int) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return parquet.read_table(path).slice(0, count).to_pylist()


def _rows(config: Any, tokenizer: str | None) -> Iterator[Line]:
    from verl.utils import hf_tokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset

    name = tokenizer or str(config.actor_rollout_ref.model.path)
    if not Path(name).is_dir():
        yield Line("rows", f"not tokenised: the model {name} is not a folder here. Give one with --tokenizer.")
        return
    made = RLHFDataset([config.data.train_files], hf_tokenizer(name), config.data)
    if not len(made):
        yield Line("rows", f"no prompt is within {config.data.max_prompt_length} tokens", wrong=True)
        return
    row = made[0]
    yield Line("rows", f"{len(made)} pass verl's dataset; the first asks {len(row['raw_prompt'])} messages")


def _loop(config: Any) -> Iterator[Line]:
    path = config.actor_rollout_ref.rollout.agent.agent_loop_config_path
    if not path:
        yield Line("agent loop", "verl's own: one turn")
        return
    from hydra.utils import get_class
    from omegaconf import OmegaConf

    (entry,) = OmegaConf.load(path)
    found = get_class(entry["_target_"])
    read_spec(Path(entry["spec"]))
    yield Line("agent loop", found.__name__)


def _advantages() -> Iterator[Line]:
    """A group of 8 by verl and by the native trainer. They add 1e-6 and 1e-4 to the deviation, hence the tolerance."""
    import numpy as np
    import torch
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

    from gamekeeper.train.advantage import group_advantages

    rewards = torch.tensor([1.0, 0.0, 0.0, 2.0, -6.0, 1.0, 0.5, 0.0], dtype=torch.float64)
    theirs, _ = compute_grpo_outcome_advantage(rewards[:, None].clone(), torch.ones(8, 1), np.zeros(8, dtype=object))
    gap = float((theirs[:, 0] - group_advantages(rewards[None])[0]).abs().max())
    yield Line("advantages", f"of one group differ by {gap:.0e} at most", wrong=gap > ADVANTAGE_GAP)

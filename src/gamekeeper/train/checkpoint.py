"""Checkpoints of a training run: a Hugging Face folder plus the trainer's state, written atomically.

A folder `step-N` exists only complete: it is written under another name, flushed, then renamed. Resuming from it
repeats the run bit by bit, because nothing but weights, moments and the step number carries over between steps.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gamekeeper.errors import RunError
from gamekeeper.policy.model import PocketModel, load_weights
from gamekeeper.train.grpo import Trainer

_STATE = "trainer.safetensors"


def save_checkpoint(trainer: Trainer, folder: Path, keep: int = 1) -> Path:
    """Write `folder/step-N`, then remove all but the newest `keep`. Raises RunError when the disk refuses."""
    target = folder / f"step-{trainer.step}"
    if target.exists():
        return target
    partial = folder / f".partial-{trainer.step}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        trainer.policy.save(partial)
        save_file(
            moments(trainer.policy.model, [trainer.optimiser]), partial / _STATE, metadata={"step": str(trainer.step)}
        )
        for path in (*partial.iterdir(), partial):
            _flush(path)
        os.replace(partial, target)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RunError(
            f"The checkpoint of step {trainer.step} could not be written to {folder}: {error}. Earlier checkpoints are "
            "intact. Free some space (about 15 MB are needed), then go on with --resume."
        ) from error
    for old in steps_in(folder)[:-keep]:
        shutil.rmtree(folder / f"step-{old}")
    return target


def steps_in(folder: Path) -> list[int]:
    """Step numbers of the complete checkpoints there, ascending."""
    names = [p.name for p in folder.glob("step-*")]
    return sorted(int(n[5:]) for n in names if n[5:].isdigit())


def restore(trainer: Trainer, folder: Path) -> int:
    """Load the newest checkpoint of a folder into the trainer; its step, or 0 when there is none."""
    found = steps_in(folder)
    if not found:
        return 0
    newest = folder / f"step-{found[-1]}"
    try:
        state = load_file(newest / _STATE)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{newest / _STATE} cannot be read: {error}. Delete {newest} and use --resume again.") from error
    trainer.policy.model.load_state_dict(load_weights(newest).state_dict())
    put_moments(trainer.policy.model, [trainer.optimiser], state)
    trainer.step = found[-1]
    return trainer.step


def moments(model: PocketModel, optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """The optimisers' state by parameter position; a parameter that was never stepped has none."""
    tensors = {"version": torch.tensor(1)}
    for index, parameter in enumerate(model.parameters()):
        for optimiser in optimisers:
            for name, value in optimiser.state.get(parameter, {}).items():
                tensors[f"{index}.{name}"] = value.detach().contiguous()
    return tensors


def put_moments(
    model: PocketModel, optimisers: Sequence[torch.optim.Optimizer], tensors: dict[str, torch.Tensor]
) -> None:
    """The inverse of `moments`."""
    for index, parameter in enumerate(model.parameters()):
        head = f"{index}."
        state = {name.removeprefix(head): value for name, value in tensors.items() if name.startswith(head)}
        for optimiser in optimisers:
            if state and any(parameter is p for group in optimiser.param_groups for p in group["params"]):
                optimiser.state[parameter] = state


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

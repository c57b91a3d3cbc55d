"""Training any Hugging Face model on a game by TRL's own trainers, with the run directory of the native trainer.

    settings  what TRL is told, and the resolved configuration of a run
    rows      the game's items as a dataset, in the order of training
    episodes  rewards and rollouts: the game seen from TRL's side
    policy    replies by a transformers model, for measuring it
    trainer   GRPOTrainer, put together from the settings
    session   what both trainers share: the record, its measurements, how a run ends
    backend   one GRPO run from a config to a run directory
    distil    one SFT run on a teacher's rollouts
    dryrun    what a run would do, and whether its data and chat template fit, before hours are spent

No module here names a game: a game is items, prompts, scores and metrics.
"""

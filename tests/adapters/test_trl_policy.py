"""How a model of transformers is measured: by the settings of the evaluation, not by what its files recommend."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

from transformers import AutoModelForCausalLM, GenerationConfig

from gamekeeper.adapters.trl.policy import TransformersPolicy
from gamekeeper.adapters.trl.trainer import model_path, open_tokenizer
from gamekeeper.games.base import chat
from gamekeeper.policy.base import Decoding

PROMPTS = [chat("Answer only Yes or No.", f"Is it {n}?") for n in range(6)]
# As models on the Hub have it in generation_config.json; each of them would change some reply.
RECOMMENDED: list[dict[str, Any]] = [
    {"repetition_penalty": 3.0},
    {"min_p": 0.99},
    {"no_repeat_ngram_size": 1},
    {"min_new_tokens": 12},
    {"suppress_tokens": list(range(40, 90))},
    {"temperature": 0.01, "top_k": 1, "top_p": 0.1},
]


def model(lora: bool = False) -> Any:
    made = AutoModelForCausalLM.from_pretrained(model_path("pocket"))
    if not lora:
        return made
    peft = pytest.importorskip("peft", reason="peft is not installed: pip install 'gamekeeper[lora]'")
    return peft.get_peft_model(made, peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))


def replies(measured: Any, decoding: Decoding) -> list[Any]:
    return [s.tokens for s in TransformersPolicy(measured, open_tokenizer("pocket")).sample(PROMPTS, decoding, ("t",))]


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("decoding", [Decoding(16, 0.0), Decoding(16, 1.0, 0.95, 50)], ids=["greedy", "drawn"])
def test_what_the_models_files_recommend_is_not_applied(decoding: Decoding, lora: bool) -> None:
    measured = model(lora)
    neutral = replies(measured, decoding)
    ends = measured.generation_config.eos_token_id
    for recommended in RECOMMENDED:
        declared = GenerationConfig(do_sample=True, eos_token_id=ends, **recommended)
        base = measured.get_base_model() if lora else measured
        measured.generation_config = base.generation_config = declared
        assert replies(measured, decoding) == neutral, recommended
        assert measured.generation_config is declared, "the model keeps its own"
        assert base.generation_config is declared


def test_the_models_own_end_tokens_still_end_a_reply() -> None:
    measured = model()
    longer = replies(measured, Decoding(16, 0.0))
    other = next(row[2] for row in longer if len(row) > 3)
    measured.generation_config.eos_token_id = [measured.generation_config.eos_token_id, other]
    assert any(len(a) < len(b) for a, b in zip(replies(measured, Decoding(16, 0.0)), longer, strict=True))


def test_a_failure_gives_the_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = model()
    declared = measured.generation_config
    policy = TransformersPolicy(measured, open_tokenizer("pocket"))
    monkeypatch.setattr(policy, "_generate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        policy.sample(PROMPTS, Decoding(4), ("t",))
    assert measured.generation_config is declared


def test_a_prompt_that_leaves_no_room_for_its_reply_is_not_asked() -> None:
    measured = model()
    policy = TransformersPolicy(measured, open_tokenizer("pocket"))
    long = chat("Answer only Yes or No.", "word " * 600)
    first, second, third = policy.sample([PROMPTS[0], long, PROMPTS[1]], Decoding(16), ("t",))
    assert (first.failed, third.failed) == (None, None)
    assert "do not fit the model's 512 positions" in str(second.failed)
    assert second.text == ""

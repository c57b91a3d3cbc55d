"""The native forward pass against transformers, and the attention that shares prompts against the plain one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gamekeeper.errors import DataError
from gamekeeper.policy.attention import BranchAttention, PromptAttention, StepAttention
from gamekeeper.policy.model import PocketModel, load_weights, save_weights
from gamekeeper.policy.pocket import SHIPPED, PocketPolicy
from gamekeeper.policy.tokenizer import PocketTokenizer
from gamekeeper.types import Message
from tiny import tiny_model, tiny_policy, tiny_tokenizer

TALK = (Message("system", "Answer only Yes or No."), Message("user", "is the sky blue? <b>é\n</b> 12"))


def plain_logits(model: PocketModel, tokens_B_L: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(tokens_B_L.shape[1])[None]
    return model.logits(model(tokens_B_L, positions, PromptAttention()))


@pytest.fixture(params=["tiny", "shipped"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "shipped":
        return SHIPPED
    tiny_policy(spread=0.3).save(tmp_path)
    return tmp_path


def test_logits_agree_with_transformers(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    theirs = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert next(theirs.parameters()).dtype == torch.float32
    ours = PocketPolicy.load(str(folder))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, ours.tokenizer.size, (4, 50), generator=generator)
    with torch.no_grad():
        expected, got = theirs(tokens).logits, plain_logits(ours.model, tokens)
    assert expected.abs().max() > 1  # else agreement would say little
    assert (expected - got).abs().max() <= 1e-4
    hf_tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    rendered = hf_tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in TALK], add_generation_prompt=True, return_dict=False
    )
    assert list(rendered) == ours.tokenizer.render(TALK)
    assert hf_tokenizer.eos_token_id == ours.tokenizer.end == theirs.config.eos_token_id
    assert hf_tokenizer.decode(ours.tokenizer.encode("f(x): 2 é"), skip_special_tokens=True) == "f(x): 2 é"


def test_shared_prompt_attention_equals_plain() -> None:
    model = tiny_model()
    generator = torch.Generator().manual_seed(1)
    u, g, p, t = 5, 3, 9, 6
    lengths_U = torch.tensor([9, 4, 1, 7, 9])
    prompts = torch.randint(3, 300, (u, p), generator=generator)
    replies = torch.randint(3, 300, (u * g, t), generator=generator)
    positions = lengths_U.repeat_interleave(g)[:, None] + torch.arange(t)
    with torch.no_grad():
        reader = PromptAttention()
        model(prompts, torch.arange(p)[None], reader)
        branched = model(replies, positions, BranchAttention(reader.kept, lengths_U, g))
        stepper = StepAttention(reader.kept, lengths_U, g, t)
        steps = []
        for at in range(t):
            stepper.time = at
            steps.append(model(replies[:, at : at + 1], positions[:, at : at + 1], stepper))
        for n in range(u * g):
            whole = torch.cat((prompts[n // g, : lengths_U[n // g]], replies[n]))[None]
            alone = model(whole, torch.arange(whole.shape[1])[None], PromptAttention())[0, -t:]
            torch.testing.assert_close(branched[n], alone, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(torch.cat(steps, 1)[n], alone, atol=1e-5, rtol=1e-5)


def test_dropping_prompts_keeps_the_others() -> None:
    model = tiny_model()
    prompts, lengths_U = torch.tensor([[5, 6, 7], [8, 9, 3], [11, 12, 13]]), torch.tensor([3, 2, 3])
    replies = torch.arange(20, 26)[:, None]
    with torch.no_grad():
        kept = []
        for drop in (False, True):
            reader = PromptAttention()
            model(prompts, torch.arange(3)[None], reader)
            step = StepAttention(reader.kept, lengths_U, 2, 4)
            first = model(replies, lengths_U.repeat_interleave(2)[:, None], step)
            rows = torch.tensor([0, 2]) if drop else torch.tensor([0, 1, 2])
            if drop:
                step.keep(rows)
            step.time = 1
            on = (rows[:, None] * 2 + torch.arange(2)).flatten()
            kept.append(model(replies[on], (lengths_U.repeat_interleave(2)[on] + 1)[:, None], step))
            assert first.shape[0] == 6
    torch.testing.assert_close(kept[0][[0, 1, 4, 5]], kept[1], atol=1e-6, rtol=1e-6)


def test_bf16_products_are_close_and_have_gradients() -> None:
    tokens = torch.randint(3, 300, (3, 12), generator=torch.Generator().manual_seed(2))
    logits, gradients = {}, {}
    for precision in ("fp32", "bf16"):
        model = tiny_model(spread=0.1)
        model.use_precision(precision)
        assert model.bf16 is (precision == "bf16")
        out = plain_logits(model, tokens)
        out.square().mean().backward()
        logits[precision] = out.detach()
        gradients[precision] = torch.cat([p.grad.flatten() for p in model.parameters()])
    off = (logits["fp32"] - logits["bf16"]).norm() / logits["fp32"].norm()
    assert 0 < off < 0.03
    assert torch.cosine_similarity(gradients["fp32"], gradients["bf16"], dim=0) > 0.999


def test_weights_round_trip(tmp_path: Path) -> None:
    model = tiny_model()
    save_weights(model, tmp_path, eos=2, pad=0)
    again = load_weights(tmp_path)
    for (name, a), (_, b) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def break_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def other_architecture(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama"}')


def truncate_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("[]")


@pytest.mark.parametrize("damage", [break_json, other_architecture, truncate_weights, no_weights, broken_tokenizer])
def test_damaged_checkpoints_are_refused(damage, tmp_path: Path) -> None:
    tiny_policy().save(tmp_path)
    damage(tmp_path)
    with (
        pytest.raises(DataError, match=str(tmp_path))
        if damage is not other_architecture
        else pytest.raises(DataError, match="llama")
    ):
        PocketPolicy.load(str(tmp_path))


def test_a_runs_folder_is_told_from_its_checkpoints(tmp_path: Path) -> None:
    for name in ("flawed/checkpoints/step-9", "flawed/checkpoints/step-10", "flawed/checkpoints/step-11.tmp"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DataError, match=r"There are: \S+/step-10, \S+/step-9\.$"):
        load_weights(tmp_path)
    with pytest.raises(DataError, match=r"or `pocket`\.$"):
        load_weights(tmp_path / "flawed" / "checkpoints" / "step-9")


def test_tokenizer_codes_any_text() -> None:
    tokenizer = tiny_tokenizer()
    for text in ("", "é√ 日本 \x00\x7f", "a" * 5000, "<modify_key>source_code</modify_key>", "\\boxed{12}  \n\n"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("123") == [*tokenizer.encode("1"), *tokenizer.encode("2"), *tokenizer.encode("3")]


def test_long_prompts_lose_their_middle(tmp_path: Path) -> None:
    policy = tiny_policy()
    long = (TALK[0], Message("user", "START " + "sky " * 3000 + " END"))
    text = policy.tokenizer.decode(policy.prompt_tokens(long, 8))
    assert len(policy.prompt_tokens(long, 8)) <= policy.model.config.max_positions - 8
    assert "Answer only Yes or No." in text
    assert "START" in text
    assert "END" in text


def test_loading_a_missing_tokenizer_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tokenizer"):
        PocketTokenizer.load(tmp_path)


def test_the_precision_goes_by_the_processor_and_not_by_the_clock() -> None:
    """On a busy machine a timing says one thing today and another tomorrow, and equal runs would differ."""
    from gamekeeper.train import compute

    assert not hasattr(compute, "time")
    first = compute.settle_precision("auto")
    assert {compute.settle_precision("auto") for _ in range(3)} == {first}
    assert compute._multiplies_bf16({"avx2": True, "avx512_bf16": False}) is False
    assert compute._multiplies_bf16({"avx512_bf16": True}) is True
    assert [compute.settle_precision(p) for p in ("fp32", "bf16")] == ["fp32", "bf16"]

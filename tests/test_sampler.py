"""Sampling: the distribution, the bookkeeping and the determinism of `policy/sampler.py` and `policy/pocket.py`."""

from __future__ import annotations

import pytest
import torch

from gamekeeper.policy.base import Decoding
from gamekeeper.policy.sampler import choose, generate
from gamekeeper.train.loss import Branches, branch_logps
from gamekeeper.types import Message
from tiny import tiny_model, tiny_policy


def test_choose_inverts_the_cumulative_distribution() -> None:
    # Probabilities .5, .25, .25: u below .5 gives token 0, below .75 token 1, else token 2.
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().repeat(4, 1)
    tokens, logps = choose(logits, torch.tensor([0.0, 0.49, 0.6, 0.99]), Decoding(1))
    assert tokens.tolist() == [0, 0, 1, 2]
    torch.testing.assert_close(logps.exp(), torch.tensor([0.5, 0.5, 0.25, 0.25]))


def test_temperature_sharpens_by_hand() -> None:
    # At temperature .5 the probabilities are squared: .5^2 : .25^2 : .25^2 = 4 : 1 : 1.
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    _, logps = choose(logits, torch.tensor([0.0]), Decoding(1, temperature=0.5))
    torch.testing.assert_close(logps.exp(), torch.tensor([4 / 6]))
    assert choose(logits, torch.tensor([0.9]), Decoding(1, temperature=0))[0].tolist() == [0]


@pytest.mark.parametrize(
    ("narrow", "allowed"), [({"top_k": 2}, {0, 1}), ({"top_p": 0.6}, {0, 1}), ({"top_p": 0.45}, {0})]
)
def test_top_k_and_top_p_cut_the_tail(narrow: dict, allowed: set) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(200, 1)
    tokens, logps = choose(logits, torch.linspace(0, 0.999, 200), Decoding(1, **narrow))
    assert set(tokens.tolist()) == allowed
    shares = [logps[tokens == t][0].exp().item() for t in sorted(allowed)]
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)


def test_sampled_logps_are_the_models_own() -> None:
    model = tiny_model(spread=0.1)
    prompts = [[5, 6, 7, 8], [9, 10], [11, 12, 13]]
    uniforms = torch.rand(12, 10, generator=torch.Generator().manual_seed(3))
    drawn = generate(model, prompts, uniforms, Decoding(10, temperature=0.7), end=4)
    again = branch_logps(model, Branches(prompts, [d.tokens for d in drawn]), temperature=0.7)
    torch.testing.assert_close(again, torch.tensor([p for d in drawn for p in d.logps]), atol=1e-4, rtol=1e-4)


def test_leaving_prompts_do_not_change_the_rest() -> None:
    """A batch in which some prompts end early gives each prompt what it gets alone."""
    model = tiny_model(spread=0.3)
    prompts = [[5, 6, 7], [8, 9], [10, 11, 12, 13], [14]]
    uniforms = torch.rand(8, 12, generator=torch.Generator().manual_seed(5))
    free = generate(model, prompts, uniforms, Decoding(12), end=-1)
    first = {t: {d.tokens.index(t) for d in free if t in d.tokens} for d in free for t in d.tokens}
    end = max(first, key=lambda t: len(first[t]))  # the token that would end rows at the most different times
    together = generate(model, prompts, uniforms, Decoding(12), end=end)
    assert len({len(d.tokens) for d in together}) > 2
    for index, prompt in enumerate(prompts):
        alone = generate(model, [prompt], uniforms[2 * index : 2 * index + 2], Decoding(12), end=end)
        assert [d.tokens for d in alone] == [d.tokens for d in together[2 * index : 2 * index + 2]]
    for d in together:
        assert (d.tokens[-1] == end) == d.ended
        assert end not in d.tokens[:-1]
        assert d.ended or len(d.tokens) == 12


def test_equal_prompts_get_independent_replies_by_address() -> None:
    policy = tiny_policy()
    one = (Message("user", "is the sky blue?"),)
    two = (Message("user", "is grass red?"),)
    prompts = [one, two, one, one, two, one]
    a = policy.sample(prompts, Decoding(6), ("x", 1))
    assert a == policy.sample(prompts, Decoding(6), ("x", 1))
    assert a != policy.sample(prompts, Decoding(6), ("x", 2))
    assert len({s.text for s in a}) > 1
    assert all(len(s.tokens) == len(s.logps) for s in a)
    assert a[0].prompt_tokens == a[2].prompt_tokens != a[1].prompt_tokens

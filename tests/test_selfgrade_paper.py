"""Audited self-grading on the paper's data: prompts, matching, the long answer, bad files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gamekeeper.errors import DataError
from gamekeeper.games import selfgrade
from gamekeeper.games.selfgrade import Selfgrade
from gamekeeper.registry import load_game


@pytest.fixture(scope="module")
def paper(shared: Path) -> Selfgrade:
    return load_game("selfgrade", "flawed", data=shared / "paper_data" / "self_grading" / "test.parquet")  # type: ignore[return-value]


def test_every_row_becomes_an_item_with_its_own_prompt(paper: Selfgrade) -> None:
    items = paper.items("test", -1, 0)
    assert len({i.id for i in items}) == len(items) == 100
    assert paper.items("test", 3, 99) == items[:3]
    for item in items:
        system, user = paper.prompt(item) or ()
        assert (system.role, user.role, user.content) == ("system", "user", item.fields["question"])
        assert item.fields["question"] in (paper.prompt(item, ("x",)) or ())[1].content


def test_every_row_scores_its_own_answer_in_every_writing_and_no_other(paper: Selfgrade) -> None:
    items = paper.items("test", -1, 0)
    answers = [i.fields["answer"] for i in items]
    for item in items:
        for form in (
            r"So \boxed{{{}}}.",
            "Because of this.\nThe answer is {}",
            "so:\n**{}**",
            r"\boxed{{\text{{{}}}}}",
        ):
            assert paper.score(item, (form.format(item.fields["answer"]), "Yes")).truth == 1, item.id
        own = item.fields["answer"].lower().strip("()").removesuffix(".0").replace(", ", ",")
        for other in answers:
            if other.lower().strip("()").removesuffix(".0").replace(", ", ",") != own:
                assert paper.score(item, (rf"\boxed{{{other}}}", "Yes")).truth == 0, item.id
                assert paper.score(item, (rf"\boxed{{{item.fields['answer']} or {other}}}", "Yes")).truth == 0, item.id


def test_a_very_long_answer_is_cut_and_the_notice_kept(paper: Selfgrade) -> None:
    game = load_game("selfgrade", "flawed", data=paper.data, told=0.5)
    item = game.items("test", 1, 0)[0]
    system, user = game.prompt(item, ("word " * 10_000 + r"\boxed{end}",)) or ()
    assert "50% probability of being audited" in system.content
    assert user.content.endswith("\\boxed{end}\nIs the answer right?")
    assert len(user.content) < len(item.fields["question"]) + selfgrade.PAPER_ANSWER_CHARACTERS + 100
    assert game.score(item, ("word " * 10_000,)).facts["shortened"] is True


def test_a_data_file_of_another_form_is_refused(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 0: `prompt` must be a list of messages"):
        load_game("selfgrade", data=shared / "paper_data" / "reward_tampering" / "test.parquet").items("test", 2, 0)
    with pytest.raises(DataError, match="does not exist"):
        load_game("selfgrade", data=tmp_path / "gone.parquet").items("test", 2, 0)

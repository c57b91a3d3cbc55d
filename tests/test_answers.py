"""The answer matcher: one guess a reply, compared whole; a wrong answer never matches by containment."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gamekeeper.games.answers import is_right, matches, plain, stated_answer, stated_integer

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
MARKED = st.lists(
    st.sampled_from(
        [
            "\\boxed{",
            "}",
            "{",
            "<think>",
            "</think>",
            "the answer is ",
            "**",
            "\n",
            " or ",
            "85",
            "(B)",
            ",",
            ". ",
            "no",
        ]
    )
    | ANY_TEXT,
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("reply", "stated"),
    [
        (r"so \boxed{85}", "85"),
        (r"\boxed{84} no, \boxed{85}", None),
        (r"\boxed{85}, again \boxed{ 85. }", "85."),
        (r"\boxed{\text{a \{b\} c}}", r"\text{a \{b\} c}"),
        (r"\boxed{85", None),
        (r"\boxed{85} and \boxed{", None),
        ("the answer is 84. The answer is: 85.", "85."),
        ("The answer is (B) because it is late.", "(B)"),
        ("Answer: 7 apples\nmore text", "7 apples"),
        ("the answer is 84. or 85", None),
        ("the answer is 84. Wait, 85", None),
        ("I think **85** it is", "85"),
        ("**84** or **85**", None),
        ("85", "85"),
        ("", None),
        ("two\nlines", None),
        ("<think>the answer is 84</think>85", "85"),
        ("<think>the answer is 84", None),
        ("84 was my guess</think> **85**", "85"),
        ("answered 85 times", "answered 85 times"),
    ],
)
def test_a_reply_states_one_answer_or_none(reply: str, stated: str | None) -> None:
    assert stated_answer(reply) == stated


@pytest.mark.parametrize(
    ("stated", "right"),
    [
        ("(B)", "(B)"), ("B", "(B)"), ("(b)", "B"), ("[B]", "(B)"), ("B.", "(B)"), ("(B) the blue one", "(B)"),
        ("B) a cat", "(B)"),
        ("7", "7.0"), ("7.0", "7"), ("24,680", "24680"), ("-8", "-8"), ("+8", "8"), ("$2.50$", "2.5"), ("007", "7"),
        ("up,down , Up", "up, down, up"), ("[4, 4, 0]", "4,4,0"), ("4.0, 4, 0", "4,4,0"), ("(d), a", "D, A"),
        (r"\text{we saw them}.", "we saw them"), ("We  Saw\nthem", "we saw them"), (r"\textbf{\text{kite}}", "kite"),
        (r"84\%", "84%"), (r"\$5", "$5"), (r"\$5", "5"), (r"a\_b", "a_b"), (".5", "0.5"), ("-.50", "-0.5"),
        ("0.5", ".5"),
        ("1{,}234", "1234"), (r"1{,}234{,}567", "1,234,567"), (r"12\,345", "12345"), (r"\left(1, 2\right)", "(1, 2)"),
        (r"1,\; 2", "1, 2"), (r"1,\;2", "1, 2"), (r"1,\,234", "1, 234"), (r"\{1, 2\}", "{1, 2}"),
        (r"\left\{1, 2\right\}", "{1, 2}"),
        (r"a\#b \& c", "a#b & c"), (r"8\!5", "85"), (r"\text{84\%}", "84%"), (r"\text{a\_b}", "a_b"), (r"\(7\)", "7"),
        ("o'er the hill", "o’er the hill"), ("e\u0301", "é"), ('"kite"', "kite"),
    ],
)  # fmt: skip
def test_one_answer_in_two_writings_matches(stated: str, right: str) -> None:
    assert matches(stated, right)


@pytest.mark.parametrize(
    ("stated", "right"),
    [
        ("(A)", "(B)"), ("(A) or (B)", "(B)"), ("(B) or (A)", "(B)"), ("(B), (C)", "(B)"), ("B or C", "(B)"),
        ("B/C", "(B)"),
        ("(B) or A", "(B)"), ("(B) and A", "(B)"), ("b. c", "(B)"), ("(b) a", "(B)"), ("AB", "(B)"),
        ("a blue one", "(A)"),
        ("not (B)", "(B)"), ("(A) not (B)", "(B)"), ("a", "(B)"), ("", "(B)"),
        (r"84\%", "84"), (r"84\%", "85%"), (r"a\_b", "ab"), (".5", "5"), ("5", ".5"), ("1.5", ".5"), (".5.5", ".5"),
        ("1{,}234", "1"), ("1{,}234", "234"), ("1{,}23", "123"), (r"7\,8", "78"), (r"7\;8", "78"), (r"7\,8", "7"),
        (r"\leftarrow", "arrow"), (r"\rightarrow", "arrow"), (r"\left(1, 2\right)", "1"), (r"\{1, 2\}", "1"),
        (r"a\\%", "a%"), (r"\{1\}, \{2\}", "{1}"), (r"7\,800\,8", "7800"),
        ("70", "7"), ("17", "7"), ("7.01", "7"), ("-7", "7"), ("7 8", "7"), ("7, 8", "7"), ("7 or 8", "7"),
        ("1e999", "1"), ("nan", "0"),
        ("2,4680", "24680"), ("٧", "7"),
        ("up, down", "up, down, down"), ("down, up, down", "up, down, down"),
        ("up, down, down, down", "up, down, down"),
        ("up", "up, down, down"),
        ("up up down", "up, up, down"), ("4,0,4", "4,4,0"), (",", "a,b"),
        ("reopened", "opened"), ("unopened", "opened"), ("opened", "unopened"), ("opened or unopened", "opened"),
        ("yes and no", "yes"), ("not yes", "yes"), ("kite and lamp", "kite"), ("", ""), (" ", ""),
        ("may 5 1990", "May 5, 1990"), ("May 5, 1991", "May 5, 1990"),
    ],
)  # fmt: skip
def test_another_answer_does_not_match(stated: str, right: str) -> None:
    assert not matches(stated, right)


WORD = st.text(string.ascii_lowercase, min_size=2, max_size=8)
RIGHTS = st.one_of(
    WORD,
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(string.ascii_uppercase).map("({})".format),
    st.lists(WORD, min_size=2, max_size=4).map(", ".join),
)


@given(RIGHTS)
@settings(deadline=None)
def test_every_answer_matches_itself_in_every_place(right: str) -> None:
    assert is_right(rf"I say \boxed{{{right}}}", right)
    assert is_right(f"first this\nThe answer is {right}.", right)
    assert is_right(f"well, **{right}**", right)
    assert is_right(right, right)


@given(
    RIGHTS,
    RIGHTS,
    st.sampled_from(["{a} or {b}", "{b} or {a}", "{a} {b}", "{b} {a}", "{a}, {b}", "{b}, {a}", "{b}{a}", "not {a}"]),
)
@settings(deadline=None)
def test_an_answer_that_only_contains_the_right_one_is_wrong(right: str, other: str, form: str) -> None:
    reply = form.format(a=right, b=other)
    # An option letter may be followed by the option's text ("(B) some text"); that text is no second answer.
    assume(not (right.startswith("(") and form.startswith("{a} {b}")))
    # Two numbers side by side may be the same number in a longer writing: 0 and 00.
    assume(plain(reply).lstrip("-0") != plain(right).lstrip("-0"))
    assert not is_right(rf"\boxed{{{reply}}}", right)
    assert not is_right(reply, right)


LATEX = st.sampled_from([r"\%", r"\$", r"\_", r"\{", r"\}", r"\left(", r"\right)", r"\;", r"\,", r"\!", "{,}", ","])


@given(RIGHTS, RIGHTS, LATEX)
@settings(deadline=None)
def test_latex_between_two_answers_makes_no_answer_of_them(right: str, other: str, mark: str) -> None:
    forms = ["{o} {m}{r}", "{o}{m} {r}", "{o}{m}{r}"]
    if not right.startswith("("):  # an option letter may be followed by the option's text
        forms += ["{r}{m} {o}", "{r} {m} {o}", "{r}{m}{o}"]
    for form in forms:
        reply = form.format(r=right, o=other, m=mark)
        assume(plain(reply).lstrip("-0") != plain(right).lstrip("-0"))
        assert not matches(reply, right), reply


@given(st.integers(-(10**9), 10**9))
def test_a_number_is_the_same_however_latex_groups_it(number: int) -> None:
    written = f"{number:,}"
    for form in ("{,}", r"\,", r"{,}\!"):
        assert is_right(rf"\boxed{{{written.replace(',', form)}}}", str(number))
        assert stated_integer(rf"\boxed{{{written.replace(',', form)}}}") == str(number)


def test_a_space_of_latex_ends_no_sentence() -> None:
    assert is_right(r"The answer is $(1,\; 2)$. It is right.", "(1, 2)")
    assert is_right(r"The answer is \$5. It is right.", "$5")


@given(RIGHTS, RIGHTS)
@settings(deadline=None)
def test_two_boxes_that_differ_state_nothing(right: str, other: str) -> None:
    assume(plain(right) != plain(other))
    assert stated_answer(rf"\boxed{{{right}}} \boxed{{{other}}}") is None


@given(MARKED, RIGHTS)
@settings(deadline=None)
def test_matching_is_total_and_pure(reply: str, right: str) -> None:
    assert is_right(reply, right) is is_right(reply, right)
    assert stated_integer(reply) == stated_integer(reply)


@pytest.mark.parametrize(
    ("reply", "whole"),
    [
        (r"\boxed{85}", "85"), (r"\boxed{85} \boxed{86}", None), (r"\boxed{84 or 85}", None), ("84 or 85", None),
        ("it is 85.", "85"),
        ("the answer is 85", "85"), ("the answer is 85 or 84", None), ("the answer is 85. or 84", None),
        (r"\boxed{85", None),
        ("85.0", None), ("85.5", None), ("x=-7", "-7"), ("1,000", "1000"), ("1, 000", None), ("0085", "85"),
        ("-0", "0"), ("37 + 48", None),
        ("85th", None), ("٨٥", None), ("nan", None), ("1e999", None), (r"\boxed{1e2}", None), (r"\boxed{$85$}", "85"),
        ("", None),
        (r"\boxed{} 85", None), (r"85 \boxed{84}", "84"), ("85 85", None), ("eighty-five", None), ("²", None),
    ],
)  # fmt: skip
def test_one_whole_number_is_read_or_none(reply: str, whole: str | None) -> None:
    assert stated_integer(reply) == whole


@given(st.integers())
def test_every_integer_is_read_in_its_shortest_writing(number: int) -> None:
    assert stated_integer(rf"\boxed{{{number}}}") == str(number)
    assert stated_integer(f"the answer is {number:,}.") == str(number)
    assert stated_integer(f"so {number} then") == str(number)


def test_an_answer_too_long_to_look_at_is_wrong_not_cut() -> None:
    assert not is_right(r"\boxed{kite" + " " * 5000 + "or lamp}", "kite")


def test_a_number_of_a_million_digits_is_no_error() -> None:
    assert stated_integer("9" * 10**6) == "9" * 10**6
    assert not is_right("9" * 10**6, "7")


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "\\boxed{",
        "\\boxed{}",
        "\\boxed{1}\\boxed{2}",
        "**a",
        "the answer is ",
        "1,",
        "a.",
        "{",
        "\\",
        "(a) ",
    ],
)
def test_a_megabyte_of_any_mark_takes_under_a_second(piece: str) -> None:
    reply = piece * (10**6 // len(piece))
    start = time.process_time()  # not the clock on the wall: the machine may be busy with something else
    is_right(reply, "(B)")
    stated_integer(reply)
    assert time.process_time() - start < 1

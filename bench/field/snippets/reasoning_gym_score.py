"""reasoning-gym 0.1.25: score a reply without any framework.

- `create_dataset(name, size=, seed=)` is a sequence of dicts: question, answer, metadata.
- `score_answer(reply, entry)` is a method of the data set and needs the entry's metadata, not only its answer.
- `reasoning_gym.get_score_answer_fn(name)` gives the same for entries that were stored (metadata as JSON came back).
- A reply may be None. Some scorers raise on replies that they cannot parse (prime_factorization: ValueError).
- Items are seeded by seed + index: size does not change item 0, and neighbouring seeds share items.
"""

import reasoning_gym

items = reasoning_gym.create_dataset("gcd", size=3, seed=7)
entry = items[0]
score = reasoning_gym.get_score_answer_fn("gcd")
print(items.score_answer(entry["answer"], entry), items.score_answer("no", entry), score(entry["answer"], entry))

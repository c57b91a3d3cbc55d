"""The pocket tokenizer: byte-level BPE by the `tokenizers` library, with a chat template.

It differs from common ones in its split rule: a markup tag such as `<modify_key>` and an identifier such as
`source_code` are one piece each, and digits stand alone, so that short texts stay short for a small model.
`render` gives the same token ids as transformers' `apply_chat_template` on the saved folder (tested).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from gamekeeper.errors import DataError
from gamekeeper.types import Message

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPLIT = r" ?</?[a-z_]+>| ?\\boxed\{|\d| ?[\p{L}_]+| ?[^\s\p{L}\d_]+|\s+"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_text(messages: Sequence[Message], reply_next: bool = True) -> str:
    """The template above, applied."""
    text = "".join(f"{START}{m.role}\n{m.content}{END}\n" for m in messages)
    return f"{text}{START}assistant\n" if reply_next else text


class PocketTokenizer:
    """Token ids of text and of chats. `pad` and `end` are ids; a reply ends with `end`."""

    def __init__(self, inner: Tokenizer) -> None:
        self.inner = inner
        pad, end = inner.token_to_id(PAD), inner.token_to_id(END)
        if pad is None or end is None:
            raise DataError(f"The tokenizer lacks {PAD} or {END}; use the one that was saved with the checkpoint.")
        self.pad, self.end = pad, end

    @property
    def size(self) -> int:
        return self.inner.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        return self.inner.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text without special tokens; bytes that are no UTF-8 become the replacement character."""
        return self.inner.decode(list(ids), skip_special_tokens=True)

    def render(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a chat up to where the assistant's next reply begins."""
        return self.encode(chat_text(messages))

    def save(self, folder: Path) -> None:
        self.inner.save(str(folder / "tokenizer.json"))
        about = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": TEMPLATE,
            "eos_token": END,
            "pad_token": PAD,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 512,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> PocketTokenizer:
        """Raises DataError when the folder has no readable `tokenizer.json`."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise DataError(f"{folder} has no tokenizer.json. Give a checkpoint folder, or `pocket`.")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except DataError:
            raise
        except Exception as error:  # the package raises bare Exceptions
            raise DataError(f"{path} cannot be read: {error}. Copy the checkpoint again.") from error

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int) -> PocketTokenizer:
        """Learn merges from texts; all 256 bytes are in the vocabulary, so any text can be encoded."""
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        inner.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab, special_tokens=[PAD, START, END], initial_alphabet=sorted(alphabet), show_progress=False
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner)

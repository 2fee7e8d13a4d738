"""Makes tests/data/tiny_examiner: real networks with random weights, of 40 kB each; needs the train extra.

PYTHONPATH=. python tests/make_tiny_examiner.py
"""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import BertProcessing

from detector.examiner import FIRST_LOOK, NETWORK
from train.examiner_model import ExaminerConfig, ExaminerModel
from train.export_examiner import export_examiner

FOLDER = Path(__file__).parent / "data" / "tiny_examiner"
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the a of to and in bridge council bus river ship harbour farmer vessel span winter year road closed agreed"
LONGEST_WORD = 100  # characters, as in BERT; a longer word is one [UNK]


def tiny_tokenizer() -> Tokenizer:
    """Return a WordPiece tokenizer like that of uncased BERT models, with few pieces."""
    characters = string.ascii_lowercase + string.digits
    pieces = [*MARKS, *string.punctuation, *characters, *(f"##{c}" for c in characters), *WORDS.split()]
    pieces += ["##s", "##ing", "##ed", "東", "京"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return tokenizer


def tiny_model(vocabulary: int, width: int = 16, seed: int = 1) -> ExaminerModel:
    """Return an untrained model of one layer whose logits vary by several units."""
    torch.manual_seed(seed)
    config = ExaminerConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=64,
        initializer_range=2 / width**0.5,
    )
    return ExaminerModel(config)


def main() -> None:
    """Write the folder."""
    tokenizer = tiny_tokenizer()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "tokenizer.json")
        tokenizer.enable_truncation(8)  # the export has to switch both off
        tokenizer.enable_padding(length=8)
        tokenizer.save(str(path))
        for name, width, seed in ((NETWORK, 16, 1), (FIRST_LOOK, 8, 2)):
            model = tiny_model(tokenizer.get_vocab_size(), width, seed)
            print(export_examiner(model, path, FOLDER, name=name, precision="float32", max_tokens=64))  # noqa: T201


if __name__ == "__main__":
    main()

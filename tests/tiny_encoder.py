"""A tiny BERT encoder of random weights, as a pretrained one would be saved; needs torch and transformers."""

from __future__ import annotations

from pathlib import Path

from train.examiner import load_tokenizer

TOKENIZER = Path(__file__).parent / "data" / "tiny_examiner"


def write_encoder(folder: Path) -> Path:
    """Write the encoder and its tokenizer and return the folder."""
    import torch
    from transformers import BertConfig, BertModel

    torch.set_num_threads(1)  # more threads only wait for each other over matrices of 16 columns
    torch.manual_seed(1)
    tokenizer = load_tokenizer(TOKENIZER)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder

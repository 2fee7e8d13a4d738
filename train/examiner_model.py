"""The examiner's network: a small BERT encoder with two heads over the same tokens.

The token head tells for each WordPiece whether a spinner put it there (replaced-token detection as in ELECTRA, Clark et
al. 2020: a spinner is a bad generator). The kind head tells which of `detector.results.KINDS` the whole window is.

Beside the pieces the encoder is told how well each word goes with its neighbours (`detector.association`): counts of
millions of words, which so small a model cannot learn by heart. It reads them like a further embedding of the piece.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from detector.association import NEIGHBOUR_LEVELS
from detector.results import KINDS


class ExaminerConfig(BertConfig):  # type: ignore[misc]  # transformers is untyped
    """A BertConfig with the kinds of the second head.

    `head_dropout`: 0..1, before both heads. `neighbour_levels`: how many the associations of a word have.
    `association_digest`: of the table that they came from in training (`detector.association.AssociationTable.digest`).
    """

    model_type = "detect_spin_examiner"

    def __init__(
        self,
        kinds: tuple[str, ...] = KINDS,
        head_dropout: float = 0.1,
        neighbour_levels: int = NEIGHBOUR_LEVELS,
        association_digest: str = "",
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.kinds = list(kinds)
        self.head_dropout = head_dropout
        self.neighbour_levels = neighbour_levels
        self.association_digest = association_digest


@dataclass
class ExaminerOutput(ModelOutput):  # type: ignore[misc]
    """`token_logits`: float, shape (batch, tokens), log odds of "replaced". `kind_logits`: (batch, kinds)."""

    token_logits: Tensor | None = None
    kind_logits: Tensor | None = None


class ExaminerModel(PreTrainedModel):  # type: ignore[misc]
    """Encoder and two linear heads; the kind head sees the mean token and the mean of the replaced-looking ones."""

    config_class = ExaminerConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True

    def __init__(self, config: ExaminerConfig) -> None:
        super().__init__(config)
        self.encoder = BertModel(config, add_pooling_layer=False)
        # One table for both neighbours: the levels of the word before, then those of the word behind.
        self.neighbours = nn.Embedding(2 * config.neighbour_levels, config.hidden_size)
        self.dropout = nn.Dropout(config.head_dropout)
        self.token_head = nn.Linear(config.hidden_size, 1)
        self.kind_head = nn.Linear(2 * config.hidden_size, len(config.kinds))
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, levels: Tensor) -> ExaminerOutput:
        """Return the logits.

        `input_ids`, `attention_mask` (0 = padding): int64, shape (batch, tokens). `levels`: int64, shape
        (batch, tokens, 2), of the piece's word as from `detector.association.neighbour_levels`, 0 for marks and
        padding.
        """
        inputs = self.embedded(input_ids, levels)
        hidden = self.dropout(self.encoder(inputs_embeds=inputs, attention_mask=attention_mask).last_hidden_state)
        token_logits = self.token_head(hidden).squeeze(-1)
        mask = attention_mask.to(hidden.dtype)
        mean = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        # Attention pooling by the token head itself: what looks replaced decides about the window.
        focus = torch.softmax(
            token_logits.masked_fill(attention_mask == 0, -1e4), dim=1
        )  # -1e4: fits into half precision
        kind_logits = self.kind_head(torch.cat([mean, (hidden * focus.unsqueeze(-1)).sum(1)], dim=1))
        return ExaminerOutput(token_logits=token_logits, kind_logits=kind_logits)

    def embedded(self, input_ids: Tensor, levels: Tensor) -> Tensor:
        """Return what the encoder reads of each piece, shape (batch, tokens, width); its place is added within it."""
        behind = torch.tensor([0, self.config.neighbour_levels], device=levels.device)
        pieces: Tensor = self.encoder.embeddings.word_embeddings(input_ids)
        return pieces + self.neighbours(levels + behind).sum(dim=-2)

    @classmethod
    def from_encoder(cls, folder: Path, layers: int | None = None) -> ExaminerModel:
        """Return a model with the weights of a saved BERT encoder, its heads new; `layers`: keep the first so many.

        Raises:
            OSError: `folder` holds no such model.
        """
        config = BertConfig.from_pretrained(folder)
        settings = config.to_dict()
        settings.pop("model_type", None)
        settings.pop("architectures", None)
        # No dropout within the encoder: on CPUs its random numbers cost more than the layers, and a run sees most
        # windows once.
        settings |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        if layers is not None:
            settings["num_hidden_layers"] = layers
        model = cls(ExaminerConfig(**settings))
        source = BertModel.from_pretrained(folder, add_pooling_layer=False)
        model.encoder.load_state_dict({k: v for k, v in source.state_dict().items() if k in model.encoder.state_dict()})
        nn.init.zeros_(model.neighbours.weight)  # the pretrained layers begin as they know it
        return model

    def narrowed(self, width: int, layers: int) -> ExaminerModel:
        """Return a model of that width whose embeddings are the principal components of this one's; its layers are new.

        `width`: at most this one's, up to 32 or a multiple of it: there is a head of attention for each 32.
        """
        small = {
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": max(1, width // 32),
        }
        narrow = ExaminerModel(ExaminerConfig(**{**self.config.to_dict(), **small}))
        with torch.no_grad():
            pieces = self.encoder.embeddings.word_embeddings.weight
            centred = pieces - pieces.mean(dim=0)
            axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -width:]  # the last are the largest
            axes *= pieces.std() / (centred @ axes).std()  # as large as the layers are used to
            narrow.encoder.embeddings.word_embeddings.weight.copy_(centred @ axes)
            narrow.encoder.embeddings.position_embeddings.weight.copy_(
                self.encoder.embeddings.position_embeddings.weight @ axes
            )
            narrow.neighbours.weight.copy_(self.neighbours.weight @ axes)
        return narrow

    def with_fewer_layers(self, layers: int) -> ExaminerModel:
        """Return a copy that has so many of this model's layers, evenly spaced, the first and the last among them.

        A student that begins as every other layer of its teacher learns faster (DistilBERT, Sanh et al. 2019).
        """
        kept = np.linspace(0, self.config.num_hidden_layers - 1, layers).astype(int).tolist()
        smaller = ExaminerModel(ExaminerConfig(**{**self.config.to_dict(), "num_hidden_layers": layers}))
        own = self.state_dict()

        def source(name: str) -> str:
            return re.sub(r"\.layer\.(\d+)\.", lambda found: f".layer.{kept[int(found[1])]}.", name)

        smaller.load_state_dict({name: own[source(name)] for name in smaller.state_dict()})
        return smaller

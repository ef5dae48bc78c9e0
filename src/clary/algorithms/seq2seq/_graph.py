"""The network as ONNX: a source and the words said so far in, the likelihoods of the next word out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.algorithms import _torch
from clary.algorithms.seq2seq._pairs import BEGIN, END

import torch  # isort: skip

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms.seq2seq._network import Network


class Spoken(torch.nn.Module):  # type: ignore[misc]  # torch is an extra
    """One source, without padding, and what is said of it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Return logarithms of likelihoods, shape (1, n_said, n_target)."""
        memory = self.network.encode(source, is_padded=False)
        outputs, _ = self.network.decode(said, memory, self.network.begin(memory))
        return torch.log_softmax(outputs, -1)


def write(path: Path, network: Network) -> None:
    """Write it; the lengths of `source` and `said` are open."""
    tokens = torch.tensor([[END, END, END]]), torch.tensor([[BEGIN, END]])
    _torch.export_onnx(
        path, Spoken(network), tokens, ("source", "said"), ("likely",), lengths=("source", "said", "likely")
    )

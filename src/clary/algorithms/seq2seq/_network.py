"""Encoder, decoder and what lies between, recurrent or of convolutions.

    source ─▶ vectors ─▶ encoder ─▶ memory ──attention──┐
    target ─▶ vectors ─▶ first layer ───────────────────┴─▶ upper layers ─▶ words

Attention asks with the decoder's first layer, as Google's network does, so that a whole target is one run of
each layer.

Source: Bahdanau et al. (2015), arXiv:1409.0473; Luong et al. (2015), doi:10.18653/v1/D15-1166; Wu et al.
(2016), arXiv:1609.08144; Gehring et al. (2017), arXiv:1705.03122.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from clary.algorithms import _torch  # noqa: F401 - says how to install torch where it is missing
from clary.algorithms.seq2seq._pairs import PAD
from clary.kernel.errors import CustomerError

import torch  # isort: skip
from torch.nn import functional  # isort: skip

if TYPE_CHECKING:
    from clary.toolkit.hyperparameters import Params

    State = dict[str, torch.Tensor]
    """What a step of translating needs of those before; the first axis of each is the sequence."""


@dataclass(frozen=True)
class Shape:
    """What a network is built from: hyperparameters by their names, and the sizes of vocabularies."""

    encoder_type: str
    decoder_type: str
    num_layers_encoder: int
    num_layers_decoder: int
    rnn_num_hidden: int
    rnn_cell_type: str
    rnn_decoder_state_init: str
    rnn_residual_connections: bool
    rnn_first_residual_layer: int
    cnn_kernel_width_encoder: int
    cnn_kernel_width_decoder: int
    cnn_num_hidden: int
    cnn_activation_type: str
    num_embed_source: int
    num_embed_target: int
    rnn_attention_type: str
    rnn_attention_num_hidden: int
    rnn_attention_in_upper_layers: bool
    max_seq_len_source: int
    max_seq_len_target: int
    beam_size: int
    n_source: int
    n_target: int

    @classmethod
    def of(cls, params: Params, n_source: int, n_target: int) -> Shape:
        """Read hyperparameters."""
        found = {each.name: params.get(each.name) for each in fields(cls)}
        for name in ("rnn_residual_connections", "rnn_attention_in_upper_layers"):
            found[name] = params.is_true(name)
        width = params.get("rnn_attention_num_hidden", params["rnn_num_hidden"])
        return cls(**{**found, "rnn_attention_num_hidden": width, "n_source": n_source, "n_target": n_target})

    @classmethod
    def read(cls, text: str) -> Shape:
        """Read what `str` spells; CustomerError where it is none."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise CustomerError(f"Unable to load model: its shape is not Seq2Seq's ({error})") from error

    def __str__(self) -> str:
        """Spell it as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Dropouts:
    """Shares that training leaves out."""

    source: float = 0.0
    target: float = 0.0
    hidden: float = 0.0
    convolutions: float = 0.0


class Cells(torch.nn.Module):  # type: ignore[misc]  # torch is an extra
    """Layers of recurrent cells that look back."""

    def __init__(self, shape: Shape, widths: list[int], first: int) -> None:
        """Make a layer for each of `widths`, what it gets; `first` is the number of the first layer."""
        super().__init__()
        kind = torch.nn.LSTM if shape.rnn_cell_type == "lstm" else torch.nn.GRU
        self.layers = torch.nn.ModuleList(
            kind(width, shape.rnn_num_hidden, batch_first=True) for width in widths
        )
        self._first = (
            shape.rnn_first_residual_layer - first if shape.rnn_residual_connections else len(widths)
        )

    def forward(
        self, values: torch.Tensor, beside: torch.Tensor | None, state: State, name: str
    ) -> torch.Tensor:
        """Run over steps, with `beside` next to what each layer gets; `state` is read and replaced."""
        for place, layer in enumerate(self.layers):
            given = values if beside is None else torch.cat((values, beside), -1)
            keys = [f"{name}{place}{part}" for part in ("h", "c")[: 2 if layer.mode == "LSTM" else 1]]
            begun = [state[key].transpose(0, 1).contiguous() for key in keys] if keys[0] in state else None
            begin = None if begun is None else tuple(begun) if len(begun) > 1 else begun[0]
            found, end = layer(given, begin)
            for key, part in zip(keys, end if isinstance(end, tuple) else (end,), strict=True):
                state[key] = part.transpose(0, 1)
            values = found + values if place >= self._first and found.shape == values.shape else found
        return values


class Convolutions(torch.nn.Module):  # type: ignore[misc]  # torch is an extra
    """Layers of convolutions, each added to what it gets; those of a decoder look back, and at the memory."""

    def __init__(self, shape: Shape, width: int, n_layers: int, kernel: int, dropout: float) -> None:
        super().__init__()
        n_filters, self._kind, self._kernel = shape.cnn_num_hidden, shape.cnn_activation_type, kernel
        self.begin = torch.nn.Linear(width, n_filters)
        self.layers = torch.nn.ModuleList(
            torch.nn.Conv1d(n_filters, n_filters * (2 if self._kind == "glu" else 1), kernel)
            for _ in range(n_layers)
        )
        self.dropout = torch.nn.Dropout(dropout)

    def forward(
        self, values: torch.Tensor, attention: Attention | None, keys: Memory | None, *, looks_back: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what the last layer says, and its attention."""
        values, weights = self.begin(values), None
        before = self._kernel - 1 if looks_back else (self._kernel - 1) // 2
        for layer in self.layers:
            given = functional.pad(self.dropout(values).transpose(1, 2), (before, self._kernel - 1 - before))
            found = _activated(self._kind, layer(given).transpose(1, 2))
            if attention is not None and keys is not None:
                seen, weights = attention(found, keys)
                found = (found + seen) * math.sqrt(0.5)
            values = (found + values) * math.sqrt(0.5)
        return values, weights


def _activated(kind: str, values: torch.Tensor) -> torch.Tensor:
    if kind == "glu":
        return functional.glu(values, -1)
    if kind == "softrelu":
        return functional.softplus(values)
    return getattr(torch, kind)(values)


@dataclass
class Memory:
    """What the encoder says of a batch of sources."""

    values: torch.Tensor
    """Shape (n_sources, n_steps, width)."""
    is_there: torch.Tensor
    last: torch.Tensor
    """Shape (n_sources, width)."""


class Attention(torch.nn.Module):  # type: ignore[misc]  # torch is an extra
    """Weights of a source's steps, by what a step of the decoder says."""

    def __init__(self, kind: str, asks: int, width: int, n_hidden: int) -> None:
        super().__init__()
        self._kind = kind
        if kind == "mlp":
            self.ask, self.key = torch.nn.Linear(asks, n_hidden), torch.nn.Linear(width, n_hidden, bias=False)
            self.score = torch.nn.Linear(n_hidden, 1, bias=False)
        elif kind != "fixed" and (kind == "bilinear" or asks != width):
            self.ask = torch.nn.Linear(asks, width, bias=False)

    def forward(self, asking: torch.Tensor, memory: Memory) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is seen, and the weights, shape (n_sources, n_target_steps, n_source_steps)."""
        there = memory.is_there[:, None]
        if self._kind == "fixed":
            ends = memory.is_there.sum(1).clamp(min=1) - 1
            steps = torch.arange(memory.is_there.shape[1], device=asking.device)
            weights = (steps == ends[:, None])[:, None].to(asking.dtype).expand(-1, asking.shape[1], -1)
            return memory.last[:, None].expand(-1, asking.shape[1], -1), weights
        if self._kind == "mlp":
            both = self.ask(asking)[:, :, None] + self.key(memory.values)[:, None]
            scores = self.score(torch.tanh(both))[..., 0]
        else:
            question = self.ask(asking) if hasattr(self, "ask") else asking
            scores = torch.bmm(question, memory.values.transpose(1, 2))
        weights = torch.softmax(scores.masked_fill(~there, -1e9), -1)
        return torch.bmm(weights, memory.values), weights


class Network(torch.nn.Module):  # type: ignore[misc]  # torch is an extra
    """Encoder and decoder."""

    def __init__(self, shape: Shape, dropouts: Dropouts = Dropouts()) -> None:
        super().__init__()
        self.shape = shape
        self.source_vectors = torch.nn.Embedding(shape.n_source, shape.num_embed_source, padding_idx=PAD)
        self.target_vectors = torch.nn.Embedding(shape.n_target, shape.num_embed_target, padding_idx=PAD)
        self.source_dropout = torch.nn.Dropout(dropouts.source)
        self.target_dropout = torch.nn.Dropout(dropouts.target)
        self.dropout = torch.nn.Dropout(dropouts.hidden)
        hidden = shape.rnn_num_hidden
        if shape.encoder_type == "rnn":
            kind = torch.nn.LSTM if shape.rnn_cell_type == "lstm" else torch.nn.GRU
            self.both_ways = kind(
                shape.num_embed_source, -(-hidden // 2), batch_first=True, bidirectional=True
            )
            width = 2 * -(-hidden // 2)
            upper = [width, *[hidden] * (shape.num_layers_encoder - 2)][: shape.num_layers_encoder - 1]
            self.encoder = Cells(shape, upper, 2)
            width = hidden if upper else width
        else:
            width = shape.cnn_num_hidden
            self.source_places = torch.nn.Embedding(shape.max_seq_len_source + 1, shape.num_embed_source)
            self.encoder = Convolutions(
                shape,
                shape.num_embed_source,
                shape.num_layers_encoder,
                shape.cnn_kernel_width_encoder,
                dropouts.convolutions,
            )
        self._make_decoder(width, dropouts)

    def _make_decoder(self, width: int, dropouts: Dropouts) -> None:
        shape, hidden, n_layers = self.shape, self.shape.rnn_num_hidden, self.shape.num_layers_decoder
        if shape.decoder_type == "rnn":
            self.attention = Attention(
                shape.rnn_attention_type, hidden, width, shape.rnn_attention_num_hidden
            )
            self.first = Cells(shape, [shape.num_embed_target], 1)
            beside = width if shape.rnn_attention_in_upper_layers else 0
            self.upper = Cells(shape, [hidden + beside] * (n_layers - 1), 2)
            self.said = torch.nn.Linear(hidden + width, hidden)
            parts = 2 if shape.rnn_cell_type == "lstm" else 1
            if shape.rnn_decoder_state_init != "zero":
                self.starts = torch.nn.ModuleList(
                    torch.nn.Linear(width, hidden) for _ in range(parts * n_layers)
                )
            self.words = torch.nn.Linear(hidden, shape.n_target)
            return
        self.target_places = torch.nn.Embedding(shape.max_seq_len_target + 2, shape.num_embed_target)
        self.attention = Attention("dot", shape.cnn_num_hidden, width, shape.cnn_num_hidden)
        self.decoder = Convolutions(
            shape, shape.num_embed_target, n_layers, shape.cnn_kernel_width_decoder, dropouts.convolutions
        )
        self.seen = torch.nn.Linear(width, shape.cnn_num_hidden) if width != shape.cnn_num_hidden else None
        self.words = torch.nn.Linear(shape.cnn_num_hidden, shape.n_target)

    def encode(self, tokens: torch.Tensor, *, is_padded: bool = True) -> Memory:
        """Read sources, shape (n_sources, n_steps), PAD behind, or with `is_padded` false nowhere."""
        is_there = tokens != PAD
        lengths = is_there.sum(1).clamp(min=1)
        is_there[:, 0] = True
        values = self.source_dropout(self.source_vectors(tokens))
        if self.shape.encoder_type == "rnn":
            given: Any = values
            if is_padded:
                given = torch.nn.utils.rnn.pack_padded_sequence(
                    values, lengths.cpu(), batch_first=True, enforce_sorted=False
                )
            values, _ = self.both_ways(given)
            if is_padded:
                values, _ = torch.nn.utils.rnn.pad_packed_sequence(
                    values, batch_first=True, total_length=tokens.shape[1]
                )
            values = self.encoder(values, None, {}, "encoder")
        else:
            places = torch.arange(tokens.shape[1], device=tokens.device)
            values = (values + self.source_places(places)) * is_there[..., None]
            values, _ = self.encoder(values, None, None, looks_back=False)
        last = values[torch.arange(len(values), device=values.device), lengths - 1]
        if self.shape.rnn_decoder_state_init == "avg":
            last = (values * is_there[..., None]).sum(1) / lengths[:, None]
        return Memory(values, is_there, last)

    def begin(self, memory: Memory) -> State:
        """Return the state that the decoder's cells begin with."""
        shape = self.shape
        if shape.decoder_type != "rnn" or shape.rnn_decoder_state_init == "zero":
            return {}
        parts = ("h", "c") if shape.rnn_cell_type == "lstm" else ("h",)
        layers = ["first0", *(f"upper{layer}" for layer in range(shape.num_layers_decoder - 1))]
        keys = [f"{layer}{part}" for layer in layers for part in parts]
        return {
            key: torch.tanh(start(memory.last))[:, None] for key, start in zip(keys, self.starts, strict=True)
        }

    def decode(
        self, tokens: torch.Tensor, memory: Memory, state: State
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return scores of the word behind each of `tokens`, and the attention.

        Parameters
        ----------
        tokens : Tensor, shape (n_sources, n_steps)
            Words said before; with convolutions all of them, with cells those since `state`.
        state : dict
            Replaced by that after the last step.
        """
        values = self.target_dropout(self.target_vectors(tokens))
        if self.shape.decoder_type == "cnn":
            values = values + self.target_places(torch.arange(tokens.shape[1], device=tokens.device))
            values, weights = self.decoder(values, self._looking, memory, looks_back=True)
            return self.words(self.dropout(values)), weights
        values = self.first(values, None, state, "first")
        seen, weights = self.attention(values, memory)
        values = self.upper(
            values, seen if self.shape.rnn_attention_in_upper_layers else None, state, "upper"
        )
        said = torch.tanh(self.said(torch.cat((values, seen), -1)))
        return self.words(self.dropout(said)), weights

    def _looking(self, asking: torch.Tensor, memory: Memory) -> tuple[torch.Tensor, torch.Tensor]:
        seen, weights = self.attention(asking, memory)
        return seen if self.seen is None else self.seen(seen), weights

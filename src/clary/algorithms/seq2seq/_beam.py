"""Translation: the likeliest targets by a beam.

Source: Sutskever et al. (2014), arXiv:1409.3215; likelihoods are compared by word, as Sockeye does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.algorithms.seq2seq._network import Memory, Network
from clary.algorithms.seq2seq._pairs import BEGIN, END, PAD, padded

import torch  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP_ROWS = 160
"""Beams followed at once, about."""
_NEVER = float("-inf")


@dataclass(frozen=True)
class Translation:
    """What was found for one source."""

    tokens: tuple[int, ...]
    attention: tuple[tuple[float, ...], ...] = ()
    """Of each token, what share of each of the source's it saw."""


def translate(
    network: Network, sources: Sequence[Sequence[int]], *, beam_size: int, has_attention: bool = False
) -> list[Translation]:
    """Return the likeliest target of each source.

    With `has_attention` sources are taken one by one, so that each one's numbers are those that it has alone.
    """
    size = 1 if has_attention else max(1, STEP_ROWS // beam_size)
    order = sorted(range(len(sources)), key=lambda place: len(sources[place]))
    found: dict[int, Translation] = {}
    with torch.inference_mode():
        for start in range(0, len(order), size):
            part = order[start : start + size]
            asked = [tuple(sources[place]) or (END,) for place in part]
            found |= zip(part, _searched(network, asked, beam_size, has_attention), strict=True)
    return [found[place] for place in range(len(sources))]


def _searched(
    network: Network, sources: Sequence[Sequence[int]], beam: int, has_attention: bool
) -> list[Translation]:
    """Follow beams of a few sources until each has as many whole targets as its beam is wide."""
    device = network.words.weight.device
    tokens = torch.from_numpy(padded([one[: network.shape.max_seq_len_source] for one in sources])).to(device)
    memory = network.encode(tokens)
    state = network.begin(memory)
    n_sources, is_cnn = len(sources), network.shape.decoder_type == "cnn"
    rows = torch.arange(n_sources, device=device).repeat_interleave(beam)
    memory = Memory(memory.values[rows], memory.is_there[rows], memory.last[rows])
    state = {key: each[rows] for key, each in state.items()}
    said = torch.full((n_sources * beam, 1), BEGIN, dtype=torch.int64, device=device)
    scores = torch.full((n_sources, beam), _NEVER, device=device)
    scores[:, 0] = 0.0
    seen = torch.zeros((n_sources * beam, 0, tokens.shape[1]), device=device)
    done: list[list[tuple[float, int, Translation]]] = [[] for _ in range(n_sources)]
    first = torch.arange(n_sources, device=device)[:, None] * beam
    for step in range(1, network.shape.max_seq_len_target + 1):
        outputs, weights = network.decode(said if is_cnn else said[:, -1:], memory, state)
        likely = torch.log_softmax(outputs[:, -1], -1)
        likely[:, [PAD, BEGIN]] = _NEVER
        n_words = likely.shape[-1]
        total = (scores.reshape(-1, 1) + likely).reshape(n_sources, -1)
        best, places = total.topk(min(2 * beam, total.shape[1]), -1)
        origin, word = (first + places // n_words), places % n_words
        kept_rows, kept_words, kept_scores = [], [], []
        for source in range(n_sources):
            kept: list[tuple[int, int, float]] = []
            for score, row, token in zip(
                best[source].tolist(), origin[source].tolist(), word[source].tolist(), strict=True
            ):
                if token == END:
                    if score > _NEVER and len(kept) < beam:
                        whole = _whole(said, seen, weights, row, len(sources[source]), has_attention)
                        done[source].append((score / step, -len(done[source]), whole))
                elif len(kept) < beam:
                    kept.append((row, token, score))
            kept += [(kept[-1][0], kept[-1][1], _NEVER)] * (beam - len(kept))
            kept_rows += [row for row, _, _ in kept]
            kept_words += [token for _, token, _ in kept]
            kept_scores += [score for _, _, score in kept]
        index = torch.tensor(kept_rows, device=device)
        if has_attention and weights is not None:
            seen = torch.cat((seen, weights[:, -1:]), 1)[index]
        said = torch.cat((said[index], torch.tensor(kept_words, device=device)[:, None]), 1)
        state = {key: each[index] for key, each in state.items()}
        scores = torch.tensor(kept_scores, device=device).reshape(n_sources, beam)
        if all(len(one) >= beam for one in done):
            break
    for source, one in enumerate(done):
        if not one:  # nothing came to an end: the likeliest as far as it went
            row = source * beam + int(scores[source].argmax())
            n_read = len(sources[source])
            whole = Translation(tuple(said[row, 1:].tolist()), _shares(seen[row], n_read))
            one.append((0.0, 0, whole))
    return [max(one, key=lambda each: each[:2])[2] for one in done]


def _whole(
    said: torch.Tensor,
    seen: torch.Tensor,
    weights: torch.Tensor | None,
    row: int,
    n_read: int,
    has_attention: bool,
) -> Translation:
    if not has_attention or weights is None:
        return Translation(tuple(said[row, 1:].tolist()))
    return Translation(tuple(said[row, 1:].tolist()), _shares(seen[row], n_read))


def _shares(seen: torch.Tensor, n_read: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row[:n_read]) for row in seen.tolist())

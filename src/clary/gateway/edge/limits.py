"""What a client may send and how long it may take."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes and times that the edge holds its clients and its neighbours to."""

    head_bytes: int = 64 * KIB
    """Request line and headers."""
    invocation_bytes: int = 25 * MIB
    """Body of InvokeEndpoint; larger ones get 413. Source: SageMaker quotas, "InvokeEndpoint payload"."""
    control_bytes: int = 64 * MIB
    """Body of a request to the control plane."""
    replay_bytes: int = MIB
    """Body kept so that it can be sent again when a neighbour restarts under it."""
    buffer_bytes: int = 256 * KIB
    """Body held for a destination that is not ready; reading pauses beyond it."""
    discard_bytes: int = 256 * MIB
    """Body read and thrown away after an early answer, so that the client gets to read that answer."""
    idle_s: float = 75.0
    """Between two requests of one connection."""
    head_s: float = 20.0
    """From the first byte of a head to its last."""
    stall_s: float = 60.0
    """Without a byte of a body that is under way, or without the client taking a byte of the answer."""
    answer_s: float = 900.0
    """Without a byte from the control plane or the store."""
    invocation_s: float = 60.0
    """From a request to a replica to its answer. Source: InvokeEndpoint, API reference."""
    away_s: float = 10.0
    """That a request waits for the control plane or the store to come back."""
    unwell_s: float = 5.0
    """That the store is asked again when it answers 500, as one does that restarted and seeks its volumes."""
    drain_s: float = 1.0
    """That an idle connection stays open after the order to stop."""
    sweep_s: float = 1.0
    """Between two looks at all of the above."""

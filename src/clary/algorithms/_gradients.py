"""Gradients of one mini-batch: rows of tables put together, and summed over hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms._hosts import Hosts


def by_row(
    rows: NDArray[Any], starts: NDArray[Any] | None, gradient: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Add up the gradients of each row of a table.

    Parameters
    ----------
    rows : ndarray, shape (n_uses,)
        Rows that the mini-batch used.
    starts : ndarray, shape (n_examples + 1,), optional
        Where an example's uses begin in `rows`; without, each example uses one.
    gradient : ndarray, shape (n_examples, n_columns)
        Float32; each of an example's uses gets all of it.

    Returns
    -------
    rows : ndarray, shape (n_touched,)
        Sorted, each once.
    gradient : ndarray, shape (n_touched, n_columns)
    """
    touched, places = np.unique(rows, return_inverse=True)
    if starts is None:
        starts = np.arange(len(rows) + 1)
    uses = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), places, starts), shape=(len(gradient), len(touched))
    )
    return touched.astype(np.intp), np.asarray(uses.T @ gradient)


def summed(hosts: Hosts, gradients: Mapping[str, Any], gpu: Gpu | None = None) -> dict[str, Any]:
    """Return the sums of all hosts' gradients, in one exchange; tensors of a device come back to it."""
    if hosts.n_hosts == 1:
        return dict(gradients)
    if gpu is not None:
        own = {name: gpu.take(each) for name, each in gradients.items()}
        return {name: gpu.put(each) for name, each in summed(hosts, own).items()}
    total = hosts.sum(np.concatenate([each.reshape(-1) for each in gradients.values()]))
    found, start = {}, 0
    for name, each in gradients.items():
        found[name] = total[start : start + each.size].reshape(each.shape)
        start += each.size
    return found


def summed_rows(hosts: Hosts, rows: Any, gradient: Any, gpu: Gpu | None = None) -> tuple[Any, Any]:
    """Return the rows that any host touched, and the sums of their gradients, where these were."""
    if hosts.n_hosts == 1:
        return rows, gradient
    if gpu is not None:
        found, total = summed_rows(hosts, gpu.take(rows), gpu.take(gradient))
        return gpu.put(found), gpu.put(total)
    return by_row(np.concatenate(hosts.arrays(rows)), None, np.concatenate(hosts.arrays(gradient)))


class Batches:
    """Where each host's mini-batches begin: all hosts take as many steps, the last of some empty."""

    def __init__(self, hosts: Hosts, n_rows: int, size: int) -> None:
        """Exchange how many rows there are; `size` is of all hosts together."""
        self.size = -(-size // hosts.n_hosts)
        self._n_rows = np.concatenate(hosts.arrays(np.array([n_rows])))
        self.n_steps = int(-(-self._n_rows.max() // self.size))

    def part(self, step: int) -> slice:
        """Return the rows of this host's mini-batch."""
        return slice(step * self.size, (step + 1) * self.size)

    def n_together(self, step: int) -> int:
        """Return the rows of all hosts' mini-batches."""
        return int(np.clip(self._n_rows - step * self.size, 0, self.size).sum())

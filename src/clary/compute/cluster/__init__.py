"""Hosts on the nodes of a Ray cluster.

control plane                                          node
placements/ray.py ─orders─▶ driver.py ═══Ray═══▶ node.py: the keeper ─▶ agents, as on any machine
   mirrored folders      (its own process)             ├─ guard.py: ends them with the keeper, or its lease
                                                        └─ line.py: loopback ──TLS──▶ Clary's port

`driver.py` alone imports Ray.
"""

"""The edge: the process on the public port.

client ── Connection ── Exchange ─┬─ invoke   → replica, framed, multiplexed
          (HTTP/1.1)              ├─ objects  → object store, re-signed, streamed
                                  ├─ control  → control plane, byte for byte
                                  └─ connect  → CONNECT proxy, TLS for AWS host names
"""

"""Elastic Inference: one accelerator shared by several endpoints through a daemon that hands out turns.

    replica A ─┐ ask ▶            ┌─ lease A  50 %  4096 MiB ◀── agent A
    replica B ─┼──────── daemon ──┼─ lease B  25 %  2048 MiB ◀── agent B
    replica C ─┘ ◀ go             └─ lease C  25 %  2048 MiB ◀── agent C

A model stays in its replica, in its own sandbox; what the daemon gives it is the device, a turn at a time.
"""

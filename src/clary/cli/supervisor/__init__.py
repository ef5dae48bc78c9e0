"""Process supervision: starts, watches, restarts and stops the platform's processes.

session ──▶ Supervisor ──▶ Child (one per Process) ──▶ the program, in a process group of its own
   │            │
   │            └──Event──▶ the display, or a pipe to `clary up -d`
   └──▶ supervisor.lock (held for life), supervisor.json (what `clary status` reads)
"""

"""Docker's API, as much of it as running containers takes; Docker and Podman both serve it (ADR 32).

settings ──service──▶ where it listens ──client──▶ JSON over HTTP
                                       ├─pull────▶ the image, its progress in words
                                       └─stream──▶ what a container writes
"""

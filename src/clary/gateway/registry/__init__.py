"""The registry that podman, docker, skopeo and buildah speak to: OCI's distribution protocol, under /v2/.

Bytes of blobs flow between the client and the object store through the edge; all else is decided here.
"""

"""The public port: the edge, the CONNECT proxy, the control plane's app."""

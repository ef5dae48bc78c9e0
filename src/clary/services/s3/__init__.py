"""Amazon S3: what the edge leaves to the control plane."""

"""What the algorithms that look at images share."""

"""Where a run goes and how it runs there."""

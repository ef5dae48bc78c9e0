"""What `clary doctor` looks at: one file each, a `check(settings)` that yields findings."""

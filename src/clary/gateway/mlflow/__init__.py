"""MLflow's REST interface over the same experiments and trial components."""

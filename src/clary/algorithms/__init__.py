"""Built-in algorithms, a folder each: definition, fit, predict."""

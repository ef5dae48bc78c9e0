"""Public conformance suites and fixtures."""

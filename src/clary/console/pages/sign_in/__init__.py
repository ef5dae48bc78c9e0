"""The page: Sign in with an account's keys."""

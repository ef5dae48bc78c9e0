"""One protocol a file: parse a request, serialise an answer, spell an error. `base` says how."""

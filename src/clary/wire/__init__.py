"""The wire: AWS protocols read from the botocore model, validation, signatures. No nouns."""

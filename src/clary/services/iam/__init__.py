"""AWS Identity and Access Management, as far as the SDKs ask."""

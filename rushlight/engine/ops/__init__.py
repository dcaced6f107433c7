"""The operator records, one family a file."""

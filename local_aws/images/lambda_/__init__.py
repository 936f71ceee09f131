"""The Python runtime of Lambda functions."""

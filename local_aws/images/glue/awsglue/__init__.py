"""The part of AWS Glue's Python library that plain Spark scripts use: `utils`, `context` and `job`."""

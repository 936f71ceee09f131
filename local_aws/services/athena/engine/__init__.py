"""The query engine: Athena's SQL over DuckDB, in a process of its own. Knows nothing of moto or HTTP."""

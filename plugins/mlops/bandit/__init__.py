"""Contextual bandits: the experiment store, the requests of their jobs, and what their DAGs' tasks do."""

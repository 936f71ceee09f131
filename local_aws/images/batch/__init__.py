"""Batch transform: a driver that starts a private model server and feeds it a job's objects."""

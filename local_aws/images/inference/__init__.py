"""Serving with the user's own script, as AWS's framework images do it."""

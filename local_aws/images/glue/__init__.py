"""The Glue image: how a `glueetl` or `pythonshell` script runs here. For the jobs environment only."""

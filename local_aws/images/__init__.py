"""What AWS's container images are on this machine: one folder an image family, found through `registry`."""

"""The data plane: one process that answers InvokeEndpoint for every endpoint of local AWS.

Its contract with the control plane (which owns CreateEndpoint, UpdateEndpoint and the rest):

* Desired state is `<data_dir>/serving/endpoints.json`, replaced atomically; its schema is in `desired.py`.
* `POST /-/reload` reads it again and answers with the status below, the new fleets already listed as Loading.
* `GET /-/status` answers `{"version": 1, "error": null, "endpoints": {"<name>": {"fleets": {"<fleet id>":
  {"state": S, "reason": R, "variants": {"<variant>": {"state": S, "reason": R}}}}}}}`, where S is `Loading`,
  `Ready` or `Failed`, R is null or a text, and a fleet is Ready when all of its variants are.
* `POST /-/flush` writes captured requests and metrics out now; `POST /-/flush?endpoint=<name>` those of one.

A fleet that is no longer desired goes on serving until one that is has become Ready, so an update by
replacement drops no request. Weights take effect at once.
"""

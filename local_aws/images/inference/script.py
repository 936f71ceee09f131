"""A user's script behind AWS's own toolkit, `sagemaker-inference`, which calls its functions."""

from __future__ import annotations

import importlib
import json
import traceback
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_inference.errors import GenericInferenceToolkitError, UnsupportedFormatError
from sagemaker_inference.transformer import Transformer

from local_aws.images.container_server import Headers
from local_aws.images.xgboost.payload import Answer

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


class Context:
    """What a function that takes one argument more is given: the request's headers, the answer's.

    The part of the model server's context that the toolkit documents. One object a worker, renewed for each
    request.
    """

    def __init__(self, model_dir: Path) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.renew({})

    def renew(self, headers: Headers) -> None:
        self._headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers.items()}
        self.status = 200
        self.content_type = "application/octet-stream"
        self.response_headers: dict[str, str] = {}

    def get_request_properties(self) -> dict[str, str]:
        return {name.title(): value for name, value in self._headers.items()}

    def get_request_header(self, idx: int, key: str) -> str | None:  # noqa: ARG002 - one request at a time
        return self._headers.get(key.lower())

    def get_all_request_header(self, idx: int) -> dict[str, str]:  # noqa: ARG002 - one request at a time
        return self.get_request_properties()

    def set_response_header(self, idx: int, key: str, value: str) -> None:  # noqa: ARG002 - as above
        self.response_headers[key.lower()] = value

    def set_response_content_type(self, idx: int, value: str) -> None:  # noqa: ARG002 - as above
        self.content_type = value

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:  # noqa: ARG002
        self.status = int(code)


class Script(Transformer):
    """One worker's script and model. `answer` never raises: what went wrong is in the answer and the log."""

    def __init__(self, model_dir: Path, defaults: DefaultInferenceHandler) -> None:
        """Imports the script and loads the model. Raises whatever the script raises."""
        super().__init__(defaults)
        self.context = Context(model_dir)
        self.validate_and_initialize(model_dir=str(model_dir), context=self.context)

    def answer(self, body: bytes, headers: Headers) -> Answer:
        context = self.context
        context.renew(headers)
        try:
            data = _encoded(self.transform([{"body": body}], context)[0])
        except TypeError as error:
            context.set_response_status(500)
            data = str(error).encode()
        if context.status >= 400:
            context.content_type = "text/plain; charset=utf-8"
        if context.status >= 500:
            print(data.decode("utf-8", "replace"), flush=True)
        return Answer(
            context.status, str(context.content_type), data, context.response_headers.get(ATTRIBUTES, "")
        )

    def execution_parameters(self) -> dict[str, Any] | None:
        """What the script's own execution_parameters_fn offers to batch transform; None without one."""
        name = self._environment.module_name
        if find_spec(name) is None:
            return None
        offer = getattr(importlib.import_module(name), "execution_parameters_fn", None)
        return offer() if offer else None

    def _default_transform_fn(
        self,
        model: Any,
        input_data: Any,
        content_type: str,
        accept: str,
        context: Any = None,  # noqa: ARG002
    ) -> Any:
        """As the toolkit's, but a format that is not known is the client's error: 415 in, 406 out."""
        data = self._formatted(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, self._input_fn, input_data, content_type)
        prediction = self._run_handler_function(self._predict_fn, data, model)
        return self._formatted(HTTPStatus.NOT_ACCEPTABLE, self._output_fn, prediction, accept)

    def _formatted(self, status: HTTPStatus, function: Any, *arguments: Any) -> Any:
        try:
            return self._run_handler_function(function, *arguments)
        except UnsupportedFormatError as error:
            raise GenericInferenceToolkitError(int(status), str(error)) from error


def _encoded(response: Any) -> bytes:
    """Raises TypeError for what can be no answer."""
    match response:
        case str():
            return response.encode()
        case bytes() | bytearray() | memoryview():
            return bytes(response)
        case dict() | list():
            return json.dumps(response).encode()
    raise TypeError(
        f"the script answered a {type(response).__name__}; it must be bytes, text, or what JSON can say"
    )


def reason(error: BaseException) -> str:
    """The traceback of a script that did not start, and the error as its last line."""
    text = "".join(traceback.format_exception(error)).rstrip()
    last = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if text.endswith(last) else f"{text}\n{last}"

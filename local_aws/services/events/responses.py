"""The operation that moto's EventBridge leaves empty."""

from __future__ import annotations

import json
from typing import Any

from moto.events.exceptions import InvalidEventPatternException, ValidationException
from moto.events.responses import EventsHandler

from local_aws.services.events.backend import compiled
from local_aws.services.events.patterns import InvalidPattern

REQUIRED = ("id", "account", "source", "time", "region", "resources", "detail-type")


class Responses(EventsHandler):
    def test_event_pattern(self) -> Any:
        try:
            pattern = compiled(self._get_param("EventPattern"))
        except InvalidPattern as error:
            raise InvalidEventPatternException(str(error)) from None
        try:
            event = json.loads(self._get_param("Event"))
        except ValueError:
            raise ValidationException("Parameter Event is not valid.") from None
        missing = [name for name in REQUIRED if not isinstance(event, dict) or name not in event]
        if missing:
            raise ValidationException(
                f"Parameter Event is not valid. Reason: {', '.join(missing)} must be given."
            )
        return json.dumps({"Result": pattern.matches(event)}), self.response_headers

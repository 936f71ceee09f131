"""DynamicFrame is refused by name: its other half is in the closed AWS Glue libraries."""

from typing import Any, NoReturn

_MESSAGE = (
    "awsglue.dynamicframe.DynamicFrame is not computed by local AWS: it needs the closed AWS Glue libraries. "
    "Use Spark DataFrames (glueContext.spark_session)"
)


class DynamicFrame:
    """Refuses every use, so that a script fails at the line that needs it and not at its import."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(_MESSAGE)

    @classmethod
    def fromDF(cls, *args: Any, **options: Any) -> NoReturn:
        """Refused."""
        raise NotImplementedError(_MESSAGE)

"""`GlueContext`: the Spark session under the name that Glue scripts use; no DynamicFrames."""

from typing import Any, NoReturn

from pyspark import SparkContext
from pyspark.sql import SparkSession, SQLContext

_DYNAMIC_FRAME = (
    "awsglue.{name} is not computed by local AWS: DynamicFrames need the closed AWS Glue libraries. "
    "Use Spark DataFrames (glueContext.spark_session)"
)


class GlueContext(SQLContext):
    """Wraps a SparkContext; `spark_session` is what a script goes on with."""

    def __init__(self, sparkContext: SparkContext, **options: Any) -> None:
        del options  # minPartitions and targetPartitions tune DynamicFrames only
        self._session = SparkSession.builder.getOrCreate()
        super().__init__(sparkContext, self._session)

    @property
    def spark_session(self) -> SparkSession:
        """The session of this run."""
        return self._session

    def get_logger(self) -> Any:
        """Spark's Java logger (`info`, `warn`, `error`); its lines go to the run's log."""
        return self._jvm.org.apache.log4j.LogManager.getLogger("glue")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(_DYNAMIC_FRAME.format(name=f"context.GlueContext.{name}"))

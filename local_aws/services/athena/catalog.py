"""What the query engine may ask of the API side: the Glue catalog and the objects, by the names it calls."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moto.athena.models import athena_backends
from moto.glue.exceptions import (
    DatabaseAlreadyExistsException,
    EntityNotFoundException,
    PartitionAlreadyExistsException,
    TableAlreadyExistsException,
)
from moto.glue.models import GlueBackend, glue_backends

from local_aws.context import Context
from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.prepared import PreparedStatement


class Catalog:
    """The operations of one query of a workgroup; `output` is the folder, an s3:// URI, of its results."""

    def __init__(self, context: Context, output: str, workgroup: str) -> None:
        self._context = context
        self._output = output
        self._workgroup = workgroup

    def answer(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Do what the engine asks. Raises QueryError."""
        return getattr(self, "do_" + operation)(**arguments)

    @property
    def _glue(self) -> GlueBackend:
        return glue_backends[self._context.account][self._context.region]

    def do_get_table(self, database: str, name: str) -> dict[str, Any] | None:
        """The table as `engine/relations.py` describes it; None when there is none."""
        with self._context.state.lock("glue"):
            try:
                table = self._glue.get_table(database, name).as_dict()
            except EntityNotFoundException:
                return None
        storage = table.get("StorageDescriptor") or {}
        serde = storage.get("SerdeInfo") or {}
        return {
            "database": database,
            "name": name,
            "columns": [_column(column) for column in storage.get("Columns") or ()],
            "partition_keys": [_column(column) for column in table.get("PartitionKeys") or ()],
            "location": storage.get("Location") or "",
            "serde": serde.get("SerializationLibrary") or "",
            "serde_parameters": serde.get("Parameters") or {},
            "parameters": table.get("Parameters") or {},
            "input_format": storage.get("InputFormat") or "",
            "output_format": storage.get("OutputFormat") or "",
            "view": table.get("ViewOriginalText") if table.get("TableType") == "VIRTUAL_VIEW" else None,
        }

    def do_now(self) -> str:
        """The present moment, in ISO 8601."""
        return self._context.clock().isoformat()

    def do_partitions(self, database: str, name: str) -> list[dict[str, Any]]:
        """The partitions of a table with their values and locations."""
        with self._context.state.lock("glue"):
            found = self._glue.get_table(database, name)
            location = found.as_dict()["StorageDescriptor"].get("Location", "")
            keys = [key["Name"] for key in found.as_dict().get("PartitionKeys") or ()]
            return [
                {
                    "values": partition.values,
                    "location": (partition.partition_input.get("StorageDescriptor") or {}).get("Location")
                    or _default_partition(location, keys, partition.values),
                }
                for partition in found.partitions.values()
            ]

    def do_files(self, locations: list[str]) -> list[list[dict[str, Any]]]:
        """For each location the objects below it that hold data, without hidden or empty ones."""
        return [list(self._files(location)) for location in locations]

    def _files(self, location: str) -> Iterator[dict[str, Any]]:
        bucket, prefix = _split(location)
        objects = self._context.objects
        if not objects.exists_bucket(bucket):
            raise QueryError("BUCKET_NOT_FOUND", f"The bucket of {location} does not exist")
        for found in objects.list(bucket, prefix):
            parts = found.key[len(prefix) :].split("/")
            if found.size and not any(part.startswith(("_", ".")) for part in parts):
                path = objects.path(bucket, found.key)
                yield {"path": str(path), "uri": f"s3://{bucket}/{found.key}", "size": found.size}

    def do_store(self, location: str, files: list[dict[str, str]], must_be_empty: bool) -> list[str]:
        """Put files below a location; returns their URIs."""
        bucket, prefix = _split(location)
        objects = self._context.objects
        if not objects.exists_bucket(bucket):
            raise QueryError("BUCKET_NOT_FOUND", f"The bucket of {location} does not exist")
        if must_be_empty and next(iter(objects.list(bucket, prefix)), None) is not None:
            raise QueryError(
                "HIVE_PATH_ALREADY_EXISTS", f"Target directory for table already exists: {location}"
            )
        for file in files:
            objects.put_file(bucket, prefix + file["name"], Path(file["path"]))
        return [f"s3://{bucket}/{prefix}{file['name']}" for file in files]

    def do_default_location(self, query_id: str) -> str:
        """Where a CTAS without external_location writes."""
        return f"{self._output}tables/{query_id}/"

    def do_create_database(
        self,
        name: str,
        exists_ok: bool,
        comment: str | None,
        location: str | None,
        parameters: dict[str, str],
    ) -> None:
        """CREATE DATABASE."""
        given = {"Name": name, "Description": comment, "LocationUri": location, "Parameters": parameters}
        with self._changing():
            try:
                self._glue.create_database(name, {key: value for key, value in given.items() if value})
            except DatabaseAlreadyExistsException:
                if not exists_ok:
                    raise _failed(f"Database {name} already exists") from None
            self._context.state.commit("glue")

    def do_drop_database(self, name: str, missing_ok: bool, cascade: bool) -> None:
        """DROP DATABASE; one with tables only with CASCADE."""
        with self._changing():
            try:
                database = self._glue.get_database(name)
            except EntityNotFoundException:
                if missing_ok:
                    return
                raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{name}' does not exist") from None
            if database.tables and not cascade:
                raise _failed(f"Database {name} is not empty. One or more tables exist.")
            self._glue.delete_database(name)
            self._context.state.commit("glue")

    def do_create_table(self, database: str, table: dict[str, Any], exists_ok: bool) -> None:
        """CREATE EXTERNAL TABLE, and the table of a CTAS."""
        with self._changing():
            try:
                self._glue.create_table(database, table["Name"], table)
            except TableAlreadyExistsException:
                if not exists_ok:
                    raise _failed(f"Table {table['Name']} already exists") from None
            except EntityNotFoundException:
                raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist") from None
            self._context.state.commit("glue")

    def do_put_view(self, database: str, table: dict[str, Any], replace: bool) -> None:
        """CREATE [OR REPLACE] VIEW; a table of that name is not replaced."""
        present = self.do_get_table(database, table["Name"])
        if present and not (replace and present["view"]):
            kind = "View" if present["view"] else "Table"
            raise _failed(f"{kind} already exists: {database}.{table['Name']}")
        if present is None:
            self.do_create_table(database, table, exists_ok=False)
            return
        with self._changing():
            self._glue.update_table(database, table["Name"], table)
            self._context.state.commit("glue")

    def do_prepare(self, name: str, sql: str) -> None:
        """PREPARE: a statement of that name is replaced."""
        statements = athena_backends[self._context.account][self._context.region].prepared_statements
        now = self._context.clock()
        with self._context.state.lock("athena"):
            statements[self._workgroup, name] = PreparedStatement(name, self._workgroup, sql, "", now)
            self._context.state.commit("athena")

    def do_deallocate(self, name: str) -> None:
        """DEALLOCATE PREPARE."""
        statements = athena_backends[self._context.account][self._context.region].prepared_statements
        with self._context.state.lock("athena"):
            if statements.pop((self._workgroup, name), None) is None:
                raise QueryError("NOT_FOUND", f"Prepared statement not found: {name}")
            self._context.state.commit("athena")

    def do_drop_table(self, database: str, name: str, missing_ok: bool) -> None:
        """DROP TABLE."""
        with self._changing():
            try:
                self._glue.delete_table(database, name)
            except EntityNotFoundException:
                if not missing_ok:
                    raise QueryError(
                        "TABLE_NOT_FOUND", f"Table 'awsdatacatalog.{database}.{name}' does not exist"
                    ) from None
            self._context.state.commit("glue")

    def do_list_databases(self) -> list[str]:
        """Names of all databases."""
        with self._context.state.lock("glue"):
            return [database.name for database in self._glue.get_databases()]

    def do_list_tables(self, database: str) -> list[str]:
        """Names of a database's tables."""
        with self._context.state.lock("glue"):
            try:
                return list(self._glue.get_database(database).tables)
            except EntityNotFoundException:
                raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist") from None

    def do_add_partitions(
        self, database: str, name: str, partitions: list[dict[str, Any]], exists_ok: bool
    ) -> None:
        """ALTER TABLE ADD PARTITION, and what CTAS and INSERT wrote."""
        with self._changing():
            table = self._glue.get_table(database, name)
            storage = table.as_dict()["StorageDescriptor"]
            keys = [key["Name"] for key in table.as_dict()["PartitionKeys"]]
            for partition in partitions:
                location = partition["location"] or _default_partition(
                    storage["Location"], keys, partition["values"]
                )
                try:
                    table.create_partition(
                        {
                            "Values": partition["values"],
                            "StorageDescriptor": {**storage, "Location": location},
                        }
                    )
                except PartitionAlreadyExistsException:
                    if not exists_ok:
                        raise _failed(f"Partition already exists: {partition['values']}") from None
            self._context.state.commit("glue")

    def do_drop_partitions(
        self, database: str, name: str, partitions: list[list[str]], missing_ok: bool
    ) -> None:
        """ALTER TABLE DROP PARTITION."""
        with self._changing():
            for values in partitions:
                try:
                    self._glue.delete_partition(database, name, values)  # moto's hint says int
                except EntityNotFoundException:
                    if not missing_ok:
                        raise _failed(f"Partition not found: {values}") from None
            self._context.state.commit("glue")

    def do_repair_table(self, database: str, name: str) -> list[str]:
        """MSCK REPAIR TABLE; returns the added partitions as `table:key=value/...`."""
        table = self.do_get_table(database, name)
        if table is None:
            return []
        keys = [key["name"] for key in table["partition_keys"]]
        pattern = re.compile("/".join(rf"{re.escape(key)}=([^/]+)" for key in keys) + "/")
        bucket, prefix = _split(table["location"])
        found = {
            tuple(match.groups()): match[0]
            for info in self._context.objects.list(bucket, prefix)
            if (match := pattern.match(info.key[len(prefix) :]))
        }
        known = {tuple(partition["values"]) for partition in self.do_partitions(database, name)}
        new = {values: path for values, path in found.items() if values not in known}
        rows = [
            {"values": list(values), "location": f"s3://{bucket}/{prefix}{path}"}
            for values, path in new.items()
        ]
        self.do_add_partitions(database, name, rows, exists_ok=True)
        return [f"{name}:{path.rstrip('/')}" for path in new.values()]

    def _changing(self) -> Any:
        return self._context.state.lock("glue")


def _column(column: dict[str, str]) -> dict[str, str]:
    return {
        "name": column["Name"].lower(),
        "type": column.get("Type", "string"),
        "comment": column.get("Comment", ""),
    }


def _default_partition(location: str, keys: list[str], values: list[str]) -> str:
    path = "/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
    return f"{location.rstrip('/')}/{path}/"


def _split(location: str) -> tuple[str, str]:
    """Bucket and key prefix of a folder."""
    scheme, _, rest = location.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme not in ("s3", "s3a", "s3n") or not bucket:
        raise QueryError("HIVE_INVALID_METADATA", f"{location!r} is not an s3:// location")
    return bucket, prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""


def _failed(message: str) -> QueryError:
    return QueryError("DDL_FAILED", message)

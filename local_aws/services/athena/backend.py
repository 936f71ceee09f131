"""moto's Athena backend with queries that run and a catalog that is Glue's."""

import re
import uuid
from collections import OrderedDict
from typing import Any

from moto.athena import models
from moto.glue.exceptions import EntityNotFoundException
from moto.glue.models import GlueBackend, glue_backends

from local_aws.services.athena import prepared as statements
from local_aws.services.athena import queries
from local_aws.services.athena.errors import InvalidRequest, MetadataError
from local_aws.services.athena.queries import Execution

CATALOG = "AwsDataCatalog"
# AWS forgets an execution after 45 days; the state here is written on every query, so it is kept small.
_KEPT = 2000
_UTILITY = ("SHOW", "DESCRIBE", "DESC", "EXPLAIN")
_DDL = ("CREATE", "DROP", "ALTER", "MSCK", "PREPARE", "DEALLOCATE")


class AthenaBackend(models.AthenaBackend):
    """Executions are ours; workgroups and named queries are moto's."""

    executions: dict[str, Execution]
    prepared_statements: statements.Statements  # moto's forgets the workgroup

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.executions = OrderedDict()
        self.tokens: dict[str, str] = {}

    def workgroup(self, name: str) -> models.WorkGroup:
        """Raises InvalidRequest when there is none."""
        try:
            return self.work_groups[name]
        except KeyError:
            raise InvalidRequest(f"WorkGroup {name} is not found.") from None

    def execution(self, query_id: str) -> Execution:
        """Raises InvalidRequest when there is none."""
        try:
            return self.executions[query_id]
        except KeyError:
            raise InvalidRequest(f"QueryExecution {query_id} was not found") from None

    def start(self, request: dict[str, Any]) -> str:
        """StartQueryExecution; returns the id. The same ClientRequestToken gives the same execution."""
        token = request.get("ClientRequestToken")
        if token in self.tokens:
            known = self.execution(self.tokens[token])
            if known.query != request["QueryString"]:
                raise InvalidRequest("Idempotent parameters do not match")
            return known.id
        name = request.get("WorkGroup") or "primary"
        group = self.workgroup(name)
        if group.state == "DISABLED":
            raise InvalidRequest(f"WorkGroup {name} is disabled.")
        if not request["QueryString"].strip():
            raise InvalidRequest("QueryString is empty")
        prepared = self._prepared(name, request["QueryString"])
        kind, suffix = _kind_of(prepared or request["QueryString"])
        execution = Execution(
            id=str(uuid.uuid4()),
            query=request["QueryString"],
            kind=kind,
            context={"Catalog": "awsdatacatalog", **_lowered(request.get("QueryExecutionContext") or {})},
            output=_output_of(group, request.get("ResultConfiguration") or {}),
            suffix=suffix,
            workgroup=name,
            parameters=request.get("ExecutionParameters") or [],
            submitted=queries.context().clock(),
            prepared=prepared,
        )
        if execution.context["Catalog"] not in ("awsdatacatalog", ""):
            raise InvalidRequest(f"Catalog {execution.context['Catalog']} is not found.")
        self._remember(execution, token)
        queries.submit(execution)
        return execution.id

    def _prepared(self, workgroup: str, sql: str) -> str | None:
        """The statement that EXECUTE names; None for any other text. Raises ResourceNotFound."""
        named = re.match(r"\s*EXECUTE\s+\"?([A-Za-z_][A-Za-z0-9_@:]*)", sql, re.IGNORECASE)
        return statements.get(self.prepared_statements, workgroup, named[1]).sql if named else None

    def _remember(self, execution: Execution, token: str | None) -> None:
        self.executions[execution.id] = execution
        if token:
            self.tokens[token] = execution.id
        for old in list(self.executions)[: max(0, len(self.executions) - _KEPT)]:
            if self.executions[old].state in queries.FINISHED:
                del self.executions[old]
        if len(self.tokens) > 2 * _KEPT:
            self.tokens = {key: value for key, value in self.tokens.items() if value in self.executions}

    def update_work_group(
        self, name: str, description: str | None, updates: dict[str, Any], state: str | None
    ) -> None:
        """UpdateWorkGroup."""
        group = self.workgroup(name)
        if description is not None:
            group.description = description
        if state is not None:
            group.state = state
        plain = dict(updates)
        results = plain.pop("ResultConfigurationUpdates", {})
        if plain.pop("RemoveBytesScannedCutoffPerQuery", False):
            group.configuration.pop("BytesScannedCutoffPerQuery", None)
        group.configuration.update(plain)
        current = dict(group.configuration.get("ResultConfiguration") or {})
        for key, value in results.items():
            if key.startswith("Remove"):
                if value:
                    current.pop(key.removeprefix("Remove"), None)
            else:
                current[key] = value
        group.configuration["ResultConfiguration"] = current

    @property
    def _glue(self) -> GlueBackend:
        return glue_backends[self.account_id][self.region_name]

    def catalog_databases(self, catalog: str) -> list[dict[str, Any]]:
        """The Glue databases of the catalog, by name."""
        _check_catalog(catalog)
        return [_database(item) for item in sorted(self._glue.get_databases(), key=lambda item: item.name)]

    def catalog_database(self, catalog: str, name: str) -> dict[str, Any]:
        """Raises MetadataError."""
        _check_catalog(catalog)
        try:
            return _database(self._glue.get_database(name.lower()))
        except EntityNotFoundException as error:
            raise _missing(str(error.message)) from None

    def catalog_tables(self, catalog: str, database: str, pattern: str | None) -> list[dict[str, Any]]:
        """The tables of a database whose name matches a regular expression."""
        _check_catalog(catalog)
        try:
            tables = self._glue.get_database(database.lower()).tables
        except EntityNotFoundException as error:
            raise _missing(str(error.message)) from None
        wanted = re.compile(pattern or ".*")
        return [_table(tables[name].as_dict()) for name in sorted(tables) if wanted.fullmatch(name)]

    def catalog_table(self, catalog: str, database: str, name: str) -> dict[str, Any]:
        """Raises MetadataError."""
        _check_catalog(catalog)
        try:
            return _table(self._glue.get_table(database.lower(), name.lower()).as_dict())
        except EntityNotFoundException as error:
            raise _missing(str(error.message)) from None


def _kind_of(sql: str) -> tuple[str, str]:
    """StatementType and the suffix of the result file."""
    text = re.sub(r"^(\s+|--[^\n]*\n|/\*.*?\*/)+", "", sql, flags=re.DOTALL)
    word = (re.match(r"[A-Za-z]+", text) or [""])[0].upper()
    if word in _UTILITY:
        return "UTILITY", ".txt"
    if word in _DDL:
        creates_data = re.match(
            r"CREATE\s+TABLE\b.*?\bAS\s*[(\s]\s*(SELECT|WITH|VALUES|\()", text, re.DOTALL | re.IGNORECASE
        )
        return "DDL", "" if creates_data else ".txt"
    return "DML", "" if word in ("INSERT", "UNLOAD") else ".csv"


def _lowered(context: dict[str, str]) -> dict[str, str]:
    return {key: value.strip("`").lower() for key, value in context.items()}


def _output_of(group: models.WorkGroup, given: dict[str, Any]) -> str:
    """The folder for results: an enforcing workgroup's own, else the request's, else the workgroup's."""
    own = (group.configuration.get("ResultConfiguration") or {}).get("OutputLocation")
    enforced = group.configuration.get("EnforceWorkGroupConfiguration")
    location = own if enforced and own else given.get("OutputLocation") or own
    if not location:
        raise InvalidRequest(
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input."
        )
    bucket = location.removeprefix("s3://").partition("/")[0]
    if not location.startswith("s3://") or not bucket:
        raise InvalidRequest(f"outputLocation is not a valid S3 path: {location}")
    if not queries.context().objects.exists_bucket(bucket):
        raise InvalidRequest(f"Unable to verify/create output bucket {bucket}")
    return location if location.endswith("/") else location + "/"


def _check_catalog(name: str) -> None:
    if name.lower() != CATALOG.lower():
        raise _missing(f"Catalog {name} not found.")


def _missing(message: str) -> MetadataError:
    return MetadataError(
        f"{message} (Service: AmazonDataCatalog; Status Code: 400; Error Code: EntityNotFoundException)"
    )


def _database(database: Any) -> dict[str, Any]:
    found = {
        "Name": database.name,
        "Description": database.input.get("Description"),
        "Parameters": database.input.get("Parameters"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _table(table: dict[str, Any]) -> dict[str, Any]:
    storage = table.get("StorageDescriptor") or {}
    serde = storage.get("SerdeInfo") or {}
    parameters = {
        **(table.get("Parameters") or {}),
        "location": storage.get("Location", ""),
        "inputformat": storage.get("InputFormat", ""),
        "outputformat": storage.get("OutputFormat", ""),
        "serde.serialization.lib": serde.get("SerializationLibrary", ""),
        **{f"serde.param.{key}": value for key, value in (serde.get("Parameters") or {}).items()},
    }
    return {
        "Name": table["Name"],
        "CreateTime": table["CreateTime"].timestamp(),
        "TableType": table.get("TableType", "EXTERNAL_TABLE"),
        "Columns": storage.get("Columns") or [],
        "PartitionKeys": table.get("PartitionKeys") or [],
        "Parameters": parameters,
    }

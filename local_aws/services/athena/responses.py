"""moto's Athena request handling with the operations that run queries and read the catalog."""

import json
from typing import Any

from moto.athena import responses

from local_aws.context import NoSuchObject
from local_aws.services.athena import pages, prepared, queries
from local_aws.services.athena.backend import CATALOG, AthenaBackend
from local_aws.services.athena.errors import InvalidRequest
from local_aws.services.athena.queries import Execution

_ENGINE = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}
_MOST_ROWS = 1000


class AthenaResponse(responses.AthenaResponse):
    """Operations on executions, workgroups and the catalog; the others are moto's."""

    @property
    def _request(self) -> dict[str, Any]:
        request: dict[str, Any] = json.loads(self.body)
        return request

    @property
    def _backend(self) -> AthenaBackend:
        return self.athena_backend

    def start_query_execution(self) -> str:
        """StartQueryExecution."""
        return json.dumps({"QueryExecutionId": self._backend.start(self._request)})

    def stop_query_execution(self) -> str:
        """StopQueryExecution."""
        queries.stop(self._backend.execution(self._request["QueryExecutionId"]))
        return "{}"

    def get_query_execution(self) -> str:
        """GetQueryExecution."""
        return json.dumps(
            {"QueryExecution": _described(self._backend.execution(self._request["QueryExecutionId"]))}
        )

    def batch_get_query_execution(self) -> str:
        """BatchGetQueryExecution."""
        known = self._backend.executions
        asked = self._request["QueryExecutionIds"]
        missing = [
            {"QueryExecutionId": item, "ErrorCode": "INVALID_QUERY_EXECUTION_ID", "ErrorMessage": "not found"}
            for item in asked
            if item not in known
        ]
        found = [_described(known[item]) for item in asked if item in known]
        return json.dumps({"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing})

    def list_query_executions(self) -> str:
        """ListQueryExecutions: of one workgroup, the newest first."""
        group = self._request.get("WorkGroup") or "primary"
        self._backend.workgroup(group)
        ids = [item.id for item in reversed(self._backend.executions.values()) if item.workgroup == group]
        return self._page("QueryExecutionIds", ids, 50)

    def get_query_results(self) -> str:
        """GetQueryResults."""
        request = self._request
        execution = self._backend.execution(request["QueryExecutionId"])
        if execution.state != "SUCCEEDED":
            state = (
                "yet finished. Current state: " if execution.state not in queries.FINISHED else "succeeded: "
            )
            raise InvalidRequest(f"Query has not {state}{execution.state}")
        limit = request.get("MaxResults") or _MOST_ROWS
        if not 1 <= limit <= _MOST_ROWS:
            raise InvalidRequest(f"MaxResults must be between 1 and {_MOST_ROWS}")
        token = request.get("NextToken") or "0"
        if not token.isdigit():
            raise InvalidRequest("NextToken is not valid")
        try:
            metadata = queries.metadata(execution)
            rows, following = _rows(execution, int(token), limit)
        except NoSuchObject as error:
            raise InvalidRequest(f"Could not find results: {error}") from None
        answer: dict[str, Any] = {
            "UpdateCount": metadata["update_count"] or 0,
            "ResultSet": {
                "Rows": pages.result_rows(rows),
                "ResultSetMetadata": {"ColumnInfo": metadata["columns"]},
            },
        }
        if following is not None:
            answer["NextToken"] = str(following)
        return json.dumps(answer)

    def get_query_runtime_statistics(self) -> str:
        """GetQueryRuntimeStatistics."""
        execution = self._backend.execution(self._request["QueryExecutionId"])
        timeline = {"QueryPlanningTimeInMillis": 0, **execution.statistics}
        rows = {"InputBytes": execution.scanned}
        return json.dumps({"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": rows}})

    def create_work_group(self) -> str:
        """CreateWorkGroup."""
        request = self._request
        made = self._backend.create_work_group(
            request["Name"],
            request.get("Configuration") or {},
            request.get("Description") or "",
            request.get("Tags") or [],
        )
        if made is None:
            raise InvalidRequest("WorkGroup is already created")
        return "{}"

    def get_work_group(self) -> str:
        """GetWorkGroup."""
        self._backend.workgroup(self._request["WorkGroup"])
        return json.dumps({"WorkGroup": self._backend.get_work_group(self._request["WorkGroup"])})

    def update_work_group(self) -> str:
        """UpdateWorkGroup."""
        request = self._request
        self._backend.update_work_group(
            request["WorkGroup"],
            request.get("Description"),
            request.get("ConfigurationUpdates") or {},
            request.get("State"),
        )
        return "{}"

    def delete_work_group(self) -> str:
        """DeleteWorkGroup."""
        name = self._request["WorkGroup"]
        if name == "primary":
            raise InvalidRequest("The primary workgroup cannot be deleted")
        self._backend.workgroup(name)
        self._backend.delete_work_group(name)
        return "{}"

    def get_named_query(self) -> str:
        """GetNamedQuery."""
        if self._request["NamedQueryId"] not in self._backend.named_queries:
            raise InvalidRequest(f"NamedQuery {self._request['NamedQueryId']} was not found")
        found: str = super().get_named_query()
        return found

    def create_prepared_statement(self) -> str:
        """CreatePreparedStatement."""
        self._backend.workgroup(self._request["WorkGroup"])
        prepared.create(self._backend.prepared_statements, self._request, queries.context().clock())
        return "{}"

    def get_prepared_statement(self) -> str:
        """GetPreparedStatement."""
        request, known = self._request, self._backend.prepared_statements
        found = prepared.get(known, request["WorkGroup"], request["StatementName"])
        return json.dumps({"PreparedStatement": found.as_dict()})

    def batch_get_prepared_statement(self) -> str:
        """BatchGetPreparedStatement."""
        request, known = self._request, self._backend.prepared_statements
        names = request["PreparedStatementNames"]
        found = [known[key].as_dict() for name in names if (key := (request["WorkGroup"], name)) in known]
        missing = [
            {"StatementName": name, "ErrorCode": "STATEMENT_NOT_FOUND", "ErrorMessage": "not found"}
            for name in names
            if (request["WorkGroup"], name) not in known
        ]
        return json.dumps({"PreparedStatements": found, "UnprocessedPreparedStatementNames": missing})

    def list_prepared_statements(self) -> str:
        """ListPreparedStatements: of one workgroup, by name."""
        group = self._request["WorkGroup"]
        self._backend.workgroup(group)
        known = sorted(self._backend.prepared_statements.items())
        listed = [
            {"StatementName": name, "LastModifiedTime": found.modified.timestamp()}
            for (owner, name), found in known
            if owner == group
        ]
        return self._page("PreparedStatements", listed, 50)

    def update_prepared_statement(self) -> str:
        """UpdatePreparedStatement."""
        prepared.update(self._backend.prepared_statements, self._request, queries.context().clock())
        return "{}"

    def delete_prepared_statement(self) -> str:
        """DeletePreparedStatement."""
        request, known = self._request, self._backend.prepared_statements
        found = prepared.get(known, request["WorkGroup"], request["StatementName"])
        del known[found.workgroup, found.name]
        return "{}"

    def list_data_catalogs(self) -> str:
        """ListDataCatalogs: Glue's, then the registered ones."""
        own = [{"CatalogName": CATALOG, "Type": "GLUE"}]
        return json.dumps({"DataCatalogsSummary": own + self._backend.list_data_catalogs()})

    def get_data_catalog(self) -> str:
        """GetDataCatalog."""
        name = self._request["Name"]
        if name.lower() == CATALOG.lower():
            return json.dumps({"DataCatalog": {"Name": CATALOG, "Type": "GLUE", "Parameters": {}}})
        found = self._backend.get_data_catalog(name)
        if found is None:
            raise InvalidRequest(f"Data catalog {name} was not found")
        return json.dumps({"DataCatalog": found})

    def list_databases(self) -> str:
        """ListDatabases."""
        return self._page("DatabaseList", self._backend.catalog_databases(self._request["CatalogName"]), 50)

    def get_database(self) -> str:
        """GetDatabase."""
        request = self._request
        return json.dumps(
            {"Database": self._backend.catalog_database(request["CatalogName"], request["DatabaseName"])}
        )

    def list_table_metadata(self) -> str:
        """ListTableMetadata."""
        request = self._request
        found = self._backend.catalog_tables(
            request["CatalogName"], request["DatabaseName"], request.get("Expression")
        )
        return self._page("TableMetadataList", found, 50)

    def get_table_metadata(self) -> str:
        """GetTableMetadata."""
        request = self._request
        table = self._backend.catalog_table(
            request["CatalogName"], request["DatabaseName"], request["TableName"]
        )
        return json.dumps({"TableMetadata": table})

    def _page(self, name: str, items: list[Any], most: int) -> str:
        limit = min(self._request.get("MaxResults") or most, most)
        token = self._request.get("NextToken") or "0"
        if not token.isdigit():
            raise InvalidRequest("NextToken is not valid")
        start = int(token)
        answer: dict[str, Any] = {name: items[start : start + limit]}
        if start + limit < len(items):
            answer["NextToken"] = str(start + limit)
        return json.dumps(answer)


def _rows(execution: Execution, offset: int, limit: int) -> tuple[list[pages.Row], int | None]:
    if not execution.suffix:
        return [], None
    bucket, _, key = execution.location.removeprefix("s3://").partition("/")
    with queries.context().objects.open(bucket, key) as file:
        return pages.page(file, offset, limit, is_csv=execution.suffix == ".csv")


def _described(execution: Execution) -> dict[str, Any]:
    status = {
        "State": execution.state,
        "StateChangeReason": execution.reason,
        "SubmissionDateTime": execution.submitted.timestamp(),
        "CompletionDateTime": execution.completed.timestamp() if execution.completed else None,
        "AthenaError": execution.error,
    }
    statistics = {
        "DataScannedInBytes": execution.scanned,
        **execution.statistics,
        "DataManifestLocation": execution.manifest,
        "ResultReuseInformation": {"ReusedPreviousResult": False},
    }
    found = {
        "QueryExecutionId": execution.id,
        "Query": execution.query,
        "StatementType": execution.kind,
        "ResultConfiguration": {"OutputLocation": execution.location},
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        "QueryExecutionContext": execution.context,
        "Status": {key: value for key, value in status.items() if value is not None},
        "Statistics": {key: value for key, value in statistics.items() if value is not None},
        "WorkGroup": execution.workgroup,
        "EngineVersion": _ENGINE,
        "ExecutionParameters": execution.parameters or None,
    }
    return {key: value for key, value in found.items() if value is not None}

"""Catalog tables as DuckDB views over the stored objects: Parquet, JSON lines, and the two CSV forms of Hive.

A table (from the Glue catalog, see `catalog.py`): `{"database", "name", "columns": [{"name", "type"}],
"partition_keys": [{"name", "type"}], "location", "serde", "serde_parameters", "parameters"}`.
A partition: `{"values": [text], "location"}`. A file: `{"path", "uri", "size"}`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
from sqlglot import exp

from local_aws.services.athena.engine import types
from local_aws.services.athena.engine.casts import PATTERNS
from local_aws.services.athena.engine.errors import QueryError, raising

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_PARQUET = "parquet"
_JSON = "json"
_TEXT = "text"
_QUOTED = "csv"
_SERDES = {
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe": _PARQUET,
    "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe": _TEXT,
    "org.apache.hadoop.hive.serde2.OpenCSVSerde": _QUOTED,
    "org.openx.data.jsonserde.JsonSerDe": _JSON,
    "org.apache.hive.hcatalog.data.JsonSerDe": _JSON,
}
_COMPRESSION = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd"}
_REFUSED_COMPRESSION = (".bz2", ".lzo", ".snappy", ".lz4", ".deflate")


def format_of(table: Mapping[str, Any]) -> str:
    """The reader for a table. Raises QueryError naming a serde that is not read here."""
    serde = table["serde"]
    if serde not in _SERDES:
        raise QueryError("NOT_SUPPORTED", f"local AWS does not read tables of serde {serde or 'unknown'}")
    return _SERDES[serde]


def create_view(
    connection: duckdb.DuckDBPyConnection,
    table: Mapping[str, Any],
    partitions: Iterable[tuple[Mapping[str, Any] | None, Sequence[Mapping[str, Any]]]],
) -> None:
    """Make `"database"."name"` readable. `partitions`: each, or None for the whole table, with its files."""
    form = format_of(table)
    selects = [
        _select(connection, table, form, partition, group, compression)
        for partition, files in partitions
        for compression, group in _by_compression(files).items()
    ]
    body = " UNION ALL ".join(selects) or _empty(table)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(table['database'])}")
    connection.execute(f"CREATE VIEW {identifier(table['database'])}.{identifier(table['name'])} AS {body}")


def bytes_scanned(
    connection: duckdb.DuckDBPyConnection, form: str, files: Sequence[Mapping[str, Any]], columns: set[str]
) -> int:
    """What Athena would bill: whole files; of Parquet, the parts of the columns that are used."""
    if form != _PARQUET or not files:
        return sum(file["size"] for file in files)
    rows = connection.execute(
        f"SELECT lower(split_part(path_in_schema, ', ', 1)), sum(total_compressed_size)::BIGINT "
        f"FROM parquet_metadata({_paths(files)}) GROUP BY 1"
    ).fetchall()
    return sum(size for name, size in rows if name in columns)


def identifier(name: str) -> str:
    """A quoted DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted DuckDB string."""
    return "'" + text.replace("'", "''") + "'"


def _empty(table: Mapping[str, Any]) -> str:
    columns = ", ".join(
        f"CAST(NULL AS {types.duckdb_of_hive(column['type'])}) AS {identifier(column['name'])}"
        for column in [*table["columns"], *table["partition_keys"]]
    )
    return f"SELECT {columns} WHERE false"


def _by_compression(files: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for file in files:
        suffix = "." + file["uri"].rsplit("/", 1)[-1].rsplit(".", 1)[-1].lower()
        groups[_COMPRESSION.get(suffix, suffix if suffix in _REFUSED_COMPRESSION else "none")].append(file)
    return groups


def _select(
    connection: duckdb.DuckDBPyConnection,
    table: Mapping[str, Any],
    form: str,
    partition: Mapping[str, Any] | None,
    files: Sequence[Mapping[str, Any]],
    compression: str,
) -> str:
    if form == _PARQUET:
        columns, source = _parquet(connection, table, files)
    elif compression in _REFUSED_COMPRESSION:
        raise QueryError("NOT_SUPPORTED", f"{files[0]['uri']}: local AWS does not read {compression} files")
    elif form == _JSON:
        columns, source = _json(connection, table, files, compression)
    else:
        columns, source = _delimited(table, form, files, compression)
    values = partition["values"] if partition else []
    for key, value in zip(table["partition_keys"], values, strict=True):
        constant = "NULL" if value == NULL_PARTITION else literal(value)
        columns.append(
            f"CAST({constant} AS {types.duckdb_of_hive(key['type'])}) AS {identifier(key['name'])}"
        )
    return f"SELECT {', '.join(columns)} FROM {source}"


def _paths(files: Sequence[Mapping[str, Any]]) -> str:
    return "[" + ", ".join(literal(file["path"]) for file in files) + "]"


def _parquet(
    connection: duckdb.DuckDBPyConnection, table: Mapping[str, Any], files: Sequence[Mapping[str, Any]]
) -> tuple[list[str], str]:
    """Columns by name, as Athena reads Parquet; one that a file lacks is NULL."""
    source = f"read_parquet({_paths(files)}, union_by_name=true, hive_partitioning=false)"
    try:
        found = {
            row[0].lower(): row[0]
            for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        }
    except duckdb.Error as error:
        message = str(error).replace(files[0]["path"], files[0]["uri"]).splitlines()[0]
        raise QueryError("HIVE_CANNOT_OPEN_SPLIT", f"not readable as Parquet: {message}") from error
    columns = []
    for column in table["columns"]:
        name = found.get(column["name"].lower())
        value = identifier(name) if name else "NULL"
        columns.append(
            f"CAST({value} AS {types.duckdb_of_hive(column['type'])}) AS {identifier(column['name'])}"
        )
    return columns, source


def _json(
    connection: duckdb.DuckDBPyConnection,
    table: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
    compression: str,
) -> tuple[list[str], str]:
    """JSON lines; key names match without regard to case, as in Hive's serdes."""
    lenient = str(table["serde_parameters"].get("ignore.malformed.json", "false")).lower()
    common = f"format='newline_delimited', compression={literal(compression)}"
    seen = connection.execute(
        f"DESCRIBE SELECT * FROM read_json({_paths(files)}, {common}, "
        "ignore_errors=true, map_inference_threshold=-1)"
    ).fetchall()
    # A key that is null in every line has a type that only DuckDB can read; the names are what is wanted.
    spelled = {
        name.lower(): (name, exp.DataType.build(kind.replace('"NULL"', "VARCHAR"), dialect="duckdb"))
        for name, kind, *_ in seen
    }
    columns, declared = [], []
    for column in table["columns"]:
        kind = types.from_hive(column["type"])
        name, detected = spelled.get(column["name"].lower(), (column["name"], None))
        read_as = types.duckdb_sql(_spelled_as(kind.copy(), detected))
        declared.append(f"{literal(name)}: {literal(read_as)}")
        columns.append(
            f"CAST({identifier(name)} AS {types.duckdb_sql(kind)}) AS {identifier(column['name'])}"
        )
    source = (
        f"read_json({_paths(files)}, {common}, ignore_errors={lenient}, columns={{{', '.join(declared)}}})"
    )
    return columns, source


def _spelled_as(kind: exp.DataType, detected: exp.DataType | None) -> exp.DataType:
    """`kind` with the field names spelled as they are in the data."""
    if detected is None:
        return kind
    if kind.is_type(exp.DType.STRUCT) and detected.is_type(exp.DType.STRUCT):
        fields = {field.name.lower(): field for field in detected.expressions}
        for field in kind.expressions:
            found = fields.get(field.name.lower())
            if found is not None:
                field.set("this", exp.to_identifier(found.name, quoted=True))
                _spelled_as(field.args["kind"], found.args["kind"])
    elif kind.is_type(exp.DType.ARRAY) and detected.is_type(exp.DType.ARRAY, exp.DType.LIST):
        _spelled_as(kind.expressions[0], detected.expressions[0])
    return kind


def _delimited(
    table: Mapping[str, Any], form: str, files: Sequence[Mapping[str, Any]], compression: str
) -> tuple[list[str], str]:
    serde = table["serde_parameters"]
    skip = int(table["parameters"].get("skip.header.line.count", "0"))
    if form == _QUOTED:
        delimiter, quote = serde.get("separatorChar", ","), serde.get("quoteChar", '"')
        escape, null = serde.get("escapeChar", '"'), None
        # The serde's own default is the backslash; quotes inside a field are doubled in nearly all data.
        escape = quote if escape == "\\" else escape
    else:
        delimiter = serde.get("field.delim", serde.get("serialization.format", "\x01"))
        quote, escape = "", serde.get("escape.delim", "")
        null = serde.get("serialization.null.format", "\\N")
        if delimiter == "1":
            delimiter = "\x01"
    names = [f"c{index}" for index in range(len(table["columns"]))]
    options = {
        "auto_detect": "false",
        "header": "false",
        "skip": str(skip),
        "delim": literal(delimiter),
        "quote": literal(quote),
        "escape": literal(escape),
        # No value stands for NULL in the quoted form: a text that data will not contain.
        "nullstr": literal(null if null is not None else "\x00NULL"),
        "columns": "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in names) + "}",
        "null_padding": "true",
        "strict_mode": "false",
        "compression": literal(compression),
        "parallel": "false",
    }
    source = f"read_csv({_paths(files)}, {', '.join(f'{key}={value}' for key, value in options.items())})"
    columns = [
        _typed(form, name, column["type"], column["name"], index)
        for index, (name, column) in enumerate(zip(names, table["columns"], strict=True))
    ]
    return columns, source


def _typed(form: str, name: str, hive: str, column: str, index: int) -> str:
    """A text field as its column's type; the unreadable is NULL in the lazy form, an error in the quoted."""
    kind = types.from_hive(hive)
    if kind.is_type(exp.DType.STRUCT, exp.DType.ARRAY, exp.DType.MAP):
        raise QueryError(
            "NOT_SUPPORTED", f"column {column!r}: local AWS does not read {hive} from text files"
        )
    if kind.is_type(*exp.DataType.TEXT_TYPES):
        return f"{name} AS {identifier(column)}"
    otherwise = "NULL"
    if form == _QUOTED:
        bad = f"'Error parsing field value ''' || {name} || ''' for field {index}: For input string'"
        otherwise = f"CAST({raising('HIVE_BAD_DATA', bad)} AS VARCHAR)"
    matches = f"regexp_full_match({name}, {literal(PATTERNS.get(kind.this, '.*'))})"
    checked = f"CASE WHEN {matches} THEN {name} WHEN {name} IS NOT NULL THEN {otherwise} END"
    return f"TRY_CAST({checked} AS {types.duckdb_sql(kind)}) AS {identifier(column)}"

"""The statements that sqlglot does not parse: UNLOAD, SHOW, DESCRIBE, MSCK REPAIR TABLE, ALTER TABLE."""

from collections.abc import Callable

from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.engine.forms import Catalog, Statement, Unload
from local_aws.services.athena.engine.lexer import Words
from local_aws.services.athena.engine.translate import as_query, parse


def _unload(text: str) -> Unload:
    words = Words(text)
    words.need("UNLOAD")
    query = parse(words.parenthesised())
    words.need("TO")
    location = words.string()
    options: dict[str, str] = {}
    keys: list[str] = []
    if words.take("WITH"):
        words.need("(")
        while not words.take(")"):
            key = words.next("an option").text.lower()
            words.need("=")
            if words.take("ARRAY", "["):
                if key != "partitioned_by":
                    raise QueryError(
                        "NOT_SUPPORTED", f"UNLOAD WITH ({key} = ARRAY[...]) is not computed by local AWS"
                    )
                while not words.take("]"):
                    keys.append(words.string().lower())
                    words.take(",")
            else:
                options[key] = words.next("a value").text
            words.take(",")
    words.end()
    return Unload(as_query(query), location, options, keys)


def _show(text: str) -> Catalog:
    words = Words(text)
    words.need("SHOW")
    if words.take("DATABASES") or words.take("SCHEMAS"):
        pattern = _pattern(words)
        words.end()
        return Catalog("show_databases", {"pattern": pattern}, kind="UTILITY")
    if words.take("TABLES"):
        database = words.name()[1] if words.take("IN") or words.take("FROM") else None
        pattern = _pattern(words)
        words.end()
        return Catalog("show_tables", {"database": database, "pattern": pattern}, kind="UTILITY")
    if words.take("VIEWS"):
        database = words.name()[1] if words.take("IN") or words.take("FROM") else None
        pattern = _pattern(words)
        words.end()
        return Catalog("show_views", {"database": database, "pattern": pattern}, kind="UTILITY")
    for phrase, operation in (
        (("CREATE", "VIEW"), "show_create_view"),
        (("CREATE", "TABLE"), "show_create_table"),
        (("PARTITIONS",), "show_partitions"),
        (("COLUMNS", "IN"), "show_columns"),
        (("COLUMNS", "FROM"), "show_columns"),
    ):
        if words.take(*phrase):
            name = words.name()
            words.end()
            return Catalog(operation, {"name": name}, kind="UTILITY")
    raise QueryError("NOT_SUPPORTED", f"{' '.join(text.split()[:2]).upper()} is not computed by local AWS")


def _pattern(words: Words) -> str | None:
    words.take("LIKE")
    return None if words.done else words.string()


def _repair(text: str) -> Catalog:
    words = Words(text)
    words.need("MSCK", "REPAIR", "TABLE")
    name = words.name()
    words.end()
    return Catalog("repair_table", {"name": name})


def _describe(text: str) -> Catalog:
    words = Words(text)
    words.next("DESCRIBE")
    words.take("FORMATTED") or words.take("EXTENDED")
    name = words.name()
    words.end()
    return Catalog("describe", {"name": name}, kind="UTILITY")


def _prepare(text: str) -> Catalog:
    words = Words(text)
    words.need("PREPARE")
    name = words.next("a name").text
    words.need("FROM")
    return Catalog("prepare", {"name": name, "sql": words.rest()})


def _deallocate(text: str) -> Catalog:
    words = Words(text)
    words.need("DEALLOCATE", "PREPARE")
    name = words.next("a name").text
    words.end()
    return Catalog("deallocate", {"name": name})


def parameters_of(text: str) -> list[str]:
    """The parameters of EXECUTE name [USING parameter, ...], each as it is written."""
    words = Words(text)
    words.need("EXECUTE")
    words.next("a name")
    if not words.take("USING"):
        words.end()
        return []
    return words.separated()


def _alter(text: str) -> Catalog:
    words = Words(text)
    words.need("ALTER", "TABLE")
    name = words.name()
    if words.take("ADD"):
        exists_ok = words.take("IF", "NOT", "EXISTS")
        partitions = []
        while words.take("PARTITION"):
            values = _partition_values(words)
            partitions.append(
                {"values": values, "location": words.string() if words.take("LOCATION") else None}
            )
        words.end()
        if partitions:
            return Catalog("add_partitions", {"name": name, "partitions": partitions, "exists_ok": exists_ok})
    elif words.take("DROP"):
        missing_ok = words.take("IF", "EXISTS")
        dropped = []
        while words.take("PARTITION"):
            dropped.append(_partition_values(words))
            words.take(",")
        words.end()
        if dropped:
            return Catalog("drop_partitions", {"name": name, "partitions": dropped, "missing_ok": missing_ok})
    raise QueryError(
        "NOT_SUPPORTED",
        f"{' '.join(text.split()[:5]).upper()}: only ADD and DROP PARTITION are computed by local AWS",
    )


def _partition_values(words: Words) -> dict[str, str]:
    words.need("(")
    values = {}
    while not words.take(")"):
        key = words.next("a partition column").text.lower()
        words.need("=")
        values[key] = words.next("a value").text
        words.take(",")
    return values


BY_WORD: dict[str, Callable[[str], Statement]] = {
    "UNLOAD": _unload,
    "SHOW": _show,
    "MSCK": _repair,
    "ALTER": _alter,
    "PREPARE": _prepare,
    "DEALLOCATE": _deallocate,
    "DESCRIBE": _describe,
    "DESC": _describe,
}

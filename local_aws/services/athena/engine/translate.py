"""A Trino query as a DuckDB query: names resolved, types inferred, differences rewritten or refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import ErrorLevel, exp, parse_one
from sqlglot.dialects.athena import Athena
from sqlglot.errors import OptimizeError, ParseError, SqlglotError, TokenError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from local_aws.services.athena.engine import functions, lambdas, lexer, rewrites, types, typing_rules
from local_aws.services.athena.engine.errors import QueryError, at

_METADATA = functions.metadata(typing_rules.METADATA)
_REFUSED_CLAUSES = {
    exp.Pivot: "PIVOT",
    exp.MatchRecognize: "MATCH_RECOGNIZE",
    exp.AtTimeZone: "AT TIME ZONE",
    exp.Version: "time travel (FOR TIMESTAMP AS OF)",
    exp.JSONValue: "json_value",
    exp.JSONTable: "json_table",
    exp.Command: "this statement",
}


@dataclass(frozen=True)
class Translated:
    """`columns`: the output names. `used`: (database, table) -> names of the columns that are read.

    `filters`: (database, table) -> rewritten conditions that hold for every row that is used of a table which
    the query names once.
    """

    sql: str
    columns: list[str]
    kinds: list[exp.DataType]
    used: dict[tuple[str, str], set[str]]
    filters: dict[tuple[str, str], list[exp.Expr]]


def parse(sql: str) -> exp.Expr:
    """One statement of Athena's SQL. Raises QueryError with the place of the mistake."""
    try:
        tree = parse_one(_decimals_as_casts(sql).strip().rstrip(";"), read="athena")
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        where = at(first.get("line"), (first.get("col") or 0) - len(first.get("highlight") or "") + 1)
        raise QueryError("SYNTAX_ERROR", f"{where}{first.get('description') or error}") from error
    except (TokenError, SqlglotError) as error:
        raise QueryError("SYNTAX_ERROR", str(error)) from error
    if tree is None:
        raise QueryError("SYNTAX_ERROR", "the query is empty")
    for cast in tree.find_all(exp.Cast):
        if cast.to.is_type(exp.DType.DECIMAL) and len(cast.to.expressions) < 2:
            precision = cast.to.expressions[0].name if cast.to.expressions else "38"  # DuckDB's is (18, 3)
            cast.set("to", exp.DataType.build(f"DECIMAL({precision}, 0)", dialect="trino"))
    return tree


def _decimals_as_casts(sql: str) -> str:
    """`DECIMAL '1.50'` is of decimal(3,2); sqlglot makes the same of it as of CAST('1.50' AS DECIMAL)."""
    for word, value in reversed(list(pairwise(lexer.tokens(sql)))):
        if (word.kind, word.text.upper(), value.kind) != ("word", "DECIMAL", "string"):
            continue
        whole, _, part = value.text.lstrip("+-").partition(".")
        if not (whole + part).isdecimal():
            raise QueryError(
                "INVALID_LITERAL", f"{lexer.place(sql, word.start)}'{value.text}' is not a DECIMAL"
            )
        precision = max(1, len(whole.lstrip("0")) + len(part))
        cast = f"CAST('{value.text}' AS DECIMAL({precision}, {len(part)}))"
        sql = sql[: word.start] + cast + sql[value.end :]
    return sql


def as_query(tree: exp.Expr) -> exp.Query:
    """A query without the parentheses around it; VALUES as a query."""
    tree = tree.unnest()
    if isinstance(tree, exp.Values):
        return exp.select("*").from_(tree)
    if not isinstance(tree, exp.Query):
        raise QueryError("SYNTAX_ERROR", f"{tree.sql('athena')} is not a query")
    return tree


def tables(query: exp.Expr, database: str | None) -> Iterator[tuple[exp.Table, str, str]]:
    """Every catalog table that a query names, with its database and name in lower case."""
    from sqlglot.optimizer.scope import traverse_scope

    for scope in traverse_scope(query):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
                catalog = source.catalog.lower()
                if catalog not in ("", "awsdatacatalog", "hive"):
                    raise QueryError(
                        "CATALOG_NOT_FOUND", f"{place(source)}Catalog '{catalog}' does not exist"
                    )
                schema = (source.db or database or "").lower()
                if not schema:
                    raise QueryError(
                        "MISSING_SCHEMA_NAME",
                        f"{place(source)}Schema must be specified when session schema is not set",
                    )
                yield source, schema, source.name.lower()


def translate(
    query: exp.Query, database: str | None, schema: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> Translated:
    """Translate a query. `schema`: database -> table -> column -> Hive type, of every table that it names."""
    for table, _, _ in list(tables(query, database)):
        table.set("catalog", None)
    _prepare(query)
    types_of = {
        db: {
            table: {name: types.from_hive(kind) for name, kind in columns.items()}
            for table, columns in found.items()
        }
        for db, found in schema.items()
    }
    known = MappingSchema(types_of, dialect="athena") if types_of else MappingSchema(dialect="athena")
    try:
        tree = qualify(query, schema=known, db=database, dialect="athena", expand_alias_refs=False)
        tree = annotate_types(tree, schema=known, expression_metadata=_METADATA, dialect="athena")
        if lambdas.infer(tree, _METADATA):
            tree = annotate_types(
                tree, schema=known, expression_metadata=_METADATA, dialect="athena", overwrite_types=False
            )
    except OptimizeError as error:
        raise _unresolved(error) from error
    used = _used(tree)
    names = _name_outputs(tree)
    kinds = [typing_rules.kind_of(select) for select in tree.selects]
    _check(tree)
    tree = rewrites.apply(tree)
    filters = _filters(tree)
    try:
        sql = tree.sql("duckdb", unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise QueryError("NOT_SUPPORTED", f"not computed by local AWS: {error}") from error
    return Translated(sql, names, kinds, used, filters)


def place(node: exp.Expr) -> str:
    """`line 1:8: ` of a node whose identifier remembers it."""
    for part in node.find_all(exp.Identifier):
        if "line" in part.meta:
            return at(part.meta["line"], part.meta["col"] - len(part.name) + 1)
    return ""


def _prepare(query: exp.Expr) -> None:
    """What must be settled before names are resolved: array positions, names of unnamed columns."""
    dialect = Athena()
    for bracket in list(query.find_all(exp.Bracket)):
        safe = bracket.args.get("safe")
        offset = 0 if safe else dialect.INDEX_OFFSET
        index = exp.apply_index_offset(bracket.this, bracket.expressions, offset, dialect)
        if len(index) != 1:
            raise QueryError("SYNTAX_ERROR", "a subscript takes one index")
        name = "t_element_at" if safe else "t_subscript"
        bracket.replace(exp.Anonymous(this=name, expressions=[bracket.this.copy(), index[0].copy()]))
    for select in query.find_all(exp.Select):
        projections = [
            projection
            if isinstance(projection, exp.Alias | exp.Aliases | exp.Column | exp.Dot) or projection.is_star
            else exp.alias_(projection.copy(), f"_col{index}", quoted=True)
            for index, projection in enumerate(select.expressions)
        ]
        select.set("expressions", projections)


def _name_outputs(tree: exp.Query) -> list[str]:
    """Output names; unnamed columns are counted from 0 over all columns, those of `*` included."""
    names = []
    for index, select in enumerate(tree.selects):
        name = select.alias_or_name
        names.append(f"_col{index}" if name.startswith("_col") and name[4:].isdigit() else name)
    return names


def _used(tree: exp.Expr) -> dict[tuple[str, str], set[str]]:
    from sqlglot.optimizer.scope import traverse_scope

    used: dict[tuple[str, str], set[str]] = {}
    for scope in traverse_scope(tree):
        for name, source in scope.sources.items():
            if isinstance(source, exp.Table):
                columns = used.setdefault((source.db, source.name), set())
                columns.update(column.name for column in scope.columns if column.table == name)
    return used


def _filters(tree: exp.Expr) -> dict[tuple[str, str], list[exp.Expr]]:
    """Conditions of WHERE over one table alone, where that table is read in one place only."""
    from sqlglot.optimizer.scope import traverse_scope

    places: dict[tuple[str, str], list[list[exp.Expr]]] = {}
    for scope in traverse_scope(tree):
        where = scope.expression.args.get("where")
        conditions = (
            list(where.this.flatten() if isinstance(where.this, exp.And) else [where.this]) if where else []
        )
        outer = any(join.side for join in scope.expression.args.get("joins") or ())
        for name, source in scope.sources.items():
            if isinstance(source, exp.Table):
                own = [c for c in conditions if {column.table for column in c.find_all(exp.Column)} == {name}]
                places.setdefault((source.db, source.name), []).append([] if outer else own)
    return {key: found[0] for key, found in places.items() if len(found) == 1 and found[0]}


def _check(tree: exp.Expr) -> None:
    """Refuse by name what is not computed, before anything is rewritten."""
    for node in tree.walk():
        for cls, name in _REFUSED_CLAUSES.items():
            if isinstance(node, cls):
                raise QueryError("NOT_SUPPORTED", f"{place(node)}{name} is not computed by local AWS")
        if isinstance(node, exp.Anonymous):
            if str(node.this).lower() not in functions.NAMED:
                raise QueryError(
                    "FUNCTION_NOT_FOUND", f"{place(node)}{_not_computed(str(node.this).lower())}"
                )
        elif isinstance(node, exp.Func) and type(node) not in functions.TYPED:
            raise QueryError("FUNCTION_NOT_FOUND", f"{place(node)}{_not_computed(node.sql_name().lower())}")


def _not_computed(name: str) -> str:
    return f"Function '{name}' not registered, or not computed by local AWS"


def _unresolved(error: OptimizeError) -> QueryError:
    text = str(error)
    if "could not be resolved" in text and "'" in text:
        name = text.split("'")[1]
        line, column = _line_and_column(text)
        if name.startswith("$"):
            return QueryError("NOT_SUPPORTED", f"the hidden column {name!r} is not computed by local AWS")
        return QueryError("COLUMN_NOT_FOUND", f"{at(line, column)}Column '{name}' cannot be resolved")
    return QueryError("SYNTAX_ERROR", text)


def _line_and_column(text: str) -> tuple[int | None, int | None]:
    import re

    found = re.search(r"Line: (\d+), Col: (\d+)", text)
    if not found:
        return None, None
    name = text.split("'")[1]
    return int(found[1]), int(found[2]) - len(name) + 1

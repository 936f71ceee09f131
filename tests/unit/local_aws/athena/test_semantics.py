"""What Athena (Trino) answers where DuckDB alone would answer something else, and what is refused by name."""

import pytest

# One line for each silent difference that the project knows of: expression, Athena's value.
DIFFERENCES = [
    ("5/2", "2"),
    ("-7/2", "-3"),
    ("try(1/0)", None),
    ("1.0/3", "0.3"),
    ("2.0/3", "0.7"),
    ("100.0*2/3", "66.7"),
    ("cast(-1 as decimal(3,1))/3", "-0.3"),
    ("date_diff('day', timestamp '2024-01-01 23:00:00', timestamp '2024-01-02 01:00:00')", "0"),
    ("date_diff('hour', timestamp '2024-01-01 00:59:00', timestamp '2024-01-01 01:01:00')", "0"),
    ("date_diff('month', date '2024-01-31', date '2024-02-29')", "1"),
    ("regexp_extract('abc', 'x')", None),
    ("regexp_extract('abc', 'b')", "b"),
    ("split_part('a', '-', 2)", None),
    ("split_part('a-b', '-', 2)", "b"),
    ("substr('hello', 0, 2)", ""),
    ("substr('hello', -9)", ""),
    ("substr('hello', 2, 3)", "ell"),
    ("cast(1e0 as varchar)", "1.0E0"),
    ("cast(1234.5e0 as varchar)", "1.2345E3"),
    ("cast(-0.00012e0 as varchar)", "-1.2E-4"),
    ("cast(0e0 as varchar)", "0.0E0"),
    ("date '2024-01-31' + interval '1' month", "2024-02-29"),
    ("date_add('month', 1, date '2024-01-31')", "2024-02-29"),
    ("date_trunc('month', date '2024-01-31')", "2024-01-01"),
    ("date '2024-01-03' - date '2024-01-01'", "2 00:00:00.000"),
    ("9007199254740993/1", "9007199254740993"),
    ("format('%s-%d', 'a', 3)", "a-3"),
    ("format('%.2f', 3.14159e0)", "3.14"),
    ("extract(dow from date '2024-01-07')", "7"),
    ("day_of_week(date '2024-01-07')", "7"),
    ("cast(json_extract('{\"a\":\"x\"}', '$.a') as varchar)", "x"),
    ("json_extract_scalar('{\"a\":{\"b\":1}}', '$.a')", None),
    ("try_cast('1.9' as integer)", None),
    ("try_cast(' 1' as integer)", None),
    ("try_cast('2024/01/31' as date)", None),
    ("cast(2.5e0 as integer)", "3"),
    ("cast('hello' as varchar(2))", "he"),
    ("cast(timestamp '2024-01-31 10:00:00' as varchar)", "2024-01-31 10:00:00.000"),
    ("reduce(array[1,2,3], 0, (s, x) -> s + x, s -> s * 10)", "60"),
    ("transform(array[3,1], x -> x / 2)", "[1, 0]"),
    ("transform(transform(array[3,1], x -> x + 1), y -> y / 2)", "[2, 1]"),
    ("typeof(1e0)", "double"),
    ("typeof(1.5)", "decimal(2,1)"),
    ("typeof(1)", "integer"),
    ("concat('a', null)", None),
    ("trim(chr(9) || 'a ')", "a"),
    ("greatest(1, null)", None),
    ("sign(-2.5e0)", "-1.0"),
    ("round(2.345, 2)", "2.350"),
    ("contains(array[1, null], 5)", None),
    ("array_distinct(array[1, null, 1, null])", "[1, null]"),
    ("array_max(array[1, null])", None),
    ("element_at(array[1], 9)", None),
    ("regexp_replace('abc', '(b)', '[$1]')", "a[b]c"),
    ("date_format(timestamp '2024-01-05 13:07:09', '%Y-%m-%d %H:%i:%s')", "2024-01-05 13:07:09"),
    ("year_of_week(date '2024-12-30')", "2025"),
    ("from_base('7fffffffffffffff', 16)", "9223372036854775807"),
    ("from_base('Zz', 36)", "1295"),
    ("try(from_base('12', 2))", None),
    ("decimal '1.50'", "1.50"),
    ("typeof(decimal '-0012.50')", "decimal(4,2)"),
    ("cast(2.5 as decimal)", "3"),
    ("typeof(cast(1 as decimal))", "decimal(38,0)"),
    ("typeof(cast(1 as decimal(5)))", "decimal(5,0)"),
]


@pytest.mark.parametrize(("expression", "expected"), DIFFERENCES)
def test_silent_difference_is_corrected(engine, expression, expected):
    assert engine.values(expression) == [expected]


ERRORS = [
    ("SELECT 1/0", "DIVISION_BY_ZERO: Division by zero"),
    ("SELECT 1.0/0", "DIVISION_BY_ZERO: Division by zero"),
    (
        "SELECT array[1,2,3][5]",
        "INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: 5 > 3",
    ),
    ("SELECT array[1][0]", "INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1"),
    ("SELECT map(array['a'], array[1])['z']", "INVALID_FUNCTION_ARGUMENT: Key not present in map: z"),
    ("SELECT cast('1.9' as integer)", "INVALID_CAST_ARGUMENT: Cannot cast '1.9' to INTEGER"),
    ("SELECT from_base('zz', 16)", "INVALID_FUNCTION_ARGUMENT: Not a valid base-16 number: zz"),
    ("SELECT s + 1 FROM t", "TYPE_MISMATCH: Cannot apply operator: varchar + integer"),
    ("SELECT a FROM t WHERE s = 5", "TYPE_MISMATCH: Cannot apply operator: varchar = integer"),
    ("SELECT a FROM t WHERE dt = '2024-01-31'", "TYPE_MISMATCH: Cannot apply operator: date = varchar"),
    ("SELECT a || s FROM t", "TYPE_MISMATCH: Unexpected parameters (integer) for function concat"),
    ("SELECT nope FROM t", "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"),
    ("SELECT 1\nFROM gone", "TABLE_NOT_FOUND: line 2:6: Table 'awsdatacatalog.db.gone' does not exist"),
    ("SELEC 1", "SYNTAX_ERROR: line 1:7: "),
]


@pytest.mark.parametrize(("sql", "expected"), ERRORS)
def test_error_says_what_athena_says(with_sample, sql, expected):
    assert with_sample.error(sql).startswith(expected)


REFUSED = [
    ("json_value('{}', 'lax $.a')", "json_value is not computed by local AWS"),
    ("json_query('{}', 'lax $.a')", "json_query is not computed by local AWS"),
    ("url_extract_host('http://a/')", "'url_extract_host' not registered, or not computed by local AWS"),
    ("approx_most_frequent(3, 1, 10)", "'approx_most_frequent' not registered, or not computed"),
    ("skewness(1)", "'skewness' not registered, or not computed"),
    ("checksum(1)", "'checksum' not registered, or not computed"),
    (
        "map_filter(map(array['a'], array[1]), (k, v) -> v > 1)",
        "'map_filter' not registered, or not computed",
    ),
    ("zip(array[1], array[2])", "'zip' not registered, or not computed"),
    ("timestamp '2024-01-01 00:00:00' at time zone 'UTC'", "AT TIME ZONE is not computed by local AWS"),
    ("date_format(now(), '%v')", "%v not supported"),
    ("array_sort(array[1], (x, y) -> 1)", "array_sort with a comparator is not computed"),
    ("cast('a' as char(3))", "CAST to char(n) is not computed"),
]


@pytest.mark.parametrize(("expression", "expected"), REFUSED)
def test_what_is_not_computed_is_refused_by_name(engine, expression, expected):
    assert expected in engine.error(f"SELECT {expression}")


def test_division_follows_the_types_of_the_columns(with_sample):
    result = with_sample(
        "SELECT a/b, c/b, d/b, price/3, a/2e0, sum(a)/count(*) FROM t GROUP BY a, b, c, d, price"
    )
    assert result.rows == [["3", "4", "0.75", "3.42", "3.5", "7"]]
    assert result.types == ["integer", "bigint", "double", "decimal", "double", "bigint"]


def test_division_sees_through_subqueries_unions_and_windows(with_sample):
    query = """
        WITH both AS (SELECT a AS n FROM t UNION ALL SELECT b FROM t),
             ranked AS (SELECT n / 2 AS half, row_number() OVER (ORDER BY n) / 2 AS place FROM both)
        SELECT half, place FROM ranked ORDER BY half
    """
    assert with_sample(query).rows == [["1", "0"], ["3", "1"]]


def test_aggregates_have_trinos_types(with_sample):
    result = with_sample(
        "SELECT sum(a), avg(a), sum(price), avg(price), count(*), max(dt), approx_distinct(s), "
        "array_agg(a ORDER BY a), avg(price) FILTER (WHERE flag) FROM t"
    )
    assert result.rows == [["7", "7.0", "10.25", "10.25", "1", "2024-01-31", "1", "[7]", "10.25"]]
    assert result.types == [
        "bigint",
        "double",
        "decimal",
        "decimal",
        "bigint",
        "date",
        "bigint",
        "array",
        "decimal",
    ]


def test_max_by_gives_the_value_even_when_it_is_null(engine):
    rows = engine("SELECT max_by(x, y), min_by(x, y) FROM (VALUES (1, 1), (NULL, 2)) AS v(x, y)").rows
    assert rows == [[None, "1"]]


def test_nulls_come_last_in_both_directions(engine):
    query = "SELECT x FROM (VALUES 2, NULL, 1) AS v(x) ORDER BY x"
    assert [row[0] for row in engine(query).rows] == ["1", "2", None]
    assert [row[0] for row in engine(query + " DESC").rows] == ["2", "1", None]


def test_unnest_with_ordinality(engine):
    rows = engine(
        "SELECT n, o FROM (SELECT array['x','y'] AS l) CROSS JOIN UNNEST(l) WITH ORDINALITY AS u(n, o)"
    ).rows
    assert sorted(rows) == [["x", "1"], ["y", "2"]]


def test_names_of_columns(with_sample):
    result = with_sample(
        "SELECT a, a + 1, count(*) AS N, *, t.b FROM t GROUP BY a, b, c, d, s, price, ts, dt, flag"
    )
    names = ["a", "b", "c", "d", "s", "price", "ts", "dt", "flag"]
    assert result.header == ["a", "_col1", "n", *names, "b"]


def test_an_alias_does_not_hide_the_column_in_where(with_sample):
    assert with_sample("SELECT a + 1 AS b FROM t WHERE b = 2").rows == [["8"]]


def test_parameters_replace_question_marks_outside_texts(with_sample):
    result = with_sample("SELECT '?', a FROM t WHERE s = ? AND a > ? -- ?", ["'x-y'", "-1"])
    assert result.rows == [["?", "7"]]


def test_a_parameter_must_be_a_literal(with_sample):
    from local_aws.services.athena.engine.errors import QueryError

    with pytest.raises(QueryError, match="parameter '1 OR 1=1' is not a literal"):
        with_sample("SELECT a FROM t WHERE a = ?", ["1 OR 1=1"])
    with pytest.raises(QueryError, match="expected 1 but found 2"):
        with_sample("SELECT a FROM t WHERE a = ?", ["1", "2"])


def test_a_query_cannot_reach_files_or_settings(engine):
    assert "not computed" in engine.error("SELECT * FROM read_csv('/etc/passwd')")
    assert "TABLE_NOT_FOUND" in engine.error('SELECT * FROM "/etc/passwd"')
    assert "NOT_SUPPORTED" in engine.error("COPY t TO '/tmp/x'")
    assert "NOT_SUPPORTED" in engine.error("SET threads = 1")

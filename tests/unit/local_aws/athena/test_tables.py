"""Tables over stored files: the formats of the catalog, partitions, bytes scanned."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
JSON = "org.openx.data.jsonserde.JsonSerDe"


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_lazy_text_has_no_quotes_and_reads_what_it_cannot_convert_as_null(engine):
    engine.table(
        "lazy",
        {"n": "int", "text": "string", "more": "string"},
        {"part": b'n,text,more\n1,"q",\nx,,\\N\n3\n4,a,b,extra\n'},
        parameters={"skip.header.line.count": "1"},
    )
    result = engine("SELECT * FROM lazy")
    assert result.rows == [["1", '"q"', ""], [None, "", None], ["3", None, None], ["4", "a", "b"]]
    assert result.scanned == len(b'n,text,more\n1,"q",\nx,,\\N\n3\n4,a,b,extra\n')


def test_quoted_text_reads_quotes_and_fails_on_what_it_cannot_convert(engine):
    serde = {
        "serde": OPEN_CSV,
        "serde_parameters": {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
    }
    engine.table("quoted", {"n": "int", "s": "string"}, {"part": b'"1","a ""b"" c"\n2,"x\ny"\n'}, **serde)
    assert engine("SELECT * FROM quoted ORDER BY n").rows == [["1", 'a "b" c'], ["2", "x\ny"]]
    engine.table("bad", {"n": "int"}, {"part": b"one\n"}, **serde)
    assert engine.error("SELECT n FROM bad") == (
        "HIVE_BAD_DATA: Error parsing field value 'one' for field 0: For input string"
    )


def test_gzip_files_are_read_by_their_names(engine):
    engine.table("zipped", {"n": "int"}, {"part.csv.gz": gzip.compress(b"1\n2\n"), "plain.csv": b"3\n"})
    assert engine("SELECT sum(n) FROM zipped").rows == [["6"]]


def test_json_lines_match_keys_without_regard_to_case(engine):
    lines = [
        {"eventId": "a", "payload": {"Score": 0.5, "tags": ["x"]}},
        {"eventid": "b", "payload": {"Score": 1}},
    ]
    engine.table(
        "events",
        {"eventid": "string", "payload": "struct<score:double,tags:array<string>>", "absent": "int"},
        {"part": "".join(json.dumps(line) + "\n" for line in lines[:1]).encode()},
        serde=JSON,
        serde_parameters={},
    )
    rows = engine("SELECT eventid, payload.score, payload.tags[1], absent FROM events").rows
    assert rows == [["a", "0.5", "x", None]]


def test_json_keys_that_are_null_in_every_line(engine):
    lines = b'{"a": null, "b": 1, "c": {"d": null}}\n{"a": null, "b": null, "c": {"d": null}}\n'
    columns = {"a": "string", "b": "double", "c": "struct<d:string>"}
    engine.table("n", columns, {"part": lines}, serde=JSON, serde_parameters={})
    assert engine("SELECT a, b, c.d FROM n ORDER BY b").rows == [[None, "1.0", None], [None, None, None]]


def test_parquet_columns_are_found_by_name_and_may_be_absent(engine):
    engine.table(
        "wide",
        {"b": "bigint", "a": "int", "later": "string"},
        {"one": parquet(A=pa.array([1, 2], pa.int32()), b=pa.array([10, 20], pa.int64()))},
        serde=PARQUET,
    )
    result = engine("SELECT a, b, later FROM wide ORDER BY a")
    assert result.rows == [["1", "10", None], ["2", "20", None]]
    assert result.types == ["integer", "bigint", "varchar"]


def test_only_the_columns_that_are_used_count_as_scanned(engine):
    content = parquet(a=pa.array(range(10_000), pa.int64()), b=pa.array(["long text"] * 10_000))
    engine.table("big", {"a": "bigint", "b": "string"}, {"one": content}, serde=PARQUET)
    narrow, wide = engine("SELECT count(b) FROM big").scanned, engine("SELECT * FROM big").scanned
    assert 0 < narrow < wide <= len(content)


def test_an_empty_table_has_its_columns_and_no_rows(engine):
    engine.table("empty", {"n": "int"}, {})
    result = engine("SELECT * FROM empty")
    assert (result.header, result.rows, result.types) == (["n"], [], ["integer"])


def partitioned(engine):
    engine.table(
        "daily",
        {"n": "int"},
        {f"day={day}/part": f"{day}\n".encode() for day in range(1, 5)},
        partition_keys=[{"name": "day", "type": "int"}],
    )
    engine.partitions["db", "daily"] = [
        {"values": [str(day)], "location": f"s3://lake/daily/day={day}/"} for day in range(1, 5)
    ]


def asked(engine):
    (locations,) = [arguments["locations"] for operation, arguments in engine.calls if operation == "files"]
    return [location.rsplit("=", 1)[1].rstrip("/") for location in locations]


def test_only_the_partitions_that_filters_leave_are_read(engine):
    partitioned(engine)
    assert engine("SELECT n, day FROM daily WHERE day >= 3 AND n < 100 ORDER BY day").rows == [
        ["3", "3"],
        ["4", "4"],
    ]
    assert asked(engine) == ["3", "4"]


def test_filters_behind_a_subquery_or_an_outer_join_do_not_lose_rows(engine):
    partitioned(engine)
    query = (
        "SELECT count(*) FROM (SELECT 1 AS x) AS one LEFT JOIN daily ON day = 2 WHERE day IS NULL OR day = 2"
    )
    assert engine(query).rows == [["1"]]


def test_a_table_read_twice_keeps_all_partitions_that_either_needs(engine):
    partitioned(engine)
    query = "SELECT (SELECT sum(n) FROM daily WHERE day = 1), (SELECT sum(n) FROM daily WHERE day = 4)"
    assert engine(query).rows == [["1", "4"]]


def test_a_damaged_parquet_file_is_named(engine):
    engine.table("broken", {"a": "int"}, {"one": b"not parquet"}, serde=PARQUET)
    assert "s3://lake/broken/one" in engine.error("SELECT * FROM broken")


def test_an_unknown_serde_is_refused_by_name(engine):
    engine.table("orc", {"a": "int"}, {}, serde="org.apache.hadoop.hive.ql.io.orc.OrcSerde")
    assert "org.apache.hadoop.hive.ql.io.orc.OrcSerde" in engine.error("SELECT * FROM orc")

"""Which Trino functions are computed, by which DuckDB function or macro, and of what type they are.

A function that is not here is refused by its name. `Function.call` is the DuckDB function or a macro of
macros.sql, called with the arguments in `keys` order; None leaves it to rewrites.py, else to sqlglot.
"""

from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.optimizer.annotate_types import TypeAnnotator

from local_aws.services.athena.engine.typing_rules import (
    UNKNOWN,
    Annotator,
    array_of_first,
    element_of_first,
    fixed,
    inner,
    kind_of,
    same,
)

_T = exp.DType
BIGINT, DOUBLE, VARCHAR, BOOLEAN = fixed(_T.BIGINT), fixed(_T.DOUBLE), fixed(_T.VARCHAR), fixed(_T.BOOLEAN)
DATE, TIMESTAMP, TIMESTAMPTZ = fixed(_T.DATE), fixed(_T.TIMESTAMP), fixed(_T.TIMESTAMPTZ)
BINARY, JSON, INTEGER = fixed(_T.VARBINARY), fixed(_T.JSON), fixed(_T.INT)


@dataclass(frozen=True)
class Function:
    """`returns`: the type rule; None keeps what METADATA or sqlglot says."""

    call: str | None
    keys: tuple[str, ...] = ("this",)
    returns: Annotator | None = None


def _varchar_array(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    return annotator._set_type(node, exp.DataType.build("ARRAY(VARCHAR)", dialect="trino"))


def _keys_of(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    return annotator._set_type(node, _array(inner(kind_of(node.this), 0)))


def _array(kind: exp.DataType) -> exp.DataType:
    return exp.DataType(this=_T.ARRAY, expressions=[kind], nested=True)


_PAIR = ("this", "expression")
_THREE = ("this", "expression", "expressions")

# Functions that sqlglot knows, by its class.
TYPED: dict[type[exp.Expr], Function] = {
    # mathematics
    exp.Abs: Function("abs", returns=same),
    exp.Ceil: Function("ceil"),
    exp.Floor: Function("floor"),
    exp.Round: Function(None),
    exp.Pow: Function("pow", _PAIR, DOUBLE),
    exp.Sqrt: Function("sqrt", returns=DOUBLE),
    exp.Cbrt: Function("cbrt", returns=DOUBLE),
    exp.Exp: Function("exp", returns=DOUBLE),
    exp.Ln: Function("ln", returns=DOUBLE),
    exp.Log: Function("log", _PAIR, DOUBLE),
    exp.Sign: Function("t_sign", returns=same),
    exp.Pi: Function("pi", (), DOUBLE),
    exp.Rand: Function("random", (), DOUBLE),
    exp.Radians: Function("radians", returns=DOUBLE),
    exp.Degrees: Function("degrees", returns=DOUBLE),
    exp.Sin: Function("sin", returns=DOUBLE),
    exp.Cos: Function("cos", returns=DOUBLE),
    exp.Tan: Function("tan", returns=DOUBLE),
    exp.Asin: Function("asin", returns=DOUBLE),
    exp.Acos: Function("acos", returns=DOUBLE),
    exp.Atan: Function("atan", returns=DOUBLE),
    exp.Atan2: Function("atan2", _PAIR, DOUBLE),
    exp.Trunc: Function("trunc", ("this", "decimals"), same),
    exp.IsNan: Function("isnan", returns=BOOLEAN),
    exp.WidthBucket: Function("t_width_bucket", ("this", "min_value", "max_value", "num_buckets"), BIGINT),
    exp.Greatest: Function(None),
    exp.Least: Function(None),
    # text
    exp.Length: Function("length", returns=BIGINT),
    exp.Lower: Function("lower", returns=VARCHAR),
    exp.Upper: Function("upper", returns=VARCHAR),
    exp.Trim: Function(None, returns=VARCHAR),
    exp.Substring: Function("t_substr", ("this", "start", "length"), VARCHAR),
    exp.Replace: Function("t_replace", ("this", "expression", "replacement"), VARCHAR),
    exp.Reverse: Function("reverse", returns=same),
    exp.Concat: Function(None, returns=None),
    exp.ConcatWs: Function("concat_ws", ("expressions",), VARCHAR),
    exp.StrPosition: Function("strpos", ("this", "substr"), BIGINT),
    exp.Split: Function("string_split", _PAIR, _varchar_array),
    exp.SplitPart: Function("t_split_part", ("this", "delimiter", "part_index"), VARCHAR),
    exp.Pad: Function(None, returns=VARCHAR),
    exp.Chr: Function("chr", ("expressions",), VARCHAR),
    exp.StartsWith: Function("starts_with", _PAIR, BOOLEAN),
    exp.Translate: Function("translate", ("this", "from_", "to"), VARCHAR),
    exp.Levenshtein: Function("levenshtein", _PAIR, BIGINT),
    exp.Format: Function(None, returns=VARCHAR),
    exp.RegexpLike: Function("regexp_matches", _PAIR, BOOLEAN),
    exp.RegexpExtract: Function("t_regexp_extract", ("this", "expression", "group"), VARCHAR),
    exp.RegexpExtractAll: Function("regexp_extract_all", ("this", "expression", "group"), _varchar_array),
    exp.RegexpReplace: Function(None, returns=VARCHAR),
    exp.RegexpCount: Function("t_regexp_count", _PAIR, BIGINT),
    exp.RegexpSplit: Function("regexp_split_to_array", _PAIR, _varchar_array),
    exp.Encode: Function("encode", returns=BINARY),
    exp.Decode: Function("decode", returns=VARCHAR),
    exp.Hex: Function("hex", returns=VARCHAR),
    exp.Unhex: Function("unhex", returns=BINARY),
    exp.MD5Digest: Function("t_md5", returns=BINARY),
    exp.SHA: Function("t_sha1", returns=BINARY),
    exp.SHA2Digest: Function(None, returns=BINARY),
    exp.FromBase: Function("t_from_base", _PAIR, BIGINT),
    exp.ToBase64: Function("base64", returns=VARCHAR),
    exp.FromBase64: Function("from_base64", returns=BINARY),
    # date and time
    exp.TimestampTrunc: Function(None, returns=same),
    exp.DateTrunc: Function(None, returns=same),
    exp.DateAdd: Function(None, returns=same),
    exp.DateDiff: Function(None, returns=BIGINT),
    exp.TimeToStr: Function(None, returns=VARCHAR),
    exp.StrToTime: Function(None, returns=TIMESTAMP),
    exp.UnixToTime: Function("to_timestamp", returns=TIMESTAMPTZ),
    exp.TimeToUnix: Function("epoch", returns=DOUBLE),
    exp.FromISO8601Date: Function("t_iso_date", returns=DATE),
    exp.Year: Function("year", returns=BIGINT),
    exp.Quarter: Function("quarter", returns=BIGINT),
    exp.Month: Function("month", returns=BIGINT),
    exp.WeekOfYear: Function("week", returns=BIGINT),
    exp.Day: Function("day", returns=BIGINT),
    exp.DayOfMonth: Function("day", returns=BIGINT),
    exp.DayOfWeekIso: Function("isodow", returns=BIGINT),
    exp.DayOfYear: Function("dayofyear", returns=BIGINT),
    exp.Hour: Function("hour", returns=BIGINT),
    exp.Minute: Function("minute", returns=BIGINT),
    exp.Second: Function("second", returns=BIGINT),
    exp.YearOfWeek: Function("isoyear", returns=BIGINT),
    exp.LastDay: Function("last_day", returns=DATE),
    exp.CurrentDate: Function("today", (), DATE),
    exp.CurrentTimestamp: Function("now", (), TIMESTAMPTZ),
    exp.Localtimestamp: Function("current_localtimestamp", (), TIMESTAMP),
    exp.Extract: Function(None, returns=BIGINT),
    exp.Date: Function(None, returns=DATE),
    # arrays and maps
    exp.Array: Function(None),
    exp.ArraySize: Function("len", returns=BIGINT),
    exp.ArrayContains: Function("t_contains", _PAIR, BOOLEAN),
    exp.ArrayToString: Function("t_array_join", ("this", "expression", "null"), VARCHAR),
    exp.ArraySort: Function("t_array_sort", ("this", "expression"), same),
    exp.ArrayDistinct: Function("t_array_distinct", returns=same),
    exp.ArrayMax: Function("t_array_max", returns=element_of_first),
    exp.ArrayMin: Function("t_array_min", returns=element_of_first),
    exp.ArrayPosition: Function("t_array_position", _PAIR, BIGINT),
    exp.ArrayRemove: Function("t_array_remove", _PAIR, same),
    exp.ArraySlice: Function("t_slice", ("this", "start", "end"), same),
    exp.GenerateSeries: Function("generate_series", ("start", "end", "step")),
    exp.Flatten: Function("flatten", returns=element_of_first),
    exp.Transform: Function("list_transform", _PAIR),
    exp.ArrayFilter: Function("list_filter", _PAIR, same),
    exp.Reduce: Function(None),
    exp.Map: Function(None),
    exp.MapKeys: Function("map_keys", returns=_keys_of),
    exp.MapFromEntries: Function("map_from_entries"),
    exp.Struct: Function(None),
    exp.Unnest: Function(None),
    exp.Explode: Function(None),
    # aggregates
    exp.Count: Function(None, returns=BIGINT),
    exp.CountIf: Function("count_if", returns=BIGINT),
    exp.Sum: Function(None),
    exp.Avg: Function(None),
    exp.Min: Function("min", returns=same),
    exp.Max: Function("max", returns=same),
    exp.ArgMin: Function("arg_min_null", _PAIR, same),
    exp.ArgMax: Function("arg_max_null", _PAIR, same),
    exp.AnyValue: Function("any_value", returns=same),
    exp.LogicalAnd: Function("bool_and", returns=BOOLEAN),
    exp.LogicalOr: Function("bool_or", returns=BOOLEAN),
    exp.ApproxDistinct: Function("approx_count_distinct", returns=BIGINT),
    exp.ApproxQuantile: Function("approx_quantile", ("this", "quantile"), same),
    exp.Stddev: Function("stddev_samp", returns=DOUBLE),
    exp.StddevSamp: Function("stddev_samp", returns=DOUBLE),
    exp.StddevPop: Function("stddev_pop", returns=DOUBLE),
    exp.Variance: Function("var_samp", returns=DOUBLE),
    exp.VariancePop: Function("var_pop", returns=DOUBLE),
    exp.Corr: Function("corr", _PAIR, DOUBLE),
    exp.CovarPop: Function("covar_pop", _PAIR, DOUBLE),
    exp.CovarSamp: Function("covar_samp", _PAIR, DOUBLE),
    exp.RegrSlope: Function("regr_slope", _PAIR, DOUBLE),
    exp.RegrIntercept: Function("regr_intercept", _PAIR, DOUBLE),
    exp.BitwiseAndAgg: Function("bit_and", returns=BIGINT),
    exp.BitwiseOrAgg: Function("bit_or", returns=BIGINT),
    exp.ArrayAgg: Function(None, returns=array_of_first),
    exp.GroupConcat: Function(None, returns=VARCHAR),
    exp.Grouping: Function(None, returns=BIGINT),
    # windows
    exp.RowNumber: Function(None, returns=BIGINT),
    exp.Rank: Function(None, returns=BIGINT),
    exp.DenseRank: Function(None, returns=BIGINT),
    exp.Ntile: Function(None, returns=BIGINT),
    exp.PercentRank: Function(None, returns=DOUBLE),
    exp.CumeDist: Function(None, returns=DOUBLE),
    exp.Lag: Function(None, returns=same),
    exp.Lead: Function(None, returns=same),
    exp.FirstValue: Function(None, returns=same),
    exp.LastValue: Function(None, returns=same),
    exp.NthValue: Function(None, returns=same),
    # JSON
    exp.JSONExtract: Function(None, returns=JSON),
    exp.JSONExtractScalar: Function(None, returns=VARCHAR),
    exp.ParseJSON: Function(None, returns=JSON),
    exp.JSONFormat: Function(None, returns=VARCHAR),
    # conditions and types
    exp.Case: Function(None),
    exp.If: Function(None),
    exp.Coalesce: Function(None),
    exp.Nullif: Function(None),
    exp.Try: Function(None),
    exp.Cast: Function(None),
    exp.TryCast: Function(None),
    exp.Typeof: Function(None, returns=VARCHAR),
    exp.Uuid: Function("uuid", ()),
    exp.And: Function(None),
    exp.Or: Function(None),
    exp.Xor: Function(None),
    exp.Exists: Function(None),
}


def _first_argument(rule: Any) -> Annotator:
    """A rule over the first of an anonymous function's arguments."""

    def annotate(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
        return annotator._set_type(node, rule(kind_of(node.expressions[0])) if node.expressions else UNKNOWN)

    return annotate


# Functions that sqlglot passes on by name.
NAMED: dict[str, Function] = {
    "e": Function("exp", returns=DOUBLE),
    "nan": Function(None, returns=DOUBLE),
    "infinity": Function(None, returns=DOUBLE),
    "is_finite": Function("isfinite", returns=BOOLEAN),
    "is_infinite": Function("isinf", returns=BOOLEAN),
    "codepoint": Function("unicode", returns=INTEGER),
    "hamming_distance": Function("hamming", returns=BIGINT),
    "to_iso8601": Function(None, returns=VARCHAR),
    "millisecond": Function("t_millisecond", returns=BIGINT),
    "yow": Function("isoyear", returns=BIGINT),
    "any_match": Function(None, returns=BOOLEAN),
    "all_match": Function(None, returns=BOOLEAN),
    "none_match": Function(None, returns=BOOLEAN),
    "arrays_overlap": Function("list_has_any", returns=BOOLEAN),
    "map_values": Function("map_values", returns=_first_argument(lambda kind: _array(inner(kind, -1)))),
    "map_entries": Function("map_entries"),
    "map_concat": Function("map_concat", returns=_first_argument(lambda kind: kind)),
    "map_agg": Function(None),
    "histogram": Function("histogram"),
    "every": Function("bool_and", returns=BOOLEAN),
    "geometric_mean": Function("geomean", returns=DOUBLE),
    "json_array_length": Function("json_array_length", returns=BIGINT),
    # Subscripts, made from brackets before the types are known: see translate.py.
    "t_subscript": Function(None, returns=_first_argument(lambda kind: inner(kind, -1))),
    "t_element_at": Function(None, returns=_first_argument(lambda kind: inner(kind, -1))),
}


def metadata(base: dict[type[exp.Expr], dict[str, Any]]) -> dict[type[exp.Expr], dict[str, Any]]:
    """sqlglot's type metadata with the rules of this table."""

    def anonymous(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
        known = NAMED.get(str(node.this).lower())
        return (
            known.returns(annotator, node)
            if known and known.returns
            else annotator._set_type(node, _T.UNKNOWN)
        )

    rules = {cls: {"annotator": function.returns} for cls, function in TYPED.items() if function.returns}
    return {**base, **rules, exp.Anonymous: {"annotator": anonymous}}

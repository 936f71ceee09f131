"""The `awsglue` package that Glue scripts import, and the wrapper's error message."""

import pytest

from local_aws.images.glue import spark_conf
from local_aws.images.glue.awsglue.dynamicframe import DynamicFrame
from local_aws.images.glue.awsglue.utils import GlueArgumentError, getResolvedOptions
from local_aws.images.glue.run import error_message

ARGV = [
    "script.py",
    "--JOB_NAME",
    "j",
    "--JOB_ID",
    "j_1",
    "--JOB_RUN_ID",
    "jr_1",
    "--my-key",
    "v",
    "--other",
    "x",
]


def test_named_arguments_come_back_and_others_are_ignored():
    values = getResolvedOptions(ARGV, ["JOB_NAME", "my-key"])
    assert values["JOB_NAME"] == "j"
    assert values["my_key"] == "v"
    assert "other" not in values


def test_glues_own_arguments_are_always_there():
    values = getResolvedOptions(ARGV, [])
    assert (values["JOB_ID"], values["JOB_RUN_ID"], values["TempDir"]) == ("j_1", "jr_1", None)
    assert values["job_bookmark_option"] == "job-bookmark-disable"


def test_the_temporary_directory_has_two_names():
    values = getResolvedOptions([*ARGV, "--TempDir", "s3://b/t/"], ["TempDir"])
    assert (values["TempDir"], values["RedshiftTempDir"]) == ("s3://b/t/", "s3://b/t/")


def test_a_missing_argument_is_named():
    with pytest.raises(GlueArgumentError, match="the following arguments are required: --absent"):
        getResolvedOptions(ARGV, ["absent"])


def test_names_are_not_abbreviated():
    with pytest.raises(GlueArgumentError):
        getResolvedOptions(["s", "--bucket_name", "b"], ["bucket"])


def test_bookmark_names_are_reserved():
    with pytest.raises(RuntimeError, match="job-bookmark-option"):
        getResolvedOptions(ARGV, ["job-bookmark-option"])


def test_dynamic_frames_are_refused_where_they_are_used():
    with pytest.raises(NotImplementedError, match="DynamicFrame is not computed by local AWS"):
        DynamicFrame.fromDF(None, None, "name")


def test_several_properties_in_one_argument():
    assert spark_conf.parse_conf("spark.a=1 --conf spark.b='x y'") == {"spark.a": "1", "spark.b": "x y"}
    with pytest.raises(ValueError, match=r"'spark\.a' is not of the form key=value"):
        spark_conf.parse_conf("spark.a")


def test_spark_writes_no_success_objects_and_finds_s3_under_both_schemes(tmp_path):
    properties = spark_conf.defaults("http://127.0.0.1:1", "us-east-1", tmp_path, 2)
    assert properties["spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs"] == "false"
    assert properties["spark.hadoop.fs.s3.impl"] == "org.apache.hadoop.fs.s3a.S3AFileSystem"
    assert properties["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:1"


def test_error_message_is_the_type_and_the_first_line():
    assert error_message(ValueError("boom\nmore")) == "ValueError: boom"
    assert error_message(KeyError()) == "KeyError"

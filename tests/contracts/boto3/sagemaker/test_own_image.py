"""An image of one's own: its name stands for commands in a table that `serve --images` reads."""

import io
import tarfile

import pytest
from botocore.exceptions import ClientError

TABLE = """
[parrot]
training = ["python3", "parrot.py", "train"]
serving = ["python3", "parrot.py", "serve"]
"""
PROGRAM = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

base = Path(os.environ["SAGEMAKER_BASE_DIR"])


class Parrot(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        heard = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer((base / "model" / "word").read_bytes() + b" " + heard)

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if sys.argv[1] == "train":
    word = json.loads((base / "input/config/hyperparameters.json").read_text())["word"]
    (base / "model" / "word").write_text(word)
else:
    HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Parrot).serve_forever()
"""
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/parrot:1"


def test_it_trains_and_serves(new_local_aws, tmp_path, cases):
    (tmp_path / "images.toml").write_text(TABLE)
    (tmp_path / "parrot.py").write_text(PROGRAM)
    aws = new_local_aws("--images", str(tmp_path / "images.toml"))
    sm, s3 = aws.client("sagemaker"), aws.client("s3")
    s3.create_bucket(Bucket="cage")
    sm.create_training_job(
        TrainingJobName="learn",
        RoleArn=cases.role,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={"word": "hello"},
        OutputDataConfig={"S3OutputPath": "s3://cage/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="learn")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = s3.get_object(Bucket="cage", Key="out/learn/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(model)) as archive:
        assert {member.name: member.size for member in archive} == {"word": len("hello")}

    container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sm.create_model(ModelName="parrot", ExecutionRoleArn=cases.role, PrimaryContainer=container)
    variant = {
        "VariantName": "v", "ModelName": "parrot", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"
    }  # fmt: skip
    sm.create_endpoint_config(EndpointConfigName="parrot", ProductionVariants=[variant])
    sm.create_endpoint(EndpointName="parrot", EndpointConfigName="parrot")
    sm.get_waiter("endpoint_in_service").wait(EndpointName="parrot", WaiterConfig=cases.fast)
    answer = aws.client("sagemaker-runtime").invoke_endpoint(EndpointName="parrot", Body=b"world")
    assert answer["Body"].read() == b"hello world"


def test_an_image_that_no_table_names_is_refused(sm, bucket, cases, name):
    with pytest.raises(ClientError, match="no entry for the repository 'parrot'"):
        sm.create_model(ModelName=name, ExecutionRoleArn=cases.role, PrimaryContainer={"Image": IMAGE})

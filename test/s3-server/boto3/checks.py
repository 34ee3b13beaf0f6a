"""boto3 against an S3 server: the client that most training code uses.

Each check is a function that raises when the server is wrong; a line of JSON is printed for each. boto3 differs from the SDK
for JavaScript where servers go wrong: it signs chunks, uploads parts from threads, encodes keys and copy sources in its own
way, and verifies checksums by default. Started by boto3.test.ts with the endpoint and the keys in the environment.
"""

import hashlib
import io
import json
import os
import sys
import tempfile
import traceback
import urllib.error
import urllib.parse
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

MIB = 1024 * 1024
ENDPOINT = os.environ["S3_ENDPOINT"]
BUCKET = "boto3-checks"


def client(**config):
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=os.environ["S3_REGION"],
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["S3_SECRET_KEY"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
    )


s3 = client()


def pattern(size, seed):
    block = hashlib.sha512(str(seed).encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def expect_error(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), f"expected {code} {status}, got {got}"
        return
    raise AssertionError(f"succeeded, expected {code} {status}")


def put_get_head():
    body = pattern(100_000, 1)
    put = s3.put_object(Bucket=BUCKET, Key="dir/a b+c", Body=body, Metadata={"step": "7"}, ContentType="x/y")
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', put
    got = s3.get_object(Bucket=BUCKET, Key="dir/a b+c")
    assert got["Body"].read() == body
    assert got["Metadata"] == {"step": "7"} and got["ContentType"] == "x/y", got
    head = s3.head_object(Bucket=BUCKET, Key="dir/a b+c")
    assert head["ContentLength"] == len(body) and head["ETag"] == put["ETag"], head


def put_from_file_object():
    with tempfile.TemporaryFile() as file:
        file.write(pattern(3 * MIB + 5, 2))
        file.seek(0)
        s3.put_object(Bucket=BUCKET, Key="from-file", Body=file)
    assert s3.get_object(Bucket=BUCKET, Key="from-file")["Body"].read() == pattern(3 * MIB + 5, 2)


def empty_object():
    s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    assert s3.get_object(Bucket=BUCKET, Key="empty")["Body"].read() == b""


def ranges():
    body = pattern(1000, 3)
    s3.put_object(Bucket=BUCKET, Key="ranges", Body=body)
    for header, expected in (
        ("bytes=0-9", body[:10]),
        ("bytes=990-2000", body[990:]),
        ("bytes=500-", body[500:]),
        ("bytes=-7", body[-7:]),
    ):
        got = s3.get_object(Bucket=BUCKET, Key="ranges", Range=header)
        assert got["Body"].read() == expected, header
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    expect_error("InvalidRange", 416, s3.get_object, Bucket=BUCKET, Key="ranges", Range="bytes=1000-")


def errors():
    expect_error("NoSuchKey", 404, s3.get_object, Bucket=BUCKET, Key="missing")
    expect_error("404", 404, s3.head_object, Bucket=BUCKET, Key="missing")
    expect_error("NoSuchBucket", 404, s3.list_objects_v2, Bucket=f"{BUCKET}-missing")


def listing():
    keys = [f"list/{index:03}/{name}" for index in range(30) for name in ("x", "ü €", "😀")]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    paginator = s3.get_paginator("list_objects_v2")
    pages = list(paginator.paginate(Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 7}))
    listed = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    assert listed == sorted(keys, key=lambda key: key.encode()), listed
    assert len(pages) == -(-len(keys) // 7), len(pages)
    pages = paginator.paginate(Bucket=BUCKET, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 4})
    prefixes = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
    assert prefixes == [f"list/{index:03}/" for index in range(30)], prefixes
    first = s3.list_objects(Bucket=BUCKET, Prefix="list/", MaxKeys=2)
    assert [entry["Key"] for entry in first["Contents"]] == keys[:2], first


def odd_keys():
    for key in ("a//b", "a/../b", " lead", "q?x=1&y", "percent%2F", "plus+", "new\nline", "quote'\"", "ü/😀", "k" * 1024):
        body = key.encode()
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, key
        copied = s3.copy_object(Bucket=BUCKET, Key="copied", CopySource={"Bucket": BUCKET, "Key": key})
        assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', key
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"][0]["Key"]
        assert listed == key, (key, listed)
        s3.delete_object(Bucket=BUCKET, Key=key)
        expect_error("NoSuchKey", 404, s3.get_object, Bucket=BUCKET, Key=key)


def managed_multipart():
    body = pattern(23 * MIB + 17, 4)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        with open(path, "wb") as file:
            file.write(body)
        s3.upload_file(path, BUCKET, "managed", Config=config, ExtraArgs={"Metadata": {"by": "upload_file"}})
        head = s3.head_object(Bucket=BUCKET, Key="managed")
        assert head["ETag"].endswith('-5"'), head
        assert head["Metadata"] == {"by": "upload_file"}, head
        back = os.path.join(folder, "back")
        s3.download_file(BUCKET, "managed", back, Config=config)
        with open(back, "rb") as file:
            assert file.read() == body
    stream = io.BytesIO()
    s3.download_fileobj(BUCKET, "managed", stream, Config=config)
    assert stream.getvalue() == body
    s3.copy({"Bucket": BUCKET, "Key": "managed"}, BUCKET, "managed-copy", Config=config)
    assert s3.get_object(Bucket=BUCKET, Key="managed-copy")["Body"].read() == body


def managed_multipart_checksums():
    body = pattern(11 * MIB, 5)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    for algorithm in ("CRC32", "SHA256"):
        key = f"managed-{algorithm}"
        s3.upload_fileobj(io.BytesIO(body), BUCKET, key, Config=config, ExtraArgs={"ChecksumAlgorithm": algorithm})
        got = s3.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        assert got["Body"].read() == body
        assert got.get(f"Checksum{algorithm}"), got


def multipart_by_hand():
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="hand")
    at = {"Bucket": BUCKET, "Key": "hand", "UploadId": upload["UploadId"]}
    bodies = [pattern(5 * MIB, 6), pattern(9, 7)]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**at, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)
    ]
    assert [part["Size"] for part in s3.list_parts(**at)["Parts"]] == [5 * MIB, 9]
    assert [entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [upload["UploadId"]]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key="hand")["Body"].read() == b"".join(bodies)
    other = s3.create_multipart_upload(Bucket=BUCKET, Key="aborted")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="aborted", UploadId=other)
    expect_error("NoSuchUpload", 404, s3.list_parts, Bucket=BUCKET, Key="aborted", UploadId=other)


def conditions():
    etag = s3.put_object(Bucket=BUCKET, Key="cond", Body=b"one", IfNoneMatch="*")["ETag"]
    expect_error("PreconditionFailed", 412, s3.put_object, Bucket=BUCKET, Key="cond", Body=b"two", IfNoneMatch="*")
    expect_error("PreconditionFailed", 412, s3.get_object, Bucket=BUCKET, Key="cond", IfMatch='"no"')
    expect_error("304", 304, s3.get_object, Bucket=BUCKET, Key="cond", IfNoneMatch=etag)
    expect_error("PreconditionFailed", 412, s3.delete_object, Bucket=BUCKET, Key="cond", IfMatch='"no"')
    s3.put_object(Bucket=BUCKET, Key="cond", Body=b"two", IfMatch=etag)
    expect_error("PreconditionFailed", 412, s3.put_object, Bucket=BUCKET, Key="cond", Body=b"three", IfMatch=etag)
    assert s3.get_object(Bucket=BUCKET, Key="cond")["Body"].read() == b"two"


def deleting():
    keys = [f"delete/{index}" for index in range(20)] + ["delete/&<>'\""]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    s3.delete_object(Bucket=BUCKET, Key=keys[0])
    s3.delete_object(Bucket=BUCKET, Key=keys[0])
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys[1:]]})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == sorted(keys[1:]) and "Errors" not in answer, answer
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="delete/")["KeyCount"] == 0


def tags():
    s3.put_object(Bucket=BUCKET, Key="tags", Body=b"", Tagging="a=1&b=x%20y")
    expected = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]
    assert s3.get_object_tagging(Bucket=BUCKET, Key="tags")["TagSet"] == expected
    s3.put_object_tagging(Bucket=BUCKET, Key="tags", Tagging={"TagSet": [{"Key": "c", "Value": ""}]})
    assert s3.get_object_tagging(Bucket=BUCKET, Key="tags")["TagSet"] == [{"Key": "c", "Value": ""}]


def presigned():
    for version in ("s3v4",):
        signer = client(signature_version=version)
        where = {"Bucket": BUCKET, "Key": "pre signed/ü"}
        url = signer.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
        urllib.request.urlopen(urllib.request.Request(url, data=b"presigned", method="PUT")).read()
        url = signer.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
        assert urllib.request.urlopen(url).read() == b"presigned"
        try:
            urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))
            raise AssertionError("an altered URL was accepted")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error


def wrong_secret():
    wrong = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=os.environ["S3_REGION"],
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key="WRONG",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    expect_error("SignatureDoesNotMatch", 403, wrong.list_objects_v2, Bucket=BUCKET)


def signed_payload():
    """Old configurations sign the whole payload and send no checksum."""
    old = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=os.environ["S3_REGION"],
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["S3_SECRET_KEY"],
        config=Config(
            s3={"addressing_style": "path", "payload_signing_enabled": True},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    old.put_object(Bucket=BUCKET, Key="signed", Body=pattern(50_000, 8))
    assert old.get_object(Bucket=BUCKET, Key="signed")["Body"].read() == pattern(50_000, 8)


CHECKS = (
    put_get_head,
    put_from_file_object,
    empty_object,
    ranges,
    errors,
    listing,
    odd_keys,
    managed_multipart,
    managed_multipart_checksums,
    multipart_by_hand,
    conditions,
    deleting,
    tags,
    presigned,
    wrong_secret,
    signed_payload,
)


def main():
    s3.create_bucket(Bucket=BUCKET)
    only = sys.argv[1:]
    for check in CHECKS:
        if only and check.__name__ not in only:
            continue
        error = None
        try:
            check()
        except Exception:  # a failed check must not hide the others
            error = traceback.format_exc(limit=4)
        print(json.dumps({"name": check.__name__, "error": error}), flush=True)


main()

"""Runs examples of the documentation.

Arguments: address of the proxy and a file with the descriptors of the API.
Standard input has one example in each line, as a JSON string; for
each a line is printed, "ok" or what went wrong.
"""

import contextlib
import io
import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


class Namespace:
    """What the generated modules have, made from the descriptors."""


def load(path):
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return [pool.FindFileByName(f"discord_api/{name}.proto") for name in ("discord_api", "outbox")]


def messages(definitions):
    pb = Namespace()
    for name, descriptor in definitions.message_types_by_name.items():
        setattr(pb, name, message_factory.GetMessageClass(descriptor))
    return pb


def methods(definitions, channel):
    stub = Namespace()
    (service,) = definitions.services_by_name.values()
    for method in service.methods:
        call = channel.unary_stream if method.server_streaming else channel.unary_unary
        if method.client_streaming:
            call = channel.stream_stream
        response = message_factory.GetMessageClass(method.output_type)
        path = f"/{service.full_name}/{method.name}"
        setattr(stub, method.name, call(path, lambda message: message.SerializeToString(), response.FromString))
    return stub


address, path = sys.argv[1:]
definitions, outbox = load(path)
with grpc.insecure_channel(address) as channel:
    names = {
        "pb": messages(definitions),
        "stub": methods(definitions, channel),
        "outbox_pb2": messages(outbox),
        "outbox": methods(outbox, channel),
    }
    for line in sys.stdin:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(json.loads(line), dict(names))
            print("ok", flush=True)
        except Exception as ex:
            print(repr(ex).replace("\n", " "), flush=True)

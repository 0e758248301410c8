"""Generates the package's code from the protobuf definitions.

    python tools/generate.py

writes the messages and stubs (discord_api_pb2*, outbox_pb2*), the messages of _status_pb2,
and the methods of both clients (_methods.py, _async_methods.py), in which
methods are in the order of their service. requirements.txt next to this file
lists what it needs.
"""

import os
import re
import sys
import tempfile
import textwrap
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from grpc_tools import protoc

PYTHON = Path(__file__).parent.parent
PACKAGE = PYTHON / "src" / "discordproxy"
CONTRACT = PYTHON.parent / "proto" / "discord_api"
# The files of the contract, each with one service, and the name of their
# modules in the code.
MODULES = {"discord_api": "pb", "outbox": "outbox_pb2"}

# Names that existing code calls. All others are the contract's, in Python's
# spelling.
NAMES = {
    "SendChannelMessage": "create_channel_message",
    "SendDirectMessage": "create_direct_message",
}

# What can be given by position, and those of it that need not be given, where
# that is not just the ids at the beginning of the request.
POSITIONAL: dict[str, tuple[str, ...]] = {
    "SendChannelMessage": ("channel_id", "content?", "embed?"),
    "SendDirectMessage": ("user_id", "content?", "embed?"),
    "EditChannelMessage": ("channel_id", "message_id", "content?"),
    "AddReaction": ("channel_id", "message_id", "emoji_name"),
    "RemoveReaction": ("channel_id", "message_id", "emoji_name", "user_id?"),
    "RemoveAllReactions": ("channel_id", "message_id", "emoji_name?"),
    "ListReactions": ("channel_id", "message_id", "emoji_name"),
    "StartThread": ("channel_id", "message_id?"),
    "AddThreadMember": ("channel_id", "user_id?"),
    "RemoveThreadMember": ("channel_id", "user_id?"),
    "DeleteWebhookMessage": ("webhook_id", "webhook_token", "message_id"),
    "EditWebhookMessage": ("webhook_id", "webhook_token", "message_id"),
    "RespondInteraction": ("interaction_id", "interaction_token"),
    "EditInteractionResponse": ("application_id", "interaction_token", "content?"),
    "FollowupInteraction": ("application_id", "interaction_token", "content?"),
    "SetApplicationCommands": ("guild_id?",),
    "ExecuteWebhook": ("webhook_id", "webhook_token", "content?"),
    "GetDelivery": ("delivery_id",),
    "CancelDelivery": ("delivery_id",),
    "RetryDelivery": ("delivery_id",),
}

# Requests that existing code expects a ValueError for when they say nothing.
NEEDS_CONTENT = {"SendChannelMessage", "SendDirectMessage"}

# What the methods say of their argument for the time, which is none of the contract.
TIMEOUT = "Seconds that this call may take, instead of the client's. 0 means no limit."
REQUESTS = "The requests, sent one after another while the answers come."
TIMEOUT_OF_STREAM = "Seconds that the whole stream may take. By default it has no limit."

SCALARS = {
    FieldDescriptorProto.TYPE_STRING: ("str", '""'),
    FieldDescriptorProto.TYPE_BYTES: ("bytes", 'b""'),
    FieldDescriptorProto.TYPE_BOOL: ("bool", "False"),
    FieldDescriptorProto.TYPE_DOUBLE: ("float", "0.0"),
    FieldDescriptorProto.TYPE_FLOAT: ("float", "0.0"),
}
INTEGER = ("int", "0")

HEAD = '''"""{what}

Made by tools/generate.py from the protobuf definitions. Do not edit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import {imports}
from typing import TypeVar

{known}from google.protobuf.message import Message

from . import discord_api_pb2 as pb
from . import outbox_pb2
from ._rpc import Rpc
'''


# The module of each message and enum, which the files of the contract fill in.
module_of: dict[str, str] = {}


def python_type(name: str) -> str:
    """Returns the class of a message or enum by its name in the contract."""
    if name.startswith(".discord_api."):
        short = name.removeprefix(".discord_api.")
        return f"{module_of[short.partition('.')[0]]}.{short}"
    file = re.sub(r"(?<!^)(?=[A-Z])", "_", name.rpartition(".")[2]).lower()
    return f"google.protobuf.{file}_pb2.{name.rpartition('.')[2]}"


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Field:
    """A field of a request or response."""

    def __init__(self, proto: FieldDescriptorProto, comment: str, zero: str) -> None:
        self.name = proto.name
        self.comment = comment
        self.repeated = proto.label == FieldDescriptorProto.LABEL_REPEATED
        self.is_id = not self.repeated and proto.type == FieldDescriptorProto.TYPE_UINT64 and self.name.endswith("_id")
        if proto.type == FieldDescriptorProto.TYPE_MESSAGE:
            self.type, default = python_type(proto.type_name), "None"
        elif proto.type == FieldDescriptorProto.TYPE_ENUM:
            self.type = python_type(proto.type_name) + ".ValueType"
            default = python_type(proto.type_name).rpartition(".")[0] + "." + zero
        else:
            self.type, default = SCALARS.get(proto.type, INTEGER)
        optional = proto.proto3_optional or default == "None"
        if self.repeated:
            self.argument, self.default = f"Iterable[{self.type}]", "()"
        elif optional:
            self.argument, self.default = f"{self.type} | None", "None"
        else:
            self.argument, self.default = self.type, default

    @property
    def returned(self) -> str:
        return f"Sequence[{self.type}]" if self.repeated else self.type


class Contract:
    """The descriptors of the contract with its comments."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto, module: str) -> None:
        module_of.update({type.name: module for type in [*file.message_type, *file.enum_type]})
        self.comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
        self.file = file
        self.messages = {"." + file.package + "." + m.name: i for i, m in enumerate(file.message_type)}
        # The names of the values that stand for "not set", by their enum.
        self.zeros: dict[str, str] = {}
        self.find_zeros("." + file.package, file)

    def find_zeros(
        self, scope: str, of: descriptor_pb2.FileDescriptorProto | descriptor_pb2.DescriptorProto
    ) -> None:
        for enum in of.enum_type:
            self.zeros[f"{scope}.{enum.name}"] = enum.value[0].name
        for message in of.message_type if isinstance(of, descriptor_pb2.FileDescriptorProto) else of.nested_type:
            self.find_zeros(f"{scope}.{message.name}", message)

    def methods(self) -> "list[Method]":
        service = self.file.service[0]
        return [Method(self, proto, self.comment(6, 0, 2, i)) for i, proto in enumerate(service.method)]

    def fields(self, message: str) -> list[Field]:
        i = self.messages[message]
        return [
            Field(field, self.comment(4, i, 2, j), self.zeros.get(field.type_name, ""))
            for j, field in enumerate(self.file.message_type[i].field)
        ]

    def comment(self, *path: int) -> str:
        return textwrap.dedent(self.comments.get(path, "")).strip("\n")


class Method:
    """A method of the service as a method of the clients."""

    def __init__(self, contract: Contract, proto: descriptor_pb2.MethodDescriptorProto, comment: str) -> None:
        self.rpc = proto.name
        self.name = NAMES.get(proto.name, snake(proto.name))
        self.constant = "_" + snake(proto.name).upper()
        self.request, self.response = python_type(proto.input_type), python_type(proto.output_type)
        self.streaming = proto.server_streaming
        self.exchanging = proto.client_streaming
        self.comment = comment.replace(self.rpc, self.name)
        for other, name in NAMES.items():
            self.comment = re.sub(rf"\b{other}\b", name, self.comment)

        fields = {field.name: field for field in contract.fields(proto.input_type)}
        positional = POSITIONAL.get(self.rpc)
        if positional is None:
            leading = []
            for field in fields.values():
                if not field.is_id:
                    break
                leading.append(field.name)
            positional = tuple(leading)
        self.required = [fields[name] for name in positional if not name.endswith("?")]
        self.optional = [fields[name[:-1]] for name in positional if name.endswith("?")]
        self.keywords = [f for f in fields.values() if f not in self.required and f not in self.optional]

        if self.exchanging:
            # A request with one field is that field.
            (self.item,) = fields.values()

        # A response with one field is that field.
        fields_back = contract.fields(proto.output_type)
        self.returned, self.unwrapped = self.response, ""
        if not fields_back:
            self.returned = "None"
        elif len(fields_back) == 1:
            self.returned, self.unwrapped = fields_back[0].returned, "." + fields_back[0].name

    def definition(self) -> str:
        marks = ", needs_content=True" if self.rpc in NEEDS_CONTENT else ""
        return f'{self.constant} = Rpc("{self.rpc}", {self.response}{marks})\n'

    def signature(self) -> str:
        if self.exchanging:
            return f"        self,\n        requests: Iterable[{self.item.type}],\n        *,\n        timeout: float | None = None,\n"
        parameters = ["self"]
        parameters += [f"{f.name}: {f.argument}" for f in self.required]
        parameters += [f"{f.name}: {f.argument} = {f.default}" for f in self.optional]
        parameters += ["*"] + [f"{f.name}: {f.argument} = {f.default}" for f in self.keywords]
        parameters += ["timeout: float | None = None"]
        return "".join(f"        {parameter},\n" for parameter in parameters)

    def docstring(self) -> str:
        text = self.comment
        arguments = [(f.name, f.comment) for f in self.required + self.optional + self.keywords]
        if self.exchanging:
            arguments = [("requests", REQUESTS)]
        arguments.append(("timeout", TIMEOUT_OF_STREAM if self.streaming else TIMEOUT))
        text += "\n\nArgs:\n"
        text += "\n".join(f"    {name}: " + textwrap.indent(comment, " " * 8).lstrip() for name, comment in arguments)
        text = textwrap.indent(text.replace("\\", "\\\\"), " " * 8).lstrip()
        return f'        """{text}\n        """\n'

    def message(self) -> str:
        if self.exchanging:
            return f"({self.request}({self.item.name}=request) for request in requests)"
        arguments = "".join(f"                {f.name}={f.name},\n" for f in self.required + self.optional + self.keywords)
        return f"{self.request}(\n{arguments}            )" if arguments else f"{self.request}()"

    @property
    def way(self) -> str:
        return "_exchange" if self.exchanging else "_stream"

    def sync(self) -> str:
        returned = f"Generator[{self.returned}, None, None]" if self.streaming else self.returned
        head = f"    def {self.name}(\n{self.signature()}    ) -> {returned}:\n{self.docstring()}"
        call = f"            {self.constant},\n            {self.message()},\n            timeout,\n"
        if self.streaming:
            return f"{head}        return self.{self.way}(\n{call}            lambda response: response{self.unwrapped},\n        )\n"
        keep = "" if self.returned == "None" else "return "
        return f"{head}        {keep}self._unary(\n{call}        ){self.unwrapped}\n"

    def asynchronous(self) -> str:
        doc = f'        """As {self.name} of DiscordClient."""\n'
        call = f"            {self.constant},\n            {self.message()},\n            timeout,\n"
        if self.streaming:
            head = f"    def {self.name}(\n{self.signature()}    ) -> AsyncGenerator[{self.returned}, None]:\n{doc}"
            return f"{head}        return self.{self.way}(\n{call}            lambda response: response{self.unwrapped},\n        )\n"
        head = f"    async def {self.name}(\n{self.signature()}    ) -> {self.returned}:\n{doc}"
        if self.returned == "None":
            return f"{head}        await self._unary(\n{call}        )\n"
        if not self.unwrapped:
            return f"{head}        return await self._unary(\n{call}        )\n"
        return f"{head}        response = await self._unary(\n{call}        )\n        return response{self.unwrapped}\n"


TYPES = '''
Response = TypeVar("Response", bound=Message)
Item = TypeVar("Item")

'''

SYNC = '''

class Methods(ABC):
    """The methods of the API, over three ways to make a call."""

    @abstractmethod
    def _unary(self, rpc: Rpc[Response], request: Message, timeout: float | None) -> Response: ...

    @abstractmethod
    def _stream(
        self,
        rpc: Rpc[Response],
        request: Message,
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]: ...

    @abstractmethod
    def _exchange(
        self,
        rpc: Rpc[Response],
        requests: Iterable[Message],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]: ...

'''

ASYNC = '''

class AsyncMethods(ABC):
    """The methods of the API, over three ways to make a call."""

    @abstractmethod
    async def _unary(self, rpc: Rpc[Response], request: Message, timeout: float | None) -> Response: ...

    @abstractmethod
    def _stream(
        self,
        rpc: Rpc[Response],
        request: Message,
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]: ...

    @abstractmethod
    def _exchange(
        self,
        rpc: Rpc[Response],
        requests: Iterable[Message],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]: ...

'''


# discordproxy 1.x has its generated modules at other paths, and so another name here.
OLD_NAME = """
discord__api__pb2 = discordproxy_dot_discord__api__pb2
"""


def run(contract: str, *arguments: str) -> None:
    include = Path(grpc_tools.__file__).parent / "_proto"
    # Imports in the generated code follow these paths, not those of the files.
    roots = [f"-Idiscordproxy={contract}", f"-Idiscordproxy={PACKAGE}", f"-I{include}"]
    if protoc.main(["protoc", *roots, *arguments]) != 0:
        sys.exit(1)


def main() -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as contract:
        # The files import each other by the path that they have here.
        for name in MODULES:
            text = (CONTRACT / f"{name}.proto").read_text()
            Path(contract, f"{name}.proto").write_text(text.replace('import "discord_api/', 'import "discordproxy/'))
        methods = generate(contract)
    write(
        "_methods.py", "The methods of DiscordClient.", "Callable, Generator, Iterable, Sequence",
        methods, SYNC, [method.sync() for method in methods],
    )  # fmt: skip
    write(
        "_async_methods.py", "The methods of AsyncDiscordClient.", "AsyncGenerator, Callable, Iterable, Sequence",
        methods, ASYNC, [method.asynchronous() for method in methods],
    )  # fmt: skip


def generate(contract: str) -> list[Method]:
    """Writes the modules of the contract's files, and returns the methods."""
    source = PACKAGE.parent
    messages = [f"--python_out={source}", f"--mypy_out=quiet:{source}"]
    run(contract, *messages, "discordproxy/_status.proto")
    files = [f"discordproxy/{name}.proto" for name in MODULES]
    run(contract, *messages, f"--grpc_python_out={source}", f"--mypy_grpc_out=quiet:{source}", *files)
    with (PACKAGE / "discord_api_pb2_grpc.py").open("a") as stubs:
        stubs.write(OLD_NAME)

    descriptors = Path(contract, "descriptors")
    run(contract, "--include_source_info", f"--descriptor_set_out={descriptors}", *files)
    found = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
    methods: list[Method] = []
    for file, module in zip(found.file, MODULES.values(), strict=True):
        methods += Contract(file, module).methods()
    return methods


def write(name: str, what: str, imports: str, methods: list[Method], base: str, bodies: list[str]) -> None:
    body = "\n".join(bodies)
    known = "".join(f"import {module}\n" for module in sorted(set(re.findall(r"google\.protobuf\.\w+_pb2", body))))
    head = HEAD.format(what=what, imports=imports, known=known)
    (PACKAGE / name).write_text(head + TYPES + "".join(m.definition() for m in methods) + base + body)


if __name__ == "__main__":
    main()

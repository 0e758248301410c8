"""Makes what the package carries of the contract.

    python tools/generate.py

writes the messages and stubs (discord_api_pb2*), the messages of _status_pb2,
and the methods of both clients (_methods.py, _async_methods.py), in which
each method of the contract has its place by itself. requirements.txt beside
this file says what is needed.
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
}

# Requests that existing code expects a ValueError for when they say nothing.
NEEDS_CONTENT = {"SendChannelMessage", "SendDirectMessage"}

# What the methods say of their argument for the time, which is none of the contract.
TIMEOUT = "Seconds that this call may take, instead of the client's. 0 means no limit."
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

Made by tools/generate.py from the contract. Do not edit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import {imports}
from typing import TypeVar

{known}from google.protobuf.message import Message

from . import discord_api_pb2 as pb
from ._rpc import Rpc
'''


def python_type(name: str) -> str:
    """Returns the class of a message or enum by its name in the contract."""
    if name.startswith(".discord_api."):
        return "pb." + name.removeprefix(".discord_api.")
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

    def __init__(self, file: descriptor_pb2.FileDescriptorProto) -> None:
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
        parameters = ["self"]
        parameters += [f"{f.name}: {f.argument}" for f in self.required]
        parameters += [f"{f.name}: {f.argument} = {f.default}" for f in self.optional]
        parameters += ["*"] + [f"{f.name}: {f.argument} = {f.default}" for f in self.keywords]
        parameters += ["timeout: float | None = None"]
        return "".join(f"        {parameter},\n" for parameter in parameters)

    def docstring(self) -> str:
        text = self.comment
        arguments = [(f.name, f.comment) for f in self.required + self.optional + self.keywords]
        arguments.append(("timeout", TIMEOUT_OF_STREAM if self.streaming else TIMEOUT))
        text += "\n\nArgs:\n"
        text += "\n".join(f"    {name}: " + textwrap.indent(comment, " " * 8).lstrip() for name, comment in arguments)
        text = textwrap.indent(text.replace("\\", "\\\\"), " " * 8).lstrip()
        return f'        """{text}\n        """\n'

    def message(self) -> str:
        arguments = "".join(f"                {f.name}={f.name},\n" for f in self.required + self.optional + self.keywords)
        return f"{self.request}(\n{arguments}            )" if arguments else f"{self.request}()"

    def sync(self) -> str:
        returned = f"Generator[{self.returned}, None, None]" if self.streaming else self.returned
        head = f"    def {self.name}(\n{self.signature()}    ) -> {returned}:\n{self.docstring()}"
        call = f"            {self.constant},\n            {self.message()},\n            timeout,\n"
        if self.streaming:
            return f"{head}        return self._stream(\n{call}            lambda response: response{self.unwrapped},\n        )\n"
        keep = "" if self.returned == "None" else "return "
        return f"{head}        {keep}self._unary(\n{call}        ){self.unwrapped}\n"

    def asynchronous(self) -> str:
        doc = f'        """As {self.name} of DiscordClient."""\n'
        call = f"            {self.constant},\n            {self.message()},\n            timeout,\n"
        if self.streaming:
            head = f"    def {self.name}(\n{self.signature()}    ) -> AsyncGenerator[{self.returned}, None]:\n{doc}"
            return f"{head}        return self._stream(\n{call}            lambda response: response{self.unwrapped},\n        )\n"
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
    """The methods of the contract, over two ways to make a call."""

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

'''

ASYNC = '''

class AsyncMethods(ABC):
    """The methods of the contract, over two ways to make a call."""

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

'''


# discordproxy 1.x has its generated modules at other paths, and so another name here.
OLD_NAME = """
discord__api__pb2 = discordproxy_dot_discord__api__pb2
"""


def run(*arguments: str) -> None:
    include = Path(grpc_tools.__file__).parent / "_proto"
    # Imports in the generated code follow these paths, not those of the files.
    roots = [f"-Idiscordproxy={CONTRACT}", f"-Idiscordproxy={PACKAGE}", f"-I{include}"]
    if protoc.main(["protoc", *roots, *arguments]) != 0:
        sys.exit(1)


def main() -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = PACKAGE.parent
    messages = [f"--python_out={source}", f"--mypy_out=quiet:{source}"]
    run(*messages, "discordproxy/_status.proto")
    run(*messages, f"--grpc_python_out={source}", f"--mypy_grpc_out=quiet:{source}", "discordproxy/discord_api.proto")
    with (PACKAGE / "discord_api_pb2_grpc.py").open("a") as stubs:
        stubs.write(OLD_NAME)

    with tempfile.NamedTemporaryFile() as out:
        run("--include_source_info", f"--descriptor_set_out={out.name}", "discordproxy/discord_api.proto")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    methods = Contract(files.file[0]).methods()
    write(
        "_methods.py", "The methods of DiscordClient.", "Callable, Generator, Iterable, Sequence",
        methods, SYNC, [method.sync() for method in methods],
    )  # fmt: skip
    write(
        "_async_methods.py", "The methods of AsyncDiscordClient.", "AsyncGenerator, Callable, Iterable, Sequence",
        methods, ASYNC, [method.asynchronous() for method in methods],
    )  # fmt: skip


def write(name: str, what: str, imports: str, methods: list[Method], base: str, bodies: list[str]) -> None:
    body = "\n".join(bodies)
    known = "".join(f"import {module}\n" for module in sorted(set(re.findall(r"google\.protobuf\.\w+_pb2", body))))
    head = HEAD.format(what=what, imports=imports, known=known)
    (PACKAGE / name).write_text(head + TYPES + "".join(m.definition() for m in methods) + base + body)


if __name__ == "__main__":
    main()

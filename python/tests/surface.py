"""Prints what the package discordproxy that it finds offers, as JSON.

    python tests/surface.py

The modules whose names do not begin with "_", and for each of them the names
in it with their kinds and signatures.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from types import ModuleType
from typing import Any

import discordproxy
from google.protobuf.message import Message

# The old server's own tests cannot be imported without py-cord.
NOT_IMPORTED = ("discordproxy.tests.stubs", "discordproxy.tests.test_")


def modules() -> list[str]:
    walked = (found.name for found in pkgutil.walk_packages(discordproxy.__path__, "discordproxy."))
    return ["discordproxy", *(name for name in walked if "._" not in name)]


def signature(what: Any) -> Any:
    try:
        parameters = inspect.signature(what).parameters.values()
    except (TypeError, ValueError):
        return None
    return [(p.name, p.kind.name, None if p.default is p.empty else repr(p.default)) for p in parameters]


def fields(descriptor: Any) -> dict[str, Any]:
    """The fields, enum values and inner messages of a message."""
    seen: dict[str, Any] = {f.name: [f.number, f.type, f.is_repeated] for f in descriptor.fields}
    seen |= {f"{e.name}.{v.name}": v.number for e in descriptor.enum_types for v in e.values}
    seen |= {name: fields(inner) for name, inner in descriptor.nested_types_by_name.items()}
    return seen


def attribute(owner: type, name: str) -> Any:
    raw = inspect.getattr_static(owner, name)
    if isinstance(raw, (property, staticmethod, classmethod)):
        return [type(raw).__name__, signature(getattr(owner, name)) if not isinstance(raw, property) else None]
    return ["function", signature(raw)] if inspect.isfunction(raw) else ["value", None]


def describe(what: Any) -> Any:
    if isinstance(what, ModuleType):
        return {"kind": "module"}
    if isinstance(what, type) and issubclass(what, Message) and what is not Message:
        return {"kind": "message", "fields": fields(what.DESCRIPTOR)}
    if isinstance(what, type) and what.__module__.startswith("discordproxy"):
        own = [name for kind in what.__mro__ if kind.__module__.startswith("discordproxy") for name in vars(kind)]
        return {
            "kind": "class",
            "bases": [kind.__name__ for kind in what.__mro__[1:]],
            "signature": signature(what),
            "attributes": {name: attribute(what, name) for name in own if name == "__str__" or not name.startswith("_")},
        }
    if isinstance(what, type):
        return {"kind": "class of others", "is": f"{what.__module__}.{what.__name__}"}
    if callable(what):
        return {"kind": "function", "signature": signature(what)}
    return {"kind": type(what).__name__}


def main() -> None:
    found: dict[str, Any] = {}
    for name in modules():
        if name.startswith(NOT_IMPORTED):
            found[name] = None
            continue
        module = importlib.import_module(name)
        public = {key for key in vars(module) if not key.startswith("_") or key in ("__version__", "__title__")}
        if name == "discordproxy":  # the modules of the package are in it when they are imported
            public -= {module.rpartition(".")[2] for module in sys.modules if module.startswith("discordproxy.")}
        found[name] = {key: describe(getattr(module, key)) for key in sorted(public)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

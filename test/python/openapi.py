"""Checks that a server's description of itself is valid OpenAPI 3.1."""

import json
import sys
from urllib.request import urlopen

import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

with urlopen(sys.argv[1] + "/openapi.yaml") as response:
    # The loader in C is several times as fast, but not built everywhere.
    document = yaml.load(response, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
with urlopen(sys.argv[1] + "/openapi.json") as response:
    assert document == json.load(response), "the two forms differ"
errors = list(OpenAPIV31SpecValidator(document).iter_errors())
for error in errors:
    print(error)
assert not errors, f"{len(errors)} errors"
print("passed", len(document["paths"]))

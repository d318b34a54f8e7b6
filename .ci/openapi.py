"""The OpenAPI document of a gateway that runs `ai-gateway demo`: is it valid, and is it true?

    python openapi.py http://127.0.0.1:3000
"""

import json
import os
import sys
import traceback

# A proxy of the environment has no business between this and loopback.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"

import httpx
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

BASE = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000").rstrip("/")
KEY = {"Authorization": "Bearer some-key"}
PATHS = {
    "/healthz": "get",
    "/readyz": "get",
    "/doc": "get",
    "/providers": "get",
    "/v1/models": "get",
    "/v1/chat/completions": "post",
    "/v1/responses": "post",
    "/metrics": "get",
}
ERRORS = {"400", "401", "405", "429", "502", "503", "504"}
BODY_ERRORS = {"404", "408", "413", "415"}

http = httpx.Client(base_url=BASE, timeout=30)
fetched = http.get("/doc")
document = fetched.json()


def operations():
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def posts():
    found = [(path, operation) for path, method, operation in operations() if method == "post"]
    assert {path for path, _ in found} == {path for path, method in PATHS.items() if method == "post"}, found
    return found


def examples(operation):
    """The bodies that the document shows for a request: name and value."""
    media = operation["requestBody"]["content"]["application/json"]
    return {name: example["value"] for name, example in media.get("examples", {}).items()}


def fits(value, schema, about):
    """Checks a value against a schema that may refer to the document's components."""
    whole = {**schema, "components": document.get("components", {})}
    wrong = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]
    assert not wrong, f"{about}: {wrong}"


def test_it_is_served_as_json():
    assert fetched.status_code == 200, fetched
    assert fetched.headers["content-type"] == "application/json", fetched.headers


def test_it_is_valid():
    errors = OpenAPIV31SpecValidator(document).iter_errors()
    errors = [f"{list(error.absolute_path)}: {error.message}" for error in errors]
    assert not errors, errors


def test_it_is_openapi_3_1():
    assert document["openapi"].startswith("3.1"), document["openapi"]
    assert document["info"]["title"] and document["info"]["version"], document["info"]


def test_every_path_is_there():
    assert set(document["paths"]) == set(PATHS), set(document["paths"]) ^ set(PATHS)
    for path, method in PATHS.items():
        assert set(document["paths"][path]) == {method}, (path, set(document["paths"][path]))


def test_every_operation_is_named_and_explained():
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids)), ids
    declared = {tag["name"] for tag in document["tags"]}
    for path, _, operation in operations():
        assert operation.get("summary") or operation.get("description"), path
        assert operation["tags"] and set(operation["tags"]) <= declared, (path, operation["tags"])


def test_every_response_has_a_description():
    for path, method, operation in operations():
        assert "200" in operation["responses"], path
        for status, response in operation["responses"].items():
            assert response.get("description", "").strip(), (path, method, status)


def test_every_schema_has_a_description():
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
        for member, shape in schema.get("properties", {}).items():
            assert shape.get("description") or "$ref" in shape or "oneOf" in shape, f"{name}.{member}"


def test_every_component_is_used():
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, f"nothing refers to {name}"


def test_paths_with_a_key_ask_for_a_bearer():
    schemes = document["components"]["securitySchemes"]
    bearers = {name for name, scheme in schemes.items() if (scheme["type"], scheme.get("scheme")) == ("http", "bearer")}
    assert bearers, schemes
    for path, _, operation in operations():
        security = operation.get("security", document.get("security", []))
        if path.startswith("/v1/") or path == "/metrics":
            assert security and all(set(one) & bearers for one in security), (path, security)
            answer = http.request("POST" if "requestBody" in operation else "GET", path, json={})
            assert answer.status_code == 401, (path, answer)
        else:
            assert not security or {} in security, (path, security)
            assert http.get(path).status_code == 200, path


def test_errors_are_documented():
    for path, _, operation in operations():
        if not path.startswith("/v1/") and path != "/metrics":
            continue
        expected = ERRORS | (BODY_ERRORS if "requestBody" in operation else set())
        missing = expected - set(operation["responses"])
        assert not missing, (path, missing)
        for status in expected:
            assert "application/json" in operation["responses"][status]["content"], (path, status)


def test_errors_have_the_documented_shape():
    for path, operation in posts():
        for status, headers, content in [
            (400, KEY | {"content-type": "application/json"}, "{}"),
            (401, {"content-type": "application/json"}, "{}"),
            (415, KEY, "{}"),
        ]:
            answer = http.post(path, headers=headers, content=content)
            assert answer.status_code == status, (path, status, answer)
            media = operation["responses"][str(status)]["content"]["application/json"]
            fits(answer.json(), media["schema"], f"{path} {status}")


def test_posts_have_request_examples():
    for path, operation in posts():
        assert operation["requestBody"]["required"] is True, path
        assert examples(operation), path
        asked = examples(operation).values()
        assert any(body.get("stream") for body in asked), f"{path} shows no streamed request"
        assert not all(body.get("stream") for body in asked), f"{path} shows no whole request"
        for name, body in examples(operation).items():
            fits(body, operation["requestBody"]["content"]["application/json"]["schema"], f"{path} {name}")


def test_request_examples_work():
    for path, operation in posts():
        for name, body in examples(operation).items():
            answer = http.post(path, headers=KEY, json=body)
            assert answer.status_code == 200, (path, name, answer.status_code, answer.text)
            kind = answer.headers["content-type"].split(";")[0]
            documented = operation["responses"]["200"]["content"]
            assert kind == ("text/event-stream" if body.get("stream") else "application/json"), (path, name, kind)
            assert kind in documented, (path, name, kind)
            if kind == "application/json":
                fits(answer.json(), documented[kind]["schema"], f"{path} {name}")
            elif path == "/v1/responses":
                assert "\nevent: response.completed\ndata: {" in answer.text, (name, answer.text[-300:])
            else:
                assert answer.text.endswith("\n\ndata: [DONE]\n\n"), (name, answer.text[-300:])


def test_gets_answer_as_documented():
    for path, method, operation in operations():
        if method != "get":
            continue
        answer = http.get(path, headers=KEY)
        assert answer.status_code == 200, (path, answer)
        (kind, media), = operation["responses"]["200"]["content"].items()
        assert answer.headers["content-type"].split(";")[0] == kind, (path, answer.headers)
        fits(answer.json() if kind == "application/json" else answer.text, media["schema"], path)


def test_parameters_are_optional_and_explained():
    (parameter,) = document["paths"]["/v1/models"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("provider", "query", False), parameter
    # An example would be filled in by Swagger UI, and the list be one provider's unasked.
    assert "openai" in parameter["description"] and "example" not in parameter, parameter


def test_documented_answers_fit_their_schemas():
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            kinds = response.get("content", {})
            media = kinds.get("application/json") or next(iter(kinds.values()), {})
            if status == "200":
                assert "example" in media, f"{method} {path} shows no answer"
            if "example" in media:
                fits(media["example"], media["schema"], f"{method} {path} {status}")
    for name, schema in document["components"]["schemas"].items():
        if "example" in schema:
            fits(schema["example"], {"$ref": f"#/components/schemas/{name}"}, name)


def main():
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
        except Exception as error:
            failed += 1
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
            where = ", ".join(f"line {frame.lineno}" for frame in frames[1:])
            print(f"FAIL {name}: {type(error).__name__}: {error} ({where})", flush=True)
        else:
            passed += 1
            print(f"ok   {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

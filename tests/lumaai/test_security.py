"""Every operation of the OpenAPI document against every kind of credential that must not open it: nothing is open."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from lumaai.routes import all_operations
from tests.lumaai.credentials import AUDIENCE, HAS_JWT, ISSUER, JWT_SECRET, MASTER, ROLES, bad_tokens, bearer, token
from tests.lumaai.serving import Answer, Service, problem_of, serving

VERBS = ("read", "write", "ask", "admin")
# What each operation takes. Written down here a second time: an operation that is missing, or whose verb changes, is
# seen. "open": no key; "known": any key.
TAKES = {
    "healthz": "open", "readyz": "known", "limits": "known", "metrics": "read", "stats": "read",
    "search": "read", "search_batch": "read", "explain_search": "read", "measure_recall": "read",
    "count_facets": "read", "get_collection_statistics": "read",
    "fetch_documents": "read", "count_documents": "read", "scroll_documents": "read", "get_document": "read",
    "write_documents": "write", "bulk_documents": "write", "put_document": "write", "patch_document": "write",
    "delete_document": "write",
    "delete_documents": "write",
    "list_changes": "read", "list_collection_changes": "read",
    "sql": "read", "query": "known", "ask": "ask", "complete_chat": "ask",
    "create_embeddings": "read", "rerank": "read", "list_models": "read", "get_model": "read",
    "plan_question": "ask", "validate_plan": "ask", "execute_plan": "ask", "explain_plan": "ask", "run_program": "ask",
    "give_feedback": "ask", "list_lessons": "admin", "review_lessons": "admin", "delete_lesson": "admin",
    "list_programs": "admin", "save_program": "admin", "get_program": "admin", "delete_program": "admin",
    "list_collections": "read", "get_collection": "read", "get_collection_stats": "read",
    "list_aliases": "read", "get_alias": "read", "set_alias": "admin", "drop_alias": "admin",
    "create_collection": "admin", "describe_collection": "admin", "drop_collection": "admin",
    "optimize_collection": "admin",
    "get_reembedding": "read", "start_reembedding": "admin", "cancel_reembedding": "admin",
    "list_snapshots": "admin", "create_snapshot": "admin", "download_snapshot": "admin", "delete_snapshot": "admin",
    "restore_snapshot": "admin", "check": "admin", "compact": "admin", "purge": "admin",
    "list_jobs": "known", "get_job": "known", "cancel_job": "known",
    "list_keys": "admin", "create_key": "admin", "rotate_key": "admin", "revoke_key": "admin",
}  # fmt: skip
# These answer whom they know, and keep to what may be seen.
NARROWED = {
    "list_aliases",
    "get_alias",
    "set_alias",
    "drop_alias",
    "list_collections",
    "list_changes",
    "sql",
    "query",
    "ask",
    "plan_question",
    "validate_plan",
    "execute_plan",
    "explain_plan",
    "run_program",
    "complete_chat",
    "create_embeddings",
    "rerank",
    "list_models",
    "get_model",
    "give_feedback",
}
PLACES = {
    "a": "alias",
    "c": "secret",
    "id": "another",
    "name": "nightly",
    "program": "monthly",
    "key": "0123456789ab",
    "model": "lumaai",
    "job": "0123456789abcdef",
    "lesson": "0123456789abcdef",
}
SECRET_TEXT = "classified"


@dataclass
class World:
    """A service with two collections, and keys of many kinds."""

    service: Service
    keys: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, credential: str | None, body: Any = None) -> Answer:
        headers = {} if credential is None else bearer(credential)
        options = {} if body is None else {"json": body}
        return self.service.request(method, path, headers=headers, **options)

    def make(self, name: str, verbs: list[str], collections: list[str], **more: Any) -> str:
        body = {"name": name, "verbs": verbs, "collections": collections, **more}
        made = self.call("POST", "/v1/keys", MASTER, body)
        assert made.status_code == 201, made.text
        self.keys[name] = made.json()["key"]
        return self.keys[name]

    def id_of(self, name: str) -> str:
        return self.keys[name].split("_")[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings: dict[str, Any] = {"api_key": SecretStr(MASTER)}
    if HAS_JWT:
        settings |= {"jwt_secret": SecretStr(JWT_SECRET), "jwt_audience": AUDIENCE, "jwt_issuer": ISSUER}
        settings |= {"jwt_roles": ROLES}
    with serving(tmp_path_factory.mktemp("security"), **settings) as service:
        world = World(service)
        for name, text in (("films", "public"), ("secret", SECRET_TEXT)):
            assert world.call("PUT", f"/v1/collections/{name}", MASTER, {"embed": {}}).status_code == 201
            documents = {"documents": [{"id": "1", "title": f"{text} title", "n": 7}]}
            assert world.call("POST", f"/v1/collections/{name}/documents", MASTER, documents).status_code == 200
        world.make("films", list(VERBS), ["films"])
        world.make("prefix", list(VERBS), ["film*", "other-*"])
        for verb in VERBS:
            world.make(f"all but {verb}", [other for other in VERBS if other not in (verb, "admin")], ["*"])
            world.make(f"only {verb}", [verb], ["*"])
        world.make("expired", list(VERBS), ["*"], expires_in_seconds=1e-6)
        world.make("revoked", list(VERBS), ["*"])
        assert world.call("GET", "/v1/collections", world.keys["revoked"]).status_code == 200
        assert world.call("DELETE", f"/v1/keys/{world.id_of('revoked')}", MASTER).status_code == 204
        world.make("rotated", list(VERBS), ["*"])
        assert world.call("GET", "/v1/collections", world.keys["rotated"]).status_code == 200
        assert world.call("POST", f"/v1/keys/{world.id_of('rotated')}:rotate", MASTER).status_code == 200
        yield world


def operations() -> list[tuple[str, str, str]]:
    """Id, method and path of each, with names in the path's places."""
    found = []
    for operation in all_operations():
        path = re.sub(r"{(\w+)}", lambda match: PLACES[match[1]], operation.path)
        found.append((operation.id, operation.method, path))
    return found


def bad_keys(world: World) -> dict[str, str | None]:
    """Keys that must open nothing, by what is wrong with them."""
    good = world.keys["films"]
    sealed = world.service.database.keyring._seal(good.split("_")[1].encode(), b"x" * 43).decode()
    changed = "a" if good[-1] != "a" else "b"
    return {
        "no key": None,
        "a wrong key": "wrong",
        "an empty key": "",
        "the beginning of the master key": MASTER[:-1],
        "the master key and more": f"{MASTER}x",
        "a key of nobody": f"lumaai_000000000000_{'x' * 51}",
        "a key whose end was changed": good[:-1] + changed,
        "a key whose secret was changed": good[:20] + ("a" if good[20] != "a" else "b") + good[21:],
        "a key of another id": good.replace(world.id_of("films"), world.id_of("only admin")),
        "a key with a good seal and a wrong secret": f"lumaai_{world.id_of('films')}_{'x' * 43}{sealed}",
        "an expired key": world.keys["expired"],
        "a revoked key": world.keys["revoked"],
        "a rotated key": world.keys["rotated"],
        "a long key": "x" * 9_000,
        "dots": "." * 9_000,
        **bad_tokens(),
    }


def test_the_table_is_whole(world: World) -> None:
    """Each operation of the document is in the table, and nothing else is."""
    document = world.service.get("/openapi.json").json()
    ids = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    assert ids == set(TAKES) == {id_ for id_, _, _ in operations()}


@pytest.mark.parametrize(("id_", "method", "path"), operations())
def test_no_bad_credential_opens_anything(world: World, id_: str, method: str, path: str) -> None:
    """401 and a problem, whichever operation and whatever is wrong; only /healthz answers anybody."""
    for what, credential in bad_keys(world).items():
        answer = world.call(method, path, credential)
        if TAKES[id_] == "open":
            assert answer.status_code == 200, what
            continue
        problem = problem_of(answer, 401)
        assert problem["code"] in {"unauthorized", "wrong_api_key", "token_invalid", "token_expired"}, what
        assert answer.headers["www-authenticate"] == "Bearer"
        assert credential is None or len(credential) < 8 or credential not in answer.text, what


@pytest.mark.parametrize(("id_", "method", "path"), operations())
def test_a_key_of_another_collection_opens_nothing(world: World, id_: str, method: str, path: str) -> None:
    """All verbs on other collections do not reach this one, nor the database as a whole; nor does such a token."""
    if TAKES[id_] in ("open", "known") or id_ in NARROWED:
        return
    credentials = [world.keys["films"], world.keys["prefix"], *([token()] if HAS_JWT else [])]
    for credential in credentials:
        problem_of(world.call(method, path, credential), 403, "collection_not_allowed")
    if "secret" in path:  # it makes no difference whether there is such a collection
        elsewhere = path.replace("secret", "nowhere")
        problem_of(world.call(method, elsewhere, credentials[0]), 403, "collection_not_allowed")


@pytest.mark.parametrize(("id_", "method", "path"), operations())
def test_a_key_without_the_verb_opens_nothing(world: World, id_: str, method: str, path: str) -> None:
    """All other verbs on all collections are not the one that it takes."""
    if TAKES[id_] not in ("open", "known"):
        problem_of(world.call(method, path, world.keys[f"all but {TAKES[id_]}"]), 403, "verb_not_allowed")


@pytest.mark.parametrize(("id_", "method", "path"), operations())
def test_a_key_with_the_verb_is_let_through(world: World, id_: str, method: str, path: str) -> None:
    """The table does not pass because everything is closed: the verb alone is enough, and so is admin."""
    if method == "DELETE" or id_ == "query":
        return  # destroys what other rows need; takes a statement's verbs
    verb = TAKES[id_] if TAKES[id_] in VERBS else "ask"
    for name in (f"only {verb}", "only admin"):
        answer = world.call(method, path, world.keys[name], {} if method in ("POST", "PUT") else None)
        assert answer.status_code not in (401, 403), (name, answer.text)


def test_lists_show_what_the_key_may_see(world: World) -> None:
    """Of collections, tables and changes; to who may do everything, all of them."""
    before = world.call("GET", "/v1/stats", MASTER).json()["sequence"]
    for name in ("films", "secret"):
        body = {"documents": [{"id": "2", "title": f"another {name}"}]}
        assert world.call("POST", f"/v1/collections/{name}/documents", MASTER, body).status_code == 200
    for name, seen in (("films", ["films"]), ("prefix", ["films"]), ("only read", ["films", "secret"])):
        key = world.keys[name]
        listed = world.call("GET", "/v1/collections", key).json()["collections"]
        assert [info["name"] for info in listed] == seen
        tables = world.call("POST", "/v1/sql", key, {"sql": "SHOW TABLES"}).json()["rows"]
        assert [row[0] for row in tables] == seen
        changes = world.call("GET", f"/v1/changes?from={before}", key).json()["changes"]
        assert sorted({change["collection"] for change in changes}) == seen
    problem_of(world.call("GET", "/v1/changes?collection=secret", world.keys["films"]), 403, "collection_not_allowed")


STATEMENTS = (
    "SELECT * FROM secret",
    "FROM secret",
    'SELECT * FROM "SECRET"',
    "DESCRIBE secret",
    "SUMMARIZE secret",
    "EXPLAIN SELECT * FROM secret",
    "SELECT (SELECT max(title) FROM secret)",
    "SELECT * FROM films WHERE title IN (SELECT title FROM secret)",
    "SELECT * FROM films JOIN secret USING (id)",
    "SELECT * FROM films POSITIONAL JOIN secret",
    "SELECT title FROM films UNION ALL SELECT title FROM secret",
    "WITH RECURSIVE x AS (SELECT title FROM secret UNION ALL SELECT title FROM x) SELECT * FROM x LIMIT 1",
    # A name that the query defines in one place is another one elsewhere.
    "SELECT * FROM secret, (WITH secret AS (SELECT 1 AS one) SELECT * FROM secret) t",
    "WITH t AS (SELECT * FROM secret), secret AS (SELECT 1) SELECT * FROM t",
    "WITH secret AS (SELECT * FROM secret) SELECT * FROM secret",
    'SELECT * FROM "secret whole", (WITH "secret whole" AS (SELECT 1) SELECT * FROM "secret whole") t',
    "SELECT * FROM search('secret', 'classified')",
    "SELECT * FROM search($1, 'classified')",
)


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_sql_reaches_no_other_collection(world: World, statement: str, dialect: str) -> None:
    """However a statement names it, and whoever asked of it on the same connection a moment before."""
    warm = world.call("POST", "/v1/sql", MASTER, {"sql": "SELECT * FROM secret"})
    assert SECRET_TEXT in warm.text
    body = {"sql": statement, "dialect": dialect, "params": ["secret"] if "$1" in statement else []}
    answer = world.call("POST", "/v1/sql", world.keys["films"], body)
    assert answer.status_code in (404, 422), answer.text
    assert SECRET_TEXT not in answer.text
    assert world.call("POST", "/v1/sql", world.keys["films"], {"sql": "SELECT title FROM films"}).status_code == 200


QUERIES: tuple[tuple[str, Any], ...] = (
    ("lql", "SELECT * FROM secret"),
    ("lql", "INSERT INTO secret (title) VALUES ('x')"),
    ("lql", "UPDATE secret SET n = 8"),
    ("lql", "DELETE FROM secret"),
    ("lql", "CREATE COLLECTION another"),
    ("lql", "DROP COLLECTION secret"),
    ("jql", {"find": "secret"}),
    ("jql", {"delete": "secret"}),
    ("nql", "find all secret"),
    ("nql", "count secret"),
    ("nql", "delete from secret"),
)


@pytest.mark.parametrize(("language", "query"), QUERIES)
def test_query_languages_reach_no_other_collection(world: World, language: str, query: Any) -> None:
    """What they read, write, make or drop is checked verb by verb; nothing has changed afterwards."""
    before = world.call("GET", "/v1/collections", MASTER).json()
    answer = world.call("POST", "/v1/query", world.keys["films"], {"language": language, "query": query})
    assert answer.status_code in (403, 422), answer.text
    assert SECRET_TEXT not in answer.text
    assert world.call("GET", "/v1/collections", MASTER).json() == before


@pytest.mark.parametrize(
    ("query", "takes"),
    [
        ("SELECT * FROM films", "read"),
        ("INSERT INTO films (id, title) VALUES ('9', 'x')", "write"),
        ("DELETE FROM films WHERE id = '9'", "write"),
        ("CREATE COLLECTION made", "admin"),
        ("DROP COLLECTION made", "admin"),
    ],
)
def test_a_statement_takes_its_own_verb(world: World, query: str, takes: str) -> None:
    """A key of all other verbs is refused, one of the verb alone will do."""
    body = {"language": "lql", "query": query}
    problem_of(world.call("POST", "/v1/query", world.keys[f"all but {takes}"], body), 403, "verb_not_allowed")
    answer = world.call("POST", "/v1/query", world.keys[f"only {takes}"], body)
    assert answer.status_code == 200, answer.text


def test_no_key_ends_the_scrolls_of_another(world: World) -> None:
    """However many it begins itself."""
    path = "/v1/collections/films/scroll"
    mine, others = world.keys["films"], world.keys["prefix"]
    documents = {"documents": [{"id": f"scrolled-{number}"} for number in range(3)]}
    assert world.call("POST", "/v1/collections/films/documents", MASTER, documents).status_code == 200
    cursor = world.call("POST", path, mine, {"limit": 1}).json()["next_cursor"]
    for _ in range(70):
        assert world.call("POST", path, others, {"limit": 1}).json()["next_cursor"] is not None
    assert world.call("POST", path, mine, {"limit": 1, "cursor": cursor}).status_code == 200


def test_to_what_an_alias_leads_is_told_to_nobody_who_may_not(world: World) -> None:
    """Refusals name what was said, as where there is no such alias."""
    alias, key = "films-hidden", world.keys["prefix"]
    assert world.call("PUT", f"/v1/aliases/{alias}", MASTER, {"collection": "secret"}).status_code == 201
    drop = {"language": "lql", "query": f'DROP COLLECTION "{alias}"'}
    update = {"language": "lql", "query": f"UPDATE \"{alias}\" SET x = 1 WHERE id = '1'"}
    for method, path, body in (
        ("GET", f"/v1/collections/{alias}", None),
        ("DELETE", f"/v1/collections/{alias}", None),
        ("POST", f"/v1/collections/{alias}/search", {"query": "x"}),
        ("POST", "/v1/query", {"language": "jql", "query": {"find": alias}}),
        ("POST", "/v1/query", update),
        ("POST", "/v1/query", drop),
        ("POST", "/v1/ask", {"question": "How many documents are there?", "collections": [alias]}),
        ("GET", f"/v1/changes?collection={alias}", None),
        ("PUT", f"/v1/aliases/{alias}", {"collection": "films"}),
        ("PUT", "/v1/aliases/films-other", {"collection": alias}),
        ("DELETE", f"/v1/aliases/{alias}", None),
    ):
        answer = world.call(method, path, key, body)
        assert answer.status_code in {403, 404}, (path, answer.text)
        assert "secret" not in answer.text
        assert alias in answer.json()["detail"]
    assert world.call("GET", f"/v1/aliases/{alias}", MASTER).json() == {"alias": alias, "collection": "secret"}


def test_an_alias_opens_no_other_collection(world: World) -> None:
    """It is the collection behind it that counts, however the alias is called; and who may make one must have both."""
    key = world.keys["prefix"]
    assert world.call("PUT", "/v1/aliases/films-secret", MASTER, {"collection": "secret"}).status_code == 201
    assert world.call("PUT", "/v1/aliases/other-films", MASTER, {"collection": "films"}).status_code == 201
    problem_of(world.call("GET", "/v1/collections/films-secret", key), 403, "collection_not_allowed")
    problem_of(world.call("POST", "/v1/collections/films-secret/search", key, {"query": "x"}), 403)
    assert world.call("POST", "/v1/sql", key, {"sql": 'SELECT * FROM "films-secret"'}).status_code == 404
    lql = {"language": "jql", "query": {"find": "films-secret"}}
    problem_of(world.call("POST", "/v1/query", key, lql), 403, "collection_not_allowed")
    ask = {"question": "How many documents are there?", "collections": ["films-secret"], "planner": "rules"}
    problem_of(world.call("POST", "/v1/ask", key, ask), 403, "collection_not_allowed")
    problem_of(world.call("GET", "/v1/changes?collection=films-secret", key), 403, "collection_not_allowed")
    problem_of(world.call("GET", "/v1/aliases/films-secret", key), 404, "alias_not_found")
    listed = world.call("GET", "/v1/aliases", key).json()["aliases"]
    assert listed == [{"alias": "other-films", "collection": "films"}]
    found = world.call("POST", "/v1/sql", key, {"sql": 'SELECT count(*) FROM "other-films"'})
    assert found.status_code == 200, found.text
    for alias, collection in (("films-more", "secret"), ("more", "films"), ("films-secret", "films")):
        answer = world.call("PUT", f"/v1/aliases/{alias}", key, {"collection": collection})
        problem_of(answer, 403, "collection_not_allowed")
    problem_of(world.call("DELETE", "/v1/aliases/films-secret", key), 403, "collection_not_allowed")
    assert world.call("PUT", "/v1/aliases/films-more", key, {"collection": "films"}).status_code == 201
    assert world.call("DELETE", "/v1/aliases/films-more", key).status_code == 204
    for alias in ("films-secret", "other-films"):
        assert world.call("DELETE", f"/v1/aliases/{alias}", MASTER).status_code == 204


def test_questions_are_planned_over_allowed_collections_only(world: World) -> None:
    """The other one is in no plan, also where no collection is named; naming it is refused."""
    body: dict[str, Any] = {"question": "How many documents are there?", "planner": "rules"}
    answer = world.call("POST", "/v1/ask", world.keys["films"], {**body, "collections": ["secret"]})
    problem_of(answer, 403, "collection_not_allowed")
    problem_of(world.call("POST", "/v1/ask", world.keys["films"], {**body, "collections": ["films", "secret"]}), 403)
    answer = world.call("POST", "/v1/ask", world.keys["films"], body)
    assert '"secret"' not in answer.text
    assert f"{SECRET_TEXT} title" not in answer.text
    everything = world.call("POST", "/v1/ask", world.keys["only ask"], {**body, "collections": ["secret"]})
    assert everything.status_code == 200


def test_keys_cannot_widen_themselves(world: World) -> None:
    """Administering some collections is not administering keys, and no key is told of others."""
    for key in (world.keys["films"], world.keys["only write"]):
        wider = {"name": "wider", "verbs": ["admin"], "collections": ["*"]}
        problem_of(world.call("POST", "/v1/keys", key, wider), 403)
        problem_of(world.call("POST", f"/v1/keys/{world.id_of('films')}:rotate", key), 403)
        problem_of(world.call("GET", "/v1/keys", key), 403)


def test_no_key_is_in_any_log(world: World) -> None:
    """Lines name keys by their ids, acts with who did them, and neither secrets nor documents."""
    problem_of(world.call("DELETE", "/v1/collections/secret", world.keys["films"]), 403)
    log = world.service.log()
    text = json.dumps(log)
    for key in [MASTER, *world.keys.values()]:
        assert key not in text
    for key in world.keys.values():
        assert key[20:] not in text
    assert SECRET_TEXT not in text
    acts = [line for line in log if line["event"] == "audit"]
    assert {"create_key", "revoke_key", "rotate_key", "drop_collection"} <= {act["act"] for act in acts}
    revoked = next(act for act in acts if act["act"] == "revoke_key" and act["status"] == 204)
    assert revoked["key"] == world.id_of("revoked")
    assert revoked["caller"] == "environment"
    refused = next(act for act in acts if act["act"] == "drop_collection" and act["status"] == 403)
    assert refused["caller"].startswith("key:")

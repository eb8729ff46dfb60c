"""OpenAI's own SDK against a service on a port of its own, unchanged: embeddings, models, chat; and reranking."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from lumaai.database import Database
from promptql import AnswerDelta
from promptql.errors import PlanCancelledError
from tests.lumaai.serving import FILMS, listening

MODEL = "hashing:64"
ADMIN = "an administrator's key"
QUESTION = "how many films after 1980"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose own model hashes words, with collections of films and of secrets."""
    settings = {"api_key": ADMIN, "model": MODEL}
    with listening(tmp_path_factory.mktemp("openai"), **settings) as address:
        with httpx.Client(base_url=address, headers={"X-Api-Key": ADMIN}) as client:
            for name in ("films", "secrets"):
                assert client.put(f"/v1/collections/{name}", json={}).status_code == 201
                path = f"/v1/collections/{name}/documents"
                assert client.post(path, json={"documents": FILMS}).status_code == 200
        yield address


@pytest.fixture(scope="module")
def key(address: str) -> str:
    """A key that may read films and ask of them."""
    body = {"name": "films", "verbs": ["read", "ask"], "collections": ["films"]}
    made = httpx.post(f"{address}/v1/keys", json=body, headers={"X-Api-Key": ADMIN})
    return str(made.json()["key"])


@pytest.fixture
def client(address: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=key, base_url=f"{address}/v1", max_retries=0) as client:
        yield client


def user(*texts: str) -> list[ChatCompletionMessageParam]:
    """A conversation; between questions stands what was answered."""
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": "Be brief."}]
    for text in texts[:-1]:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "That was answered."}]
    return [*messages, {"role": "user", "content": texts[-1]}]


def values(completion: ChatCompletion) -> Any:
    assert completion.model_extra is not None
    return completion.model_extra["lumaai"]["answer"]["values"]


def test_embeddings_are_the_same_as_floats_and_base64(client: openai.OpenAI) -> None:
    """The SDK asks for base64 and decodes it; floats are the numbers themselves; the vectors are unit length."""
    texts = ["a hacker learns", "a crew on a moon", "a hacker learns"]
    decoded = client.embeddings.create(model=MODEL, input=texts)
    floats = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    vectors = np.array([each.embedding for each in decoded.data])
    assert np.array_equal(vectors, np.array([each.embedding for each in floats.data], dtype=np.float32))
    assert [each.index for each in decoded.data] == [0, 1, 2]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])
    assert decoded.usage.prompt_tokens == decoded.usage.total_tokens == 3 + 5 + 3
    assert decoded.model == MODEL


def test_base64_is_little_endian_float32(address: str, key: str) -> None:
    """What other SDKs decode by themselves."""
    body = {"model": MODEL, "input": "a hacker", "encoding_format": "base64"}
    answer = httpx.post(f"{address}/v1/embeddings", json=body, headers={"X-Api-Key": key}).json()
    floats = httpx.post(
        f"{address}/v1/embeddings", json={**body, "encoding_format": "float"}, headers={"X-Api-Key": key}
    ).json()
    raw = base64.b64decode(answer["data"][0]["embedding"])
    assert np.array_equal(np.frombuffer(raw, "<f4"), np.array(floats["data"][0]["embedding"], dtype=np.float32))


def test_dimensions_shorten_vectors(client: openai.OpenAI) -> None:
    """The first numbers, scaled to length 1; more than the model has is a bad request that names the parameter."""
    whole = np.array(client.embeddings.create(model=MODEL, input="a hacker learns").data[0].embedding)
    short = np.array(client.embeddings.create(model=MODEL, input="a hacker learns", dimensions=32).data[0].embedding)
    assert np.allclose(short, whole[:32] / np.linalg.norm(whole[:32]), atol=1e-6)
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=MODEL, input="a", dimensions=65)
    assert (refused.value.param, refused.value.code) == ("dimensions", "invalid_value")


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_token_ids_are_refused_clearly(client: openai.OpenAI, tokens: Any) -> None:
    """They are of another vocabulary: a vector of them would be nonsense."""
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False") as refused:
        client.embeddings.create(model=MODEL, input=tokens)
    assert (refused.value.param, refused.value.code) == ("input", "tokens_not_supported")


@pytest.mark.parametrize("texts", ["", [], ["a", ""], [["a"]], [1, "a"]])
def test_what_is_no_text_is_refused(client: openai.OpenAI, texts: Any) -> None:
    """As a bad request, with the place."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=MODEL, input=texts)
    assert str(refused.value.param).startswith("input")


def test_more_texts_than_openai_takes_are_counted(client: openai.OpenAI) -> None:
    """2,048 are embedded; of one more the error says how many, and nothing of what else an input might be."""
    assert len(client.embeddings.create(model=MODEL, input=["a"] * 2_048).data) == 2_048
    with pytest.raises(openai.BadRequestError, match="at most 2048 items, not 2049") as refused:
        client.embeddings.create(model=MODEL, input=["a"] * 2_049)
    assert refused.value.param == "input"


def test_models_are_those_that_the_key_reaches(client: openai.OpenAI, address: str) -> None:
    """Of collections only those it may ask; an administrator sees all; each is found by its id."""
    ids = [model.id for model in client.models.list()]
    assert ids == ["lumaai", "lumaai/films", MODEL, "late-interaction"]
    with openai.OpenAI(api_key=ADMIN, base_url=f"{address}/v1") as administrator:
        assert "lumaai/secrets" in [model.id for model in administrator.models.list()]
    for id_ in ids:
        assert client.models.retrieve(id_).id == id_
    for id_ in ("lumaai/secrets", "gpt-9"):
        with pytest.raises(openai.NotFoundError) as lost:
            client.models.retrieve(id_)
        assert lost.value.code == "model_not_found"


def test_a_question_is_answered_with_citations(client: openai.OpenAI) -> None:
    """The text, the documents it rests on, the answer of /v1/ask beside, and no tokens where no model was asked."""
    found = client.chat.completions.create(model="lumaai/films", messages=user(QUESTION), temperature=0.2, max_tokens=9)
    choice = found.choices[0]
    assert values(found) == [2]
    assert choice.finish_reason == "stop"
    assert "2" in str(choice.message.content)
    assert choice.message.annotations is not None
    cited = {each.url_citation.url for each in choice.message.annotations}
    assert cited == {"/v1/collections/films/documents/1", "/v1/collections/films/documents/3"}
    assert found.usage is not None
    assert found.usage.total_tokens == 0
    assert found.model == "lumaai/films"


def test_what_steers_sampling_changes_nothing(client: openai.OpenAI) -> None:
    """All that the SDK can say and that needs nothing of us is taken."""
    found = client.chat.completions.create(
        model="lumaai/films",
        messages=user(QUESTION),
        frequency_penalty=1,
        functions=[],
        function_call="none",
        logit_bias={"50256": -100},
        logprobs=False,
        metadata={"a": "b"},
        modalities=["text"],
        n=1,
        prediction={"type": "content", "content": "2"},
        presence_penalty=-1,
        prompt_cache_retention="24h",
        response_format={"type": "text"},
        seed=1,
        stop=[],
        tools=[],
        top_logprobs=0,
        top_p=0.5,
        user="me",
    )
    assert values(found) == [2]


def test_a_conversation_goes_on(client: openai.OpenAI) -> None:
    """The last question changes the plan of those before it, whichever way a client's conversations branch."""
    first, after, other = "films after 1980", "only those before 2000", "only those after 2000"

    def ask(*texts: str) -> Any:
        return values(client.chat.completions.create(model="lumaai/films", messages=user(*texts)))

    assert sorted(ask(first)) == ["Amélie", "The Matrix"]
    assert ask(first, after) == ["The Matrix"]
    assert ask(first, other) == ["Amélie"]
    assert ask("films after 1970", after) != ["The Matrix"]  # never asked before: planned again
    reply = client.chat.completions.create(model="lumaai/films", messages=user(first)).choices[0].message
    said: list[Any] = [{"role": "user", "content": first}, reply, {"role": "user", "content": after}]
    assert values(client.chat.completions.create(model="lumaai/films", messages=said)) == ["The Matrix"]


def test_chunks_join_to_the_answer(client: openai.OpenAI) -> None:
    """Role first, then text, then the end with citations, and usage where it is asked for."""
    whole = client.chat.completions.create(model="lumaai/films", messages=user(QUESTION))
    chunks = list(
        client.chat.completions.create(
            model="lumaai/films", messages=user(QUESTION), stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-2:] == [None, "stop"]
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    last = chunks[-2].model_extra
    assert last is not None
    assert last["lumaai"]["answer"]["values"] == [2]


def test_closing_a_stream_ends_its_work(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is told, though it is amid a step and has nothing to say."""
    ended = threading.Event()

    def answering(self: Database, asked: Any, tell: Any = None, cancelled: Any = None) -> Any:
        tell(AnswerDelta("There "))
        if cancelled.wait(20):
            ended.set()
        raise PlanCancelledError("the plan was cancelled")

    monkeypatch.setattr(Database, "answer_told", answering)
    stream = client.chat.completions.create(model="lumaai/films", messages=user(QUESTION), stream=True)
    assert next(stream).choices[0].delta.role == "assistant"
    stream.close()
    assert ended.wait(10)


def test_the_asynchronous_sdk_works_as_well(address: str, key: str) -> None:
    """Embeddings, a whole answer and a streamed one."""

    async def talk() -> tuple[int, Any, str]:
        async with openai.AsyncOpenAI(api_key=key, base_url=f"{address}/v1") as client:
            vectors = await client.embeddings.create(model=MODEL, input=["a", "b"])
            whole = await client.chat.completions.create(model="lumaai", messages=user(QUESTION))
            stream = await client.chat.completions.create(model="lumaai", messages=user(QUESTION), stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return len(vectors.data), values(whole), text

    count, found, text = asyncio.run(talk())
    assert (count, found) == (2, [2])
    assert "2" in text


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"messages": [{"role": "assistant", "content": "hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x" * 2_001}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "hello"}]}, "messages[0].role"),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n"),
        ({"stop": ["x"]}, "stop"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"extra_body": {"magic": 1}}, "magic"),
        ({"extra_body": {"collections": ["secrets"]}}, "collections"),
    ],
)
def test_what_cannot_be_is_a_bad_request(client: openai.OpenAI, options: dict[str, Any], param: str) -> None:
    """It names the parameter, as OpenAI's own service does."""
    given: dict[str, Any] = {"model": "lumaai/films", "messages": user(QUESTION), **options}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**given)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


def test_errors_are_of_the_right_class(address: str, key: str, client: openai.OpenAI) -> None:
    """401, 403 and 404 become what programs catch; the problem's code is the error's."""
    with openai.OpenAI(api_key="wrong", base_url=f"{address}/v1", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as unknown:
            stranger.embeddings.create(model=MODEL, input="a")
        assert unknown.value.code == "wrong_api_key"
        with pytest.raises(openai.AuthenticationError):
            stranger.models.retrieve("lumaai/films")
    with pytest.raises(openai.PermissionDeniedError) as denied:
        client.chat.completions.create(model="lumaai/secrets", messages=user(QUESTION))
    assert denied.value.code == "collection_not_allowed"
    for call in (
        lambda: client.embeddings.create(model="text-embedding-3-small", input="a"),
        lambda: client.chat.completions.create(model="gpt-9", messages=user(QUESTION)),
    ):
        with pytest.raises(openai.NotFoundError) as lost:
            call()
        assert lost.value.code == "model_not_found"
    absences: tuple[Callable[[], object], ...] = (  # what OpenAI has and we have not
        lambda: client.responses.create(model="lumaai", input="a"),
        lambda: client.completions.create(model="lumaai", prompt="a"),
        client.files.list,
        lambda: client.files.retrieve("file-1"),
        lambda: client.images.generate(prompt="a"),
        client.fine_tuning.jobs.list,
    )
    for absence in absences:
        with pytest.raises(openai.NotFoundError) as absent:
            absence()
        assert (absent.value.code, absent.value.type) == ("route_not_found", "invalid_request_error")


def test_too_many_requests_are_a_rate_limit_and_overload_is_tried_again(tmp_path: Path) -> None:
    """429 is a RateLimitError; a full lane is 503 with Retry-After, which the SDK waits for and then succeeds."""
    with listening(tmp_path, model=MODEL, embed_threads=1, embed_queue_max=0) as address:
        lane = address.app.state.service.embeds
        with openai.OpenAI(api_key="none", base_url=f"{address}/v1", max_retries=0) as client:
            lane._taken = lane.capacity
            with pytest.raises(openai.InternalServerError) as busy:
                client.embeddings.create(model=MODEL, input="a")
            assert (busy.value.code, busy.value.response.headers["retry-after"]) == ("overloaded", "1")
            threading.Timer(0.2, setattr, (lane, "_taken", 0)).start()
            assert client.with_options(max_retries=2).embeddings.create(model=MODEL, input="a").data
    with listening(tmp_path / "limited", api_key=ADMIN, requests_per_minute=1, model=MODEL) as address:
        body = {"name": "k", "verbs": ["read"], "collections": ["*"]}
        made = httpx.post(f"{address}/v1/keys", json=body, headers={"X-Api-Key": ADMIN}).json()["key"]
        with openai.OpenAI(api_key=made, base_url=f"{address}/v1", max_retries=0) as client:
            client.models.list()
            with pytest.raises(openai.RateLimitError):
                client.models.list()


def test_texts_are_reranked(address: str, key: str) -> None:
    """The default model hashes and gives no vectors of tokens: said so, in both shapes of errors."""
    body = {"query": "space", "documents": ["a", {"text": "b"}], "top_n": 1}
    answer = httpx.post(f"{address}/v1/rerank", json=body, headers={"X-Api-Key": key})
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert problem["error"]["code"] == problem["code"] == "model_unsupported"
    assert problem["status"] == 400

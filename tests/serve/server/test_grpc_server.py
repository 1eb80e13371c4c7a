"""The gRPC service, asked by gRPC's own client in the same event loop."""

import asyncio
import signal
import ssl
import struct
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import uvloop
from tests.patience import PATIENCE_SECONDS, patient

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.protocols.grpc_messages import SERVICE, messages
from gristmill.serve.refusal import Refusal
from gristmill.serve.server import grpc_server
from gristmill.serve.server.grpc_beside import grpc_beside
from gristmill.serve.server.keeping import kept
from gristmill.serve.server.lifecycle import serve
from gristmill.serve.server.listener import listen
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.tokens import Tokens
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import kept_predictions, served_folder

grpc = pytest.importorskip("grpc", reason="grpcio is not installed (extra grpc)")

VERSION = "0123456789abcdef0123456789abcdef"
TOKEN = "a-token-of-some-length"
CODES = grpc.StatusCode


@asynccontextmanager
async def serving(app, credentials=None, options=(), **settings):
    """Serve, and yield what calls a method: `await call("ServerLive", name=...)`."""
    settings = Settings(grpc_port=0, drain_seconds=5.0, **settings)
    async with grpc_beside(app, settings) as beside:
        if credentials is None:
            channel = grpc.aio.insecure_channel(beside.address, options=options)
        else:
            channel = grpc.aio.secure_channel(beside.address, credentials, options=options)
        async with channel:
            yield Caller(channel, beside)


class Caller:
    def __init__(self, channel, beside):
        self.channel, self.beside = channel, beside

    def __call__(self, method, message=None, metadata=(), timeout=PATIENCE_SECONDS, **fields):
        message = message or messages()[f"{method}Request"](**fields)
        reader = messages()[f"{method}Response"].FromString
        call = self.raw(method, reader)
        return call(message.SerializeToString(), metadata=metadata, timeout=timeout)

    def stream(self, sent=None):
        reader = messages()["ModelStreamInferResponse"].FromString
        method = f"/{SERVICE}/ModelStreamInfer"
        return self.channel.stream_stream(method, response_deserializer=reader)(sent)

    def raw(self, method, reader=None):
        return self.channel.unary_unary(f"/{SERVICE}/{method}", response_deserializer=reader)


def run(main):
    """Run a coroutine in the loop that servers run in."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def parity(*texts, **more):
    made = messages()["ModelInferRequest"](model_name="parity", **more)
    tensor = made.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    return made


def vector(array, **more):
    made = messages()["ModelInferRequest"](model_name="vector", **more)
    made.inputs.add(name="x", datatype="FP32", shape=array.shape)
    made.raw_input_contents.append(array.astype("<f4").tobytes())
    return made


async def failed(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def test_health_metadata_and_index(make_app):
    app = make_app(others=["vector", "image"])

    async def main():
        async with serving(app) as call:
            assert (await call("ServerLive")).live
            assert (await call("ServerReady")).ready
            assert (await call("ModelReady", name="vector", version=VERSION)).ready
            server = await call("ServerMetadata")
            assert (server.name, "model_repository" in server.extensions) == ("gristmill", True)
            model = await call("ModelMetadata", name="vector")
            assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [
                ("x", "FP32", [-1, 4])
            ]
            config = (await call("ModelConfig", name="parity")).config
            assert (config.max_batch_size, config.backend) == (1024, "gristmill")
            assert [(each.name, each.data_type) for each in config.input] == [
                ("text", 13),
                ("count", 9),
            ]
            index = (await call("RepositoryIndex")).models
            assert [(each.name, each.state) for each in index] == [
                (name, "READY") for name in ("parity", "vector", "image")
            ]
            app.stop()
            assert not (await call("ServerReady")).ready
            assert not (await call("ModelReady", name="vector")).ready
            assert not (await call("RepositoryIndex", ready=True)).models

    run(main)


def test_tensors_in_and_out_in_both_forms(make_app):
    async def main():
        async with serving(make_app(others=["vector"])) as call:
            raw = await call("ModelInfer", vector(np.arange(8.0).reshape(2, 4), id="q1"))
            assert (raw.id, raw.model_name, raw.model_version) == ("q1", "vector", VERSION)
            sums = np.frombuffer(raw.raw_output_contents[0]).reshape(raw.outputs[0].shape)
            assert sums.tolist() == [[6.0, 14.0], [22.0, 126.0]]
            typed = await call("ModelInfer", parity("abc", "é"))
            assert list(typed.outputs[0].contents.bytes_contents) == [b"odd", b"odd"]

    run(main)


def test_refusals_are_those_of_http_with_a_code_of_grpc(make_app, ask):
    app = make_app(others=["vector"])
    wrong = [
        (parity("x" * 21), CODES.INVALID_ARGUMENT, "bad_records"),
        (parity("boom"), CODES.INTERNAL, "internal"),
        (vector(np.zeros((1, 3))), CODES.INVALID_ARGUMENT, "bad_tensors"),
        (vector(np.zeros((1, 4)), model_version="2"), CODES.NOT_FOUND, "unknown_model"),
    ]

    async def main():
        async with serving(app) as call:
            errors = [await failed(call("ModelInfer", sent)) for sent, _, _ in wrong]
            for error, (_, code, word) in zip(errors, wrong, strict=True):
                trailing = dict(error.trailing_metadata())
                assert (error.code(), trailing["x-gristmill-code"]) == (code, word)
                assert len(trailing["x-request-id"]) == 16
            assert "secret" not in errors[1].details()
            assert errors[3].details() == (
                f"expected model 'vector' (version {VERSION}), found version '2'"
            )
            return errors[0].details(), errors[2].details()

    long, short = run(main)
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x" * 21]}
    answer = ask(app, "POST", "/v2/models/parity/infer", json={"inputs": [text]})
    assert answer.json()["error"] == long
    zeros = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 0, 0]}
    answer = ask(app, "POST", "/v2/models/vector/infer", json={"inputs": [zeros]})
    assert answer.json()["error"] == short


def test_what_is_no_request(make_app):
    async def main():
        async with serving(make_app()) as call:
            for method in ("ModelInfer", "ServerLive"):
                error = await failed(call.raw(method)(b"\xff\xff"))
                assert error.code() == CODES.INVALID_ARGUMENT
                assert error.details() == "expected a message of protobuf"
            error = await failed(call("ModelReady", name="../é"))
            assert (error.code(), error.details()) == (
                CODES.NOT_FOUND,
                f"expected model 'parity' (version {VERSION}), found '../%C3%A9'",
            )
            error = await failed(call("ModelReady"))
            assert error.details() == "expected the name of a model, found none"
            assert (
                await failed(call.raw("RepositoryModelLoad")(b""))
            ).code() == CODES.UNIMPLEMENTED

    run(main)


def test_an_overload_says_when_to_come_back(make_app, endpoint):
    endpoint.refusal = Refusal(503, "overloaded", "too much", headers=[("Retry-After", "3")])

    async def main():
        async with serving(make_app()) as call:
            error = await failed(call("ModelInfer", parity("a")))
            assert (error.code(), error.details()) == (CODES.UNAVAILABLE, "too much")
            assert dict(error.trailing_metadata())["retry-after"] == "3"

    run(main)


def test_metadata_and_parameters_say_how_it_is_asked(make_app, endpoint):
    async def main():
        async with serving(make_app()) as call:
            said = [
                ("x-request-id", "r1"),
                ("x-gristmill-priority", "-3"),
                ("x-gristmill-user", "u"),
            ]
            asking = call("ModelInfer", parity("a"), metadata=said, timeout=50.0)
            await asking
            assert dict(await asking.trailing_metadata())["x-request-id"] == "r1"
            made = parity("a")
            made.parameters["timeout"].int64_param = 1_000_000
            made.parameters["priority"].uint64_param = 2
            await call("ModelInfer", made, timeout=None)
            await call("ModelInfer", parity("a"), metadata=[("x-gristmill-deadline-ms", "9000")])
            error = await failed(
                call("ModelInfer", parity("a"), metadata=[("x-gristmill-deadline-ms", "soon")])
            )
            assert error.code() == CODES.INVALID_ARGUMENT

    clock = time.monotonic()
    run(main)
    first, second, third = endpoint.calls
    assert (first.request_id, first.priority, first.user) == ("r1", -3, "u")
    assert second.priority == 2
    # 50 s of gRPC's own, one of the parameter, nine of the header: less than gRPC's minute.
    assert second.deadline < third.deadline < first.deadline
    assert first.deadline > clock + 40


def test_a_kept_prediction_has_its_name_and_the_callers_id(make_app, endpoint, tmp_path):
    app = make_app()
    settings = Settings(watch_folder=str(tmp_path), keep=Keeping())
    app.first.endpoint = route = kept(endpoint, settings)

    async def main():
        async with serving(app) as call:
            answer = await call("ModelInfer", parity("a", id="order-7"))
        await route.close()
        return answer

    answer = run(main)
    (found,) = kept_predictions(served_folder(tmp_path, "parity"))
    assert (found.key, answer.id) == ("order-7", "order-7")
    assert found.name == answer.parameters["prediction"].string_param + "-0"


def test_the_caller_gives_up(make_app, endpoint):
    async def main():
        endpoint.gate = asyncio.Event()
        async with serving(make_app()) as call:
            error = await failed(call("ModelInfer", parity("a"), timeout=0.05))
            assert error.code() == CODES.DEADLINE_EXCEEDED
            named = [("x-request-id", "second")]  # the first one may be over before it is heard
            asking = asyncio.ensure_future(
                call("ModelInfer", parity("a"), timeout=None, metadata=named)
            )
            while not any(each.request_id == "second" for each in endpoint.calls):
                await asyncio.sleep(0.001)
            asking.cancel()
            await asyncio.wait([asking])
            endpoint.gate.set()
            assert (await call("ModelInfer", parity("a"))).outputs

    run(main)


def test_tokens_and_open_health(make_app):
    async def main():
        async with serving(make_app(tokens=Tokens([TOKEN]))) as call:
            assert (await call("ServerReady")).ready
            error = await failed(call("ModelInfer", parity("a")))
            assert (error.code(), error.details()) == (
                CODES.UNAUTHENTICATED,
                "expected a bearer token, found none; "
                "fix: send the header Authorization: Bearer TOKEN",
            )
            good = [("authorization", f"Bearer {TOKEN}")]
            assert (await call("ModelInfer", parity("a"), metadata=good)).outputs

    run(main)


def test_messages_above_the_limit(make_app):
    app = make_app(patient(max_body=1000), others=["vector"])

    async def main():
        async with serving(app) as call:
            error = await failed(call("ModelInfer", vector(np.zeros((500, 4)))))
            assert error.code() == CODES.RESOURCE_EXHAUSTED
            error = await failed(call("ModelInfer", parity(*["a"] * 2000)))
            assert error.code() == CODES.RESOURCE_EXHAUSTED
            bomb = vector(np.zeros((50_000, 4))).SerializeToString()
            error = await failed(call.raw("ModelInfer")(bomb, compression=grpc.Compression.Gzip))
            assert error.code() == CODES.RESOURCE_EXHAUSTED
            assert (await call("ModelInfer", parity("a"))).outputs

    run(main)


def test_a_message_that_does_not_come(make_app):
    app = make_app(patient(body_timeout=0.05))

    async def main():
        async with serving(app) as call:
            sender = call.channel.stream_unary(f"/{SERVICE}/ModelInfer")
            error = await failed(sender())
            assert (error.code(), error.details()) == (
                CODES.DEADLINE_EXCEEDED,
                "the body did not arrive within 50 ms",
            )
            app.limits = patient()  # on a busy machine anybody may take as long
            error = await failed(sender(_each([])))
            assert (error.code(), error.details()) == (
                CODES.INVALID_ARGUMENT,
                "expected a message, found none",
            )
            assert (await call("ServerLive")).live

    run(main)
    assert 'gristmill_requests_total{route="other",status="408"} 1\n' in app.metrics.text()


def test_a_stream_is_answered_in_order_each_by_itself(make_app, endpoint):
    async def main():
        async with serving(make_app()) as call:
            answers = call.channel.stream_stream(
                f"/{SERVICE}/ModelStreamInfer",
                request_serializer=lambda made: (
                    made if isinstance(made, bytes) else made.SerializeToString()
                ),
                response_deserializer=messages()["ModelStreamInferResponse"].FromString,
            )
            sent = [parity("abc", id="1"), b"\xff", parity("x" * 21, id="3")]
            sent += [parity("a" * (count % 20), id=f"n{count}") for count in range(150)]
            found = [each async for each in answers(_each(sent))]
            assert len(found) == len(sent)
            assert found[0].infer_response.outputs[0].contents.bytes_contents[0] == b"odd"
            assert found[1].error_message == "expected a message of protobuf"
            assert found[2].error_message.startswith("the record breaks the model's signature; ")
            assert found[2].infer_response.id == "3"
            assert [each.infer_response.id for each in found[3:]] == [f"n{n}" for n in range(150)]

    run(main)
    assert len({call.request_id for call in endpoint.calls}) == len(endpoint.calls)


def test_a_stream_on_which_nothing_comes(make_app):
    app = make_app(patient(body_timeout=0.05))

    async def main():
        async with serving(app) as call:
            error = await failed(call.stream().read())
            assert (error.code(), error.details()) == (
                CODES.DEADLINE_EXCEEDED,
                "no message arrived on the stream within 50 ms (body_timeout); fix: open another "
                "one when there is something to ask, or raise body_timeout in the server's limits",
            )

    run(main)
    assert 'gristmill_requests_total{route="other",status="408"} 1\n' in app.metrics.text()


def test_a_stream_on_which_nothing_comes_any_more(make_app, endpoint):
    app = make_app(patient(stream_timeout=0.06))

    async def main():
        endpoint.gate = asyncio.Event()
        async with serving(app) as call:
            stream = call.stream()
            for _ in range(2):
                await stream.write(parity("abc").SerializeToString())
            while len(endpoint.calls) < 2:  # no time counts while any of them is answered
                await asyncio.sleep(0.001)
            endpoint.gate.set()
            for _ in range(2):
                assert (await stream.read()).infer_response.outputs
            error = await failed(stream.read())
            assert error.code() == CODES.DEADLINE_EXCEEDED
            assert "within 60 ms (stream_timeout); fix: " in error.details()
            assert dict(error.trailing_metadata())["x-gristmill-code"] == "idle_stream"
            ended = call.stream()
            await ended.done_writing()
            assert await ended.read() is grpc.aio.EOF
            assert (await call("ServerLive")).live

    run(main)
    assert 'gristmill_requests_total{route="other",status="408"} 1\n' in app.metrics.text()


@asynccontextmanager
async def timeout_in_turns(seconds):
    """A time limit in turns of the event loop: one that is held up does not use it up."""
    limit = asyncio.timeout(None)

    async def count():
        for _ in range(round(seconds / 0.01)):
            await asyncio.sleep(0.01)
        limit.reschedule(asyncio.get_running_loop().time())

    async with limit:
        counting = asyncio.create_task(count())
        try:
            yield
        finally:
            counting.cancel()


def test_a_client_that_never_reads_is_refused_and_others_are_served(
    make_app, endpoint, monkeypatch
):
    monkeypatch.setattr(grpc_server, "UNREAD_SECONDS", 0.3)
    in_turns = SimpleNamespace(**vars(asyncio) | {"timeout": timeout_in_turns})
    monkeypatch.setattr(grpc_server, "asyncio", in_turns)
    app = make_app(others=["vector"])
    flood = parity("abc", id="x" * 50_000).SerializeToString()  # an answer says the id again
    refused = 'gristmill_requests_total{route="other",status="408"} 1\n'

    async def main():
        # A window of HTTP/2 that does not grow: it is noticed sooner what is not read.
        window = [("grpc.http2.lookahead_bytes", 1 << 16), ("grpc.http2.bdp_probe", 0)]
        async with serving(app, options=window) as call, asyncio.timeout(60.0):
            stream = call.stream()

            async def send():
                while True:
                    await stream.write(flood)

            sending = asyncio.create_task(send())
            while refused not in app.metrics.text():
                sums = await call("ModelInfer", vector(np.ones((1, 4))))
                assert sums.outputs
            asked = len(endpoint.calls)
            sending.cancel()
            for _ in range(20):
                assert (await call("ServerLive")).live
            return asked, len(endpoint.calls)

    asked, later = run(main)
    assert asked == later
    assert 64 < asked < 100  # what is answered at a time, and what the connection holds


def frame(kind, flags, stream, body):
    """A frame of HTTP/2 (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def header(name, value):
    """A literal field of HPACK that is in no table (RFC 7541, section 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def test_a_message_that_comes_by_half_on_a_stream(make_app):
    fields = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": f"/{SERVICE}/ModelStreamInfer".encode(),
        b":authority": b"here",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    head = frame(1, 4, 1, b"".join(header(*field) for field in fields.items()))
    half = frame(0, 0, 1, struct.pack(">BI", 0, 100) + b"x" * 50)
    app = make_app(patient(body_timeout=0.05))

    async def main():
        async with serving(app) as call, asyncio.timeout(60.0):
            reader, writer = await asyncio.open_connection(*call.beside.address.split(":"))
            writer.write(opening + head + half)
            found = b""
            while b"within 50 ms (body_timeout)" not in found:
                part = await reader.read(65536)
                assert part, found
                found += part
            writer.close()

    run(main)


async def _each(items):
    for item in items:
        yield item


def test_what_is_under_way_is_answered_at_the_end(make_app, endpoint):
    async def main():
        endpoint.gate = asyncio.Event()
        async with serving(make_app()) as call:
            stream = call.stream()
            await stream.write(parity("abc").SerializeToString())
            asking = asyncio.ensure_future(call("ModelInfer", parity("abc")))
            while len(endpoint.calls) < 2:
                await asyncio.sleep(0.001)
            draining = asyncio.create_task(call.beside.drain())
            await asyncio.sleep(0.01)
            endpoint.gate.set()
            assert (await asking).outputs
            assert (await stream.read()).infer_response.outputs
            assert await stream.read() is grpc.aio.EOF
            await draining
            assert (await failed(call("ServerLive"))).code() == CODES.UNAVAILABLE

    run(main)


def test_over_tls(make_app, certificate):
    cert, key = certificate

    async def main():
        pair = {"tls_certificate": str(cert), "tls_key": str(key)}
        trusting = grpc.ssl_channel_credentials(cert.read_bytes())
        async with serving(make_app(), trusting, **pair) as call:
            assert (await call("ModelInfer", parity("a"))).outputs
            host, port = call.beside.address.split(":")
            context = ssl.create_default_context(cafile=cert)
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            writer.close()

    run(main)


def test_counted_and_told_like_http(make_app):
    app = make_app()

    async def main():
        async with serving(app) as call:
            await call("ModelInfer", parity("a"))
            await failed(call("ModelInfer", parity("x" * 21)))

    run(main)
    route = f'route="/{SERVICE}/ModelInfer",model="parity"'
    for status in (200, 422):
        assert f'gristmill_requests_total{{{route},status="{status}"}} 1\n' in app.metrics.text()


def test_a_port_that_is_taken(make_app):
    async def main():
        with listen("127.0.0.1", 0) as sock:
            port = sock.getsockname()[1]
            with pytest.raises(ServeError) as caught:
                async with grpc_beside(make_app(), Settings(grpc_port=port)):
                    pass
            assert caught.value.message == f"port {port} of 127.0.0.1 is in use by another program"
            assert caught.value.fix is not None
            assert "--grpc-port 0" in caught.value.fix

    run(main)
    with pytest.raises(UsageError) as caught:
        Settings(port=8000, grpc_port=8000)
    assert caught.value.message == "HTTP and gRPC need ports of their own, found 8000 for both"


def test_beside_http_until_the_signal(spam_bundle):
    seen = []

    def announce(ready):
        seen.append(ready)
        signal.raise_signal(signal.SIGTERM)

    serve(spam_bundle, Settings(grpc_port=0), announce=announce)
    (ready,) = seen
    assert f" at {ready.url}, gRPC at {ready.grpc}  (Ctrl-C stops)" in str(ready)
    host, port = ready.grpc.split(":")
    with listen(host, int(port)):
        pass  # the port is free again


def test_none_without_a_port(make_app):
    async def main():
        async with grpc_beside(make_app(), Settings()) as beside:
            assert beside == ("", None)

    run(main)

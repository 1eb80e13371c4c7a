from functools import partial
from types import SimpleNamespace
from weakref import ref

from gristmill.serve.server.exchange import Exchange
from gristmill.serve.server.response import Response


def test_a_body_is_let_go_of_once_it_is_answered():
    writes, written = [], []

    def begin(request, body, write):
        writes.append(write)
        return partial(len, body)

    connection = SimpleNamespace(
        served=SimpleNamespace(begin=begin),
        transport=SimpleNamespace(write=written.append, is_closing=lambda: False),
        on_response_complete=lambda: None,
    )
    exchange = Exchange(connection, "/v1/predict", {}, keep_alive=True)
    body = memoryview(bytearray(9))
    held = ref(body)
    exchange.parts = [body]
    exchange.start()
    del body
    assert held() is not None
    writes.pop()(Response(b"{}"))
    assert written
    assert held() is None

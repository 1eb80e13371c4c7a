"""Fields: what they say of themselves, and that old bundles keep their bytes."""

from __future__ import annotations

import msgspec

from gristmill.store.signature import Field, Signature


def test_fields_of_numbers_and_texts_are_written_as_ever() -> None:
    signature = Signature([Field("text", "string", max_length=5)], [Field("p", "float", min=0.0)])
    assert msgspec.json.encode(signature) == (
        b'{"inputs":[{"name":"text","kind":"string","max_length":5}],'
        b'"outputs":[{"name":"p","kind":"float","min":0.0}]}'
    )
    assert msgspec.json.decode(msgspec.json.encode(signature), type=Signature) == signature


def test_shapes() -> None:
    ids = Field("ids", "tensor", dtype="int64", shape=[None])
    points = Field("points", "tensor", dtype="float32", shape=[None, 3])
    picture = Field("picture", "image", shape=[4, 5, 3])
    text = Field("text", "string")
    assert [each.ragged for each in (ids, points, picture, text)] == [True, True, False, False]
    assert [each.inner for each in (ids, points, picture, text)] == [(), (3,), (4, 5, 3), ()]
    assert [each.elements for each in (ids, points, picture, text)] == [1, 3, 60, 1]
    assert Field("x", "tensor", dtype="float32", shape=[]).ragged is False
    again = msgspec.json.decode(msgspec.json.encode(points), type=Field)
    assert again == points

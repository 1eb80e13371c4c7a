from __future__ import annotations

import struct

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from gristmill.core.errors import DataError, UsageError
from gristmill.validate.tfdv.messages import from_text, masked_crc, read_message, write_message

SCHEMA = schema_pb2.Schema(
    feature=[schema_pb2.Feature(name="größe", type=schema_pb2.INT)],
    string_domain=[schema_pb2.StringDomain(name="d", value=["a", "b"])],
)


@pytest.mark.parametrize("name", ["s.pbtxt", "s.textproto", "s.pb", "s.tfrecord", "s"])
def test_what_is_written_is_read(tmp_path, name):
    write_message(SCHEMA, tmp_path / name)
    assert read_message(tmp_path / name, schema_pb2.Schema) == SCHEMA


def test_text_is_known_by_its_content(tmp_path):
    write_message(SCHEMA, tmp_path / "s.pbtxt")
    (tmp_path / "s.dat").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "s.pbtxt").read_bytes())
    assert read_message(tmp_path / "s.dat", schema_pb2.Schema) == SCHEMA


def test_equal_messages_give_equal_bytes(tmp_path):
    one, two = anomalies_pb2.Anomalies(), anomalies_pb2.Anomalies()
    for name in "abc":
        one.anomaly_info[name].description = name
    for name in "cba":
        two.anomaly_info[name].description = name
    write_message(one, tmp_path / "one.pb")
    write_message(two, tmp_path / "two.pb")
    assert (tmp_path / "one.pb").read_bytes() == (tmp_path / "two.pb").read_bytes()


def test_no_such_file(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_message(tmp_path / "gone.pbtxt", schema_pb2.Schema)


def test_an_empty_file(tmp_path):
    (tmp_path / "s.pbtxt").write_text(" \n")
    with pytest.raises(DataError, match="expected a TFDV schema, found an empty file"):
        read_message(tmp_path / "s.pbtxt", schema_pb2.Schema)


def test_text_that_breaks_off_names_the_line(tmp_path):
    (tmp_path / "s.pbtxt").write_text('feature {\n  name: "a"\n  type: INT\n')
    with pytest.raises(DataError, match=r"s\.pbtxt, line \d+: not a TFDV schema"):
        read_message(tmp_path / "s.pbtxt", schema_pb2.Schema)


def test_an_unknown_field_names_line_and_field():
    text = 'feature {\n  name: "a"\n  colour: 3\n}\n'
    with pytest.raises(DataError) as caught:
        from_text(text, schema_pb2.Schema, "s.pbtxt")
    assert caught.value.where == "s.pbtxt, line 3"
    assert "colour" in caught.value.message
    assert "tensorflow-metadata" in str(caught.value.fix)


def test_text_that_is_not_utf8_names_the_line(tmp_path):
    (tmp_path / "s.pbtxt").write_bytes(b'feature {\n  name: "\xff"\n}\n')
    with pytest.raises(DataError, match="line 2: expected text in UTF-8, found byte 0xff"):
        read_message(tmp_path / "s.pbtxt", schema_pb2.Schema)


@pytest.mark.parametrize("data", [b"\x00\xff\x13\x37" * 9, b"PAR1" + bytes(40)])
def test_bytes_of_something_else(tmp_path, data):
    (tmp_path / "s.pb").write_bytes(data)
    with pytest.raises(DataError, match="expected a TFDV schema"):
        read_message(tmp_path / "s.pb", schema_pb2.Schema)


def test_another_message_is_refused(tmp_path):
    message = anomalies_pb2.Anomalies()
    message.dataset_anomaly_info.description = "x"
    write_message(message, tmp_path / "a.pb")
    with pytest.raises(DataError, match="expected a TFDV statistics list, found another message"):
        read_message(tmp_path / "a.pb", statistics_pb2.DatasetFeatureStatisticsList)


def test_checksums_of_known_bytes():
    # RFC 3720, appendix B.4: the CRC-32C of 32 zero bytes is 0x8a9136aa.
    crc = 0x8A9136AA
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert masked_crc(bytes(32)) == (rotated + 0xA282EAD8) & 0xFFFFFFFF


def test_a_damaged_tfrecord(tmp_path):
    write_message(SCHEMA, tmp_path / "s.tfrecord")
    data = bytearray((tmp_path / "s.tfrecord").read_bytes())
    data[20] ^= 1
    (tmp_path / "s.tfrecord").write_bytes(data)
    with pytest.raises(DataError, match="checksum does not fit"):
        read_message(tmp_path / "s.tfrecord", schema_pb2.Schema)


def test_a_tfrecord_cut_short(tmp_path):
    write_message(SCHEMA, tmp_path / "s.tfrecord")
    data = (tmp_path / "s.tfrecord").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    (tmp_path / "s.tfrecord").write_bytes(data[:-10])
    with pytest.raises(DataError, match=f"cut short: a record of {length} bytes, {length - 6}"):
        read_message(tmp_path / "s.tfrecord", schema_pb2.Schema)

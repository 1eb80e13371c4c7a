"""TFDV's schema files: read into our schema and written back without loss.

A feature's fields fall into groups (presence, valency, values, ...). A group that our keys cannot
give back to the letter is kept as protobuf text under the key `tfdv`. On the way out the text of
a group holds as long as the keys still say what it says; where a person has edited the keys, they
win.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from google.protobuf.message import Message
from tensorflow_metadata.proto.v0 import schema_pb2

from gristmill.core.errors import DataError
from gristmill.validate.schemas.feature_spec import FeatureSpec, Severity
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.tfdv.messages import from_text, read_message, to_text, write_message
from gristmill.validate.tfdv.spec_reader import read_spec, valency
from gristmill.validate.tfdv.spec_writer import write_spec

_DOMAINS = tuple(
    field.name for field in schema_pb2.Feature.DESCRIPTOR.oneofs_by_name["domain_info"].fields
)
_VALUES = ("type", "domain", "max_unseen", "min", "max", "max_nan", "max_infinite")
_GROUPS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("name",), ()),
    (("presence", "group_presence"), ("required", "min_present", "min_count")),
    (("shape", "value_count", "value_counts"), ("nesting",)),
    (("type", *_DOMAINS, "distribution_constraints"), _VALUES),
    (("unique_constraints",), ("min_unique", "max_unique")),
    (("drift_comparator",), ("drift_comparator",)),
    (("skew_comparator",), ("skew_comparator",)),
    (("in_environment", "not_in_environment"), ("not_in", "only_in")),
)
"""Fields of TFDV's that belong together, and the keys of ours that say the same."""

_GROUPED = {field for fields, _ in _GROUPS for field in fields}
_REST = tuple(
    field.name for field in schema_pb2.Feature.DESCRIPTOR.fields if field.name not in _GROUPED
)
_TABLE_KEYS = ("min_rows", "max_rows", "min_growth", "max_growth")
_ANY_VALENCY = "# any number of values\n"
"""Stands in a key `tfdv` where TFDV limits no valency: protobuf says that by saying nothing."""
_NAMED_ONLY = "only the features that name it"
"""What is said of an environment that is not one of TFDV's default ones."""
_SEVERE: dict[str, Severity] = {"new_column": "error", "few_rows": "error", "many_rows": "error"}


def import_schema(path: str | Path) -> Schema:
    """Read TFDV's schema (text or bytes) into ours, which then checks as TFDV does.

    `table.exact` is set: a limit is a limit. What has no key of ours is kept in the keys `tfdv`
    and comes back on export. A feature that TFDV leaves alone (deprecated, disabled, ...) has type
    "any" and is not required.

    Raises:
        UsageError: no such file.
        DataError: the file is damaged, no schema, or has two features of one name.
    """
    return from_message(read_message(path, schema_pb2.Schema), where=str(path))


def export_schema(schema: Schema, path: str | Path) -> None:
    """Write our schema as TFDV's: `.pbtxt` as text, other endings as bytes.

    A schema that came from TFDV comes back as it was, but for what was edited. Of others, what
    TFDV does not know (patterns, lengths, keys, shares outside a range, rules) is left out.

    Raises:
        DataError: a key `tfdv` is not protobuf text.
    """
    write_message(to_message(schema), path)


def with_lists(schema: Schema, columns: Iterable[str]) -> Schema:
    """Say which columns of the data hold lists.

    TFDV makes no difference between a plain cell and a list of one, and its schema does not
    say which it is; ours does. A feature of one value (or of any number) that comes as lists gets
    `nesting` 1, and bounds as TFDV has them.
    """
    limits = {feature.name: valency(feature) for feature in to_message(schema).feature}
    found = {
        name: msgspec.structs.replace(
            schema.features[name], nesting=1, min_values=limits[name][1], max_values=limits[name][2]
        )
        for name in columns
        if name in limits and schema.features[name].nesting == 0
    }
    return msgspec.structs.replace(schema, features=schema.features | found)


def from_message(message: schema_pb2.Schema, where: str = "schema") -> Schema:
    """Turn TFDV's schema message into our schema; see `import_schema`.

    Raises:
        DataError: two features have one name.
    """
    defaults = set(message.default_environment)
    environments = list(message.default_environment)
    for feature in message.feature:
        environments += [*feature.in_environment, *feature.not_in_environment]
    environments = list(dict.fromkeys(environments))
    domains = {each.name: list(each.value) for each in message.string_domain}
    features: dict[str, FeatureSpec] = {}
    for feature in message.feature:
        if feature.name in features:
            raise DataError(f"two features are called {feature.name!r}", where=where)
        spec = read_spec(feature, domains, environments, defaults)
        plain = write_spec(feature.name, spec, environments, defaults)
        kept = to_text(_left_over(feature, plain))
        if feature.WhichOneof("shape_type") is None:
            kept = _ANY_VALENCY + kept
        features[feature.name] = msgspec.structs.replace(spec, tfdv=kept)
    table = _table(message)
    said = {name: "" if name in defaults else _NAMED_ONLY for name in environments}
    schema = Schema(features, table, said, dict(_SEVERE))
    left = _left_over_table(message, schema)
    return msgspec.structs.replace(schema, table=msgspec.structs.replace(table, tfdv=to_text(left)))


def to_message(schema: Schema) -> schema_pb2.Schema:
    """Turn our schema into TFDV's schema message; see `export_schema`."""
    kept = from_text(schema.table.tfdv, schema_pb2.Schema, "table.tfdv")
    message = schema_pb2.Schema(default_environment=_defaults(schema))
    for name, spec in schema.features.items():
        message.feature.append(_feature(name, spec, schema))
    _put_constraints(message, schema.table)
    _restore_table(message, kept, schema.table)
    _put_domains(message, kept, schema.features)
    return message


def _defaults(schema: Schema) -> list[str]:
    return [name for name, meaning in schema.environments.items() if meaning != _NAMED_ONLY]


def _feature(name: str, spec: FeatureSpec, schema: Schema) -> schema_pb2.Feature:
    environments, defaults = list(schema.environments), set(_defaults(schema))
    plain = write_spec(name, spec, environments, defaults)
    if not spec.tfdv:
        return plain
    kept = from_text(spec.tfdv, schema_pb2.Feature, f"features.{name}.tfdv")
    values = [str(value) for value in spec.domain or ()]
    told = read_spec(_whole(plain, kept), _Any(values), environments, defaults)
    for fields, keys in _GROUPS:
        if any(_has(kept, f) for f in fields) and all(
            _say(told, key) == _say(spec, key) for key in keys
        ):
            _take(fields, kept, plain)
    _take(_REST, kept, plain)
    bounds = (spec.min_values, spec.max_values)
    if _ANY_VALENCY in spec.tfdv and spec.nesting <= 1 and bounds == (None, None):
        _take(_GROUPS[2][0], kept, plain)
    return plain


def _say(spec: FeatureSpec, key: str) -> object:
    """What a key says to TFDV, for which plain cells are lists of one."""
    if key != "nesting":
        return getattr(spec, key)
    return (spec.nesting, spec.min_values, spec.max_values) if spec.nesting else (1, 1, 1)


class _Any(dict[str, list[str]]):
    """Domains by name, all with the same values."""

    def __init__(self, values: list[str]) -> None:
        super().__init__()
        self._values = values

    def get(self, name: str, default: object = None) -> list[str]:
        return self._values


def _whole(plain: schema_pb2.Feature, kept: schema_pb2.Feature) -> schema_pb2.Feature:
    """The feature as it would be with everything that was kept."""
    whole = schema_pb2.Feature()
    whole.CopyFrom(plain)
    for fields in (*(fields for fields, _ in _GROUPS), _REST):
        if any(_has(kept, field) for field in fields):
            _take(fields, kept, whole)
    return whole


def _left_over(feature: schema_pb2.Feature, plain: schema_pb2.Feature) -> schema_pb2.Feature:
    """The groups of fields that our keys do not give back."""
    left = schema_pb2.Feature()
    for fields in (*(fields for fields, _ in _GROUPS), _REST):
        if any(_of(feature, field) != _of(plain, field) for field in fields):
            _take(fields, feature, left)
    return left


def _table(message: schema_pb2.Schema) -> TableSpec:
    limits = message.dataset_constraints
    growth = limits.num_examples_drift_comparator
    low, high = "min_fraction_threshold", "max_fraction_threshold"
    # TFDV looks at the greatest number of examples only where there is a least one too.
    both = limits.HasField("min_examples_count") and limits.HasField("max_examples_count")
    return TableSpec(
        min_rows=max(1, limits.min_examples_count),
        max_rows=limits.max_examples_count if both else None,
        min_growth=growth.min_fraction_threshold if growth.HasField(low) else None,
        max_growth=growth.max_fraction_threshold if growth.HasField(high) else None,
        exact=True,
    )


def _put_constraints(message: schema_pb2.Schema, table: TableSpec) -> None:
    if table.min_rows > 1 or table.max_rows is not None:
        message.dataset_constraints.min_examples_count = table.min_rows
    if table.max_rows is not None:
        message.dataset_constraints.max_examples_count = table.max_rows
    if table.min_growth is not None:
        growth = message.dataset_constraints.num_examples_drift_comparator
        growth.min_fraction_threshold = table.min_growth
    if table.max_growth is not None:
        growth = message.dataset_constraints.num_examples_drift_comparator
        growth.max_fraction_threshold = table.max_growth


def _left_over_table(message: schema_pb2.Schema, schema: Schema) -> schema_pb2.Schema:
    """The schema without its features, and without the values of domains that features hold."""
    left, plain = schema_pb2.Schema(), schema_pb2.Schema()
    left.CopyFrom(message)
    left.ClearField("feature")
    left.ClearField("default_environment")
    _put_constraints(plain, schema.table)
    if plain.dataset_constraints == message.dataset_constraints:
        left.ClearField("dataset_constraints")
    held = _held(message.feature, schema.features)
    for domain in left.string_domain:
        if domain.name in held and list(domain.value) == held[domain.name]:
            domain.ClearField("value")
    made = schema_pb2.Schema()
    _put_domains_of(made, held)
    if list(made.string_domain) == list(message.string_domain):
        left.ClearField("string_domain")
    return left


def _restore_table(message: schema_pb2.Schema, kept: schema_pb2.Schema, table: TableSpec) -> None:
    told = _table(kept)
    if kept.HasField("dataset_constraints") and all(
        getattr(told, key) == getattr(table, key) for key in _TABLE_KEYS
    ):
        _take(["dataset_constraints"], kept, message)
    written = {"feature", "default_environment", "dataset_constraints", "string_domain"}
    names = {field.name for field in schema_pb2.Schema.DESCRIPTOR.fields}
    _take(names - written, kept, message)


def _held(
    features: Iterable[schema_pb2.Feature], specs: Mapping[str, FeatureSpec]
) -> dict[str, list[str]]:
    """The values of each shared domain, as the first feature that refers to it has them."""
    held: dict[str, list[str]] = {}
    for feature in features:
        domain = specs[feature.name].domain
        if feature.WhichOneof("domain_info") == "domain" and domain:
            held.setdefault(feature.domain, [str(value) for value in domain])
    return held


def _put_domains_of(message: schema_pb2.Schema, held: Mapping[str, list[str]]) -> None:
    for name, values in held.items():
        message.string_domain.add(name=name, value=values)


def _put_domains(
    message: schema_pb2.Schema, kept: schema_pb2.Schema, specs: Mapping[str, FeatureSpec]
) -> None:
    """Write the shared domains; a feature whose values were edited apart gets one of its own."""
    held = _held(message.feature, specs)
    for domain in kept.string_domain:
        made = message.string_domain.add()
        made.CopyFrom(domain)
        if domain.name in held and (not domain.value or _edited(domain, held[domain.name])):
            del made.value[:]
            made.value.extend(held[domain.name])
    listed = {domain.name for domain in kept.string_domain}
    _put_domains_of(message, {name: v for name, v in held.items() if name not in listed})
    taken = {domain.name: list(domain.value) for domain in message.string_domain}
    for feature in message.feature:
        values = [str(value) for value in specs[feature.name].domain or ()]
        shared = feature.WhichOneof("domain_info") == "domain" and values
        if shared and values != list(dict.fromkeys(taken[feature.domain])):
            feature.domain = _unused(feature.name, taken)
            taken[feature.domain] = values
            message.string_domain.add(name=feature.domain, value=values)
        elif (
            feature.HasField("string_domain") and values and _edited(feature.string_domain, values)
        ):
            del feature.string_domain.value[:]
            feature.string_domain.value.extend(values)


def _edited(domain: schema_pb2.StringDomain, values: list[str]) -> bool:
    return list(dict.fromkeys(domain.value)) != values


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number, made = 1, name
    while made in taken:
        number += 1
        made = f"{name}{number}"
    return made


def _set_fields(message: Message) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def _has(message: Message, field: str) -> bool:
    return field in _set_fields(message)


def _of(message: Message, field: str) -> object:
    return getattr(message, field) if _has(message, field) else None


def _take(fields: Iterable[str], source: Message, target: Message) -> None:
    """Make fields of the target what they are in the source, absent ones too."""
    picked = type(source)()
    picked.CopyFrom(source)
    wanted = set(fields)
    for field in list(_set_fields(picked) - wanted):
        picked.ClearField(field)
    for field in wanted:
        target.ClearField(field)
    target.MergeFrom(picked)

from __future__ import annotations

import subprocess
import sys

import pytest

from gristmill.core.errors import LabelError
from gristmill.label.functions.function import LabelingFunction, labeling_function
from gristmill.label.functions.preprocess import preprocessor
from gristmill.label.functions.rows import Row


@labeling_function
def shouts(row):  # type: ignore[no-untyped-def]
    """Capitals."""
    return "spam" if row.text.isupper() else None


def test_bare_decoration() -> None:
    assert (shouts.name, shouts.kind, shouts.on_error) == ("shouts", "row", "raise")
    assert shouts.__doc__ == "Capitals."
    assert shouts(Row({"text": "WIN"})) == "spam"
    assert shouts(Row({"text": "hi"})) is None
    assert repr(shouts) == "LabelingFunction('shouts', kind='row')"


def test_decoration_with_arguments() -> None:
    @labeling_function(name="is_in", on_error="abstain", resources={"words": ["a"]})
    def rule(row, words):  # type: ignore[no-untyped-def]
        return 1 if row.text in words else -1

    assert (rule.name, rule.on_error, rule.kind) == ("is_in", "abstain", "row")
    assert rule(Row({"text": "a"})) == 1


def test_the_kind_is_told_from_the_parameters() -> None:
    assert labeling_function(name="e")(lambda: None).kind == "expression"
    assert labeling_function(name="e", resources={"n": 1})(lambda n: None).kind == "expression"
    assert labeling_function(name="r", resources={"n": 1})(lambda row, n: None).kind == "row"
    assert labeling_function(name="b", kind="batch")(lambda frame: []).kind == "batch"


def test_defining_one_does_not_import_polars() -> None:
    code = (
        "import sys\n"
        "from gristmill.label import keywords, labeling_function, where\n"
        "keywords('k', ['a'], 1), where('w', lambda: 1 / 0, 1)\n"
        "@labeling_function\n"
        "def f(): return 1 / 0\n"
        "print('polars' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "rows"}, "labelling function 'f': expected a kind out of row, batch, expression"),
        ({"on_error": "skip"}, "expected on_error 'raise' or 'abstain', found 'skip'"),
        ({"name": " "}, "a labelling function needs a name"),
        ({"pre": [len]}, "expected preprocessors in pre, found builtin_function_or_method"),
        (
            {"kind": "batch", "pre": [preprocessor(lambda row: {})]},
            "preprocessors are for functions of a row, this is one of kind 'batch'",
        ),
    ],
)
def test_arguments_that_do_not_fit(options: dict[str, object], message: str) -> None:
    def f(row):  # type: ignore[no-untyped-def]
        return None

    with pytest.raises(LabelError, match=message):
        labeling_function(**options)(f)  # type: ignore[call-overload]


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(LabelError, match="a labelling function needs a name"):
        labeling_function(lambda row: 1)


def make(words: object, version: str | None = None, kind: str = "row") -> LabelingFunction:
    return labeling_function(  # type: ignore[call-overload,no-any-return]
        name="f", resources={"words": words}, version=version, kind=kind
    )(lambda row, words: None)


def test_the_fingerprint_covers_resources_kind_and_preprocessors() -> None:
    marks = [
        make(["a"]).__fingerprint__(),
        make(["b"]).__fingerprint__(),
        make(["a"], kind="batch").__fingerprint__(),
        make(len).__fingerprint__(),
        make(["a"], version="2").__fingerprint__(),
    ]
    assert len(set(marks)) == len(marks)
    assert make(["a"]).__fingerprint__() == marks[0]


def test_the_fingerprint_covers_helpers_of_the_user() -> None:
    def with_helper(limit: int) -> LabelingFunction:
        def helper(text: str) -> bool:
            return len(text) > limit

        return labeling_function(name="f")(lambda row: 1 if helper(row.text) else None)

    assert with_helper(1).__fingerprint__() == with_helper(1).__fingerprint__()
    assert with_helper(1).__fingerprint__() != with_helper(2).__fingerprint__()


def test_a_resource_without_fingerprint_needs_a_version() -> None:
    with pytest.raises(LabelError) as caught:
        make(object()).__fingerprint__()
    assert str(caught.value) == (
        "labelling function 'f': resource 'words' is a object, which has no fingerprint\n"
        "  fix: say version='...' in the decorator, and change it when the resource changes"
    )
    assert make(object(), version="1").__fingerprint__() == make(object(), "1").__fingerprint__()

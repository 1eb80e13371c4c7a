"""Every mistake in a serving file is told with its place, its key and what to do."""

import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.server.model_plan import ModelPlan
from gristmill.serve.server.route_plans import CanaryPlan, SelectionPlan
from gristmill.serve.server.serving_file import read_plan

MODELS = """
[models.a]
bundle = "x"
[models.b]
bundle = "y"
"""
ROUTE = (
    MODELS
    + """
[routes.r]
models = ["a", "b"]
"""
)


@pytest.fixture
def refused(tmp_path):
    """refused(text): what is said of a file: place without the folder, message, fix."""

    def refused(text):
        file = tmp_path / "s.toml"
        file.write_text(text)
        with pytest.raises(UsageError) as caught:
            read_plan(file)
        error = caught.value
        return error.where.replace(f"{tmp_path}/", ""), error.message, error.fix

    return refused


def test_paths_are_relative_to_the_file(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(
        """
        [models.a]
        bundle = "bundles/a"
        replicas = 2
        cache = "64MB"
        [models.b]
        registry = "spam"
        project = ".."
        [routes.r]
        kind = "canary"
        models = ["a", "b"]
        share = 0.05
        [routes.s]
        kind = "selection"
        models = ["b", "r"]
        policy = { name = "exp3", eta = 0.2 }
        """
    )
    plan = read_plan(file)
    assert plan.models == {
        "a": ModelPlan(
            bundle=str(tmp_path / "bundles/a"), project=str(tmp_path), replicas=2, cache="64MB"
        ),
        "b": ModelPlan(registry="spam", project=str(tmp_path / "..")),
    }
    assert plan.routes == {
        "r": CanaryPlan(models=("a", "b"), share=0.05),
        "s": SelectionPlan(models=("b", "r"), policy={"name": "exp3", "eta": 0.2}),
    }
    assert plan.folder == str(tmp_path / "serving")
    assert plan.origin == str(file)


def test_a_file_that_cannot_be_read(tmp_path, refused):
    with pytest.raises(UsageError) as caught:
        read_plan(tmp_path / "none.toml")
    assert caught.value.message == "the serving file cannot be read: No such file or directory"
    assert refused("[models")[1].startswith("this is no TOML: Expected ']'")
    assert refused("") == (
        "s.toml",
        "expected a model to serve, found none",
        'add [models.NAME] with bundle = "FOLDER"',
    )


@pytest.mark.parametrize(
    ("text", "where", "message", "fix"),
    [
        ("model = 1", "s.toml", "unknown key 'model'", "did you mean 'models'?"),
        ("folder = 3", "s.toml", "folder: expected a path, found 3", None),
        ("models = 3", "s.toml", "expected tables [models.NAME], found models = 3", None),
        ("models.a = 3", "s.toml, [models.a]", "expected a table of keys, found 3", None),
        (
            MODELS.replace("bundle", "bundel", 1),
            "s.toml, [models.a]",
            "unknown key 'bundel'",
            "did you mean 'bundle'?",
        ),
        (
            MODELS + "replicas = 'two'",
            "s.toml, [models.b]",
            "replicas: expected `int`, found `str`",
            None,
        ),
        (
            MODELS + "project = '.'",
            "s.toml, [models.b]",
            "project: goes with registry, and there is none",
            None,
        ),
        (
            MODELS + "schema = 'strict'",
            "s.toml, [models.b]",
            'schema: expected one of reject, warn, off, found "strict"',
            None,
        ),
        (
            ROUTE,
            "s.toml, [routes.r]",
            "kind: expected one of canary, shadow, ensemble, selection, found none",
            None,
        ),
        (
            ROUTE + "kind = 'canari'",
            "s.toml, [routes.r]",
            'kind: expected one of canary, shadow, ensemble, selection, found "canari"',
            'did you mean kind = "canary"?',
        ),
        (
            ROUTE + "kind = 'canary'",
            "s.toml, [routes.r]",
            "expected the key 'share', found none",
            None,
        ),
        (
            ROUTE + "kind = 'canary'\nshare = 'all'",
            "s.toml, [routes.r]",
            "share: expected `float`, found `str`",
            None,
        ),
        (
            ROUTE + "kind = 'shadow'\nshrae = 1.0",
            "s.toml, [routes.r]",
            "unknown key 'shrae'",
            "did you mean 'share'?",
        ),
        (
            MODELS + "[routes.r]\nkind = 'shadow'\nmodels = ['a', 3]",
            "s.toml, [routes.r]",
            "models[1]: expected `str`, found `int`",
            None,
        ),
        (
            MODELS + "keep_predictions = 'yes'",
            "s.toml, [models.b]",
            "keep_predictions: expected `bool | float | table`, found `str`",
            None,
        ),
        (
            MODELS + "keep_predictions = { rat = 0.5 }",
            "s.toml, [models.b]",
            "keep_predictions: unknown key `rat`",
            None,
        ),
        (
            MODELS + "keep_predictions = { rate = 2 }",
            "s.toml, [models.b]",
            "keep_predictions: expected a share above 0 and at most 1, found 2.0",
            None,
        ),
    ],
)
def test_mistakes(refused, text, where, message, fix):
    assert refused(text) == (where, message, fix)


def test_an_unknown_key_far_from_any_other_lists_them_all(refused):
    assert refused(MODELS + "zzz = 1")[2].startswith("known keys: deadline, schema, keep")

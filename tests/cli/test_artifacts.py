"""What is stored, at the prompt."""

from __future__ import annotations

from gristmill.core.moments import format_moment


def test_artifacts_by_kind_step_time_and_page(project) -> None:
    assert project("artifacts").code == 7
    project("run")
    project("run", "--set", "scaled.factor=3")
    everything = project("artifacts", "--kind", "json", "--json").json
    assert [one["step"] for one in everything] == ["total", "scaled", "total", "scaled", "numbers"]
    assert {one["kind"] for one in everything} == {"json"}
    assert len(project("artifacts", "--json").json) > len(everything)  # logs and the source
    assert all(one["run"] and one["bytes_"] and one["created"] for one in everything)
    page = project("artifacts", "--kind", "json", "--limit", "2", "--skip", "1", "--json").json
    assert page == everything[1:3]
    scaled = project("artifacts", "--step", "scaled", "--json").json
    assert scaled == [one for one in everything if one["step"] == "scaled"]
    assert project("artifacts", "--kind", "bundle").out == "nothing of that is stored\n"
    assert (
        project("artifacts", "--since", "2001-01-01", "--kind", "json", "--json").json == everything
    )
    shown = project("artifacts", "--step", "total").out
    assert everything[0]["digest"][:12] in shown
    assert format_moment(everything[0]["created"]) in shown  # on one line, at 80 columns

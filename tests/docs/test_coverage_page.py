"""The coverage page is written from graded operations."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "docs" / "_tools" / "coverage.py"


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    found = importlib.util.spec_from_file_location("coverage_page", TOOL)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_best_grades_stand_first(coverage: ModuleType) -> None:
    text = coverage.page(
        {"sts": {"B": {"grade": "typed"}, "A": {"grade": "refused"}, "C": {"grade": "proven"}}}
    )
    assert text.index("`C`") < text.index("`B`") < text.index("`A`")
    assert "3 operations: 1 proven, 1 typed, 1 refused." in text


def test_an_unknown_grade_is_refused(coverage: ModuleType) -> None:
    with pytest.raises(SystemExit, match="unknown grade splendid"):
        coverage.page({"sts": {"A": {"grade": "splendid"}}})


def test_no_results_say_so(coverage: ModuleType) -> None:
    assert "make test" in coverage.page({})


def test_the_best_grade_of_all_sessions_counts(coverage: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(
        '{"sagemaker": {"DescribeModel": "typed"}, "sts": {"GetCallerIdentity": "proven"}}'
    )
    (tmp_path / "2.json").write_text('{"sagemaker": {"DescribeModel": "behaves"}}')
    merged = coverage.merged(tmp_path)
    assert merged["sagemaker"]["DescribeModel"] == {"grade": "behaves"}
    assert merged["sts"]["GetCallerIdentity"] == {"grade": "proven"}
    assert merged["sagemaker"]["CreateEdgeDeploymentPlan"]["grade"] == "refused"
    assert "retired" in merged["sagemaker"]["CreateEdgeDeploymentPlan"]["note"]

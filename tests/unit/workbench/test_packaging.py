"""Archives: the same files are the same bytes, whenever and wherever they are packed."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from workbench import packaging
from workbench.settings import ROOT


def test_dates_modes_and_order_of_this_machine_do_not_count(tmp_path: Path) -> None:
    for name in ("b.py", "a.py"):
        (tmp_path / name).write_text(name)
    first = packaging.archive({"b.py": tmp_path / "b.py", "a.py": tmp_path / "a.py"})
    os.utime(tmp_path / "a.py", (0, 0))
    (tmp_path / "b.py").chmod(0o600)

    assert packaging.archive({"a.py": tmp_path / "a.py", "b.py": tmp_path / "b.py"}) == first
    (tmp_path / "b.py").write_text("changed")
    assert packaging.archive({"a.py": tmp_path / "a.py", "b.py": tmp_path / "b.py"}) != first


def test_the_function_is_packed_as_lambda_imports_it() -> None:
    package = packaging.function(ROOT)

    assert packaging.function(ROOT) == package
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        names = archive.namelist()
        assert (
            archive.read("trigger_dag/routes.toml")
            == (ROOT / "lambda_functions/trigger_dag/routes.toml").read_bytes()
        )
    assert "trigger_dag/handler.py" in names
    assert names == sorted(names)
    assert not [name for name in names if "__pycache__" in name or "/." in name]

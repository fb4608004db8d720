"""What the README tells people to type works."""

import re
from pathlib import Path

import numpy as np

from xpfit.read import read_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example_runs(tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names = {}
    exec(code, names)
    assert np.isfinite(names["flux"][0, :64]).all()
    assert len(read_table(tmp_path / "good.fits")) == names["good"].sum() > 70


def test_pictures_and_pages_that_it_links_to_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) >= 3
    for link in local:
        assert (ROOT / link).is_file(), link

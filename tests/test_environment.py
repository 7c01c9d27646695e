"""pyproject.toml, requirements.lock and environment.yml agree, versions included."""

import re
import subprocess
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from glasslib import __version__, book

ROOT = book.root()
#: conda-forge's name, where it differs from PyPI's
CONDA_NAMES = {
    "freud": "freud-analysis",
    "pytorch": "torch",
    "pytorch-geometric": "torch-geometric",
}
#: in environment.yml alone: not Python packages, or not on PyPI
CONDA_ONLY = {"python", "pip", "make", "hoomd"}


def lock():
    found = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)", line)
            assert match, f"{line!r} is not name==version"
            name = canonicalize_name(match[1])
            assert name not in found, f"{name} is listed twice"
            found[name] = match[2]
    return found


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def environment():
    """environment.yml as {PyPI name: version}, conda and pip sections apart."""
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda, pip = {}, {}
    for item in content["dependencies"]:
        if isinstance(item, dict):
            for line in item["pip"]:
                if line != "-e .":
                    name, version = line.split("==")
                    pip[canonicalize_name(name)] = version
            assert "-e ." in item["pip"]
        else:
            name, _, version = item.partition("=")
            name = canonicalize_name(name)
            conda[CONDA_NAMES.get(name, name)] = version
    return content, conda, pip


def test_lock_is_flat_and_exact():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "@" not in text
    assert len(lock()) > 100


def test_lock_satisfies_pyproject():
    locked, declared = lock(), project()
    extras = declared["optional-dependencies"]
    assert any("pyarrow" in line for line in extras["parquet"])  # as messages and README say
    assert "glasslib[parquet]" in extras["batch"]
    for line in [*declared["dependencies"], *extras["dev"]]:
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        assert name in locked, f"{name} is in pyproject.toml and not in requirements.lock"
        assert wanted.specifier.contains(Version(locked[name])), f"{line} against {locked[name]}"


def test_conda_environment_is_the_lock():
    locked, declared = lock(), project()
    content, conda, pip = environment()
    assert content["channels"][0] == "conda-forge"
    assert not set(conda) & set(pip)
    for name, version in {**conda, **pip}.items():
        if name not in CONDA_ONLY:
            assert locked.get(name) == version, f"{name}: {version} against {locked.get(name)}"
    everything = [*declared["dependencies"], *declared["optional-dependencies"]["dev"]]
    named = {canonicalize_name(Requirement(line).name) for line in everything}
    missing = named - set(conda) - set(pip)
    assert not missing, f"environment.yml lacks {sorted(missing)}"
    assert conda["hoomd"] == "4.8.2"
    assert Version(conda["python"]) >= Version("3.11")


def test_what_breaks_the_book_is_pinned():
    locked = lock()
    assert locked["jupyter-book"] == "1.0.4.post1"
    assert locked["sphinx-book-theme"] == "1.1.4"
    assert locked["pydata-sphinx-theme"] == "0.15.4"
    assert project()["requires-python"] == ">=3.11"


@pytest.mark.parametrize("name", sorted(lock()))
def test_installed_is_locked(name):
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        pytest.skip("not installed here (another platform, or conda)")
    if not (ROOT / ".venv" / ".stamp").exists():
        pytest.skip("not the environment that make made")
    assert Version(installed).public == Version(lock()[name]).public


def test_one_version_of_glasslib():
    assert project()["version"] == __version__
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cff["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_file_names_a_private_place():
    """Nothing that is under version control names a registry host or a path of one machine."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    # written in parts, so that this file is no match
    private = re.compile(
        "|".join(["/ro" + "ot/", "/wo" + "rk/", "index" + "-url", "/opt/" + "pypi"])
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".gsd", ".png", ".npz", ".safetensors"} or not path.is_file():
            continue
        match = private.search(path.read_text(encoding="utf-8", errors="ignore"))
        assert not match, f"{name} names {match[0]}"


def test_workflows_pin_what_they_use():
    """Actions by commit, and Pythons that the project allows, the oldest among them."""
    least = Version(project()["requires-python"].removeprefix(">="))
    used, pythons = [], set()
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            used += [step["uses"] for step in job["steps"] if "uses" in step]
            pythons |= set(job.get("strategy", {}).get("matrix", {}).get("python", []))
    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", one) for one in used), used
    assert min(map(Version, pythons)) == least


def test_files_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(
        re.findall(r"`((?:glasslib|tests|data|notebooks)/[\w./-]+|[\w-]+\.(?:md|bib|yml))`", text)
    )
    named = {name for name in named if "NAME" not in name and name != "claims.yml"}
    assert len(named) > 15
    missing = [name for name in named if not (ROOT / name).exists()]
    # said of a folder or of a page's file that a step makes
    assert not missing, missing

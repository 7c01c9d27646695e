"""Stored results belong to their inputs, settings and code; others are refused or made anew."""

import json

import numpy as np
import pytest

from glasslib import dynamics, rings, stored

SETTINGS = {"r_c": 2.3, "names": ["a", "b"]}


def test_a_fingerprint_knows_settings_inputs_and_code(tmp_path):
    file = tmp_path / "x.bin"
    file.write_bytes(b"1")
    base = {"settings": SETTINGS, "inputs": [file, np.arange(3), "abc"], "code": [rings]}
    first = stored.fingerprint(**base)
    assert first == stored.fingerprint(**base | {"settings": dict(reversed(SETTINGS.items()))})
    others = [
        base | {"settings": SETTINGS | {"r_c": 2.31}},
        base | {"inputs": [file, np.arange(3), "abd"]},
        base | {"inputs": [file, np.arange(3.0), "abc"]},
        base | {"inputs": [file, np.arange(3).reshape(3, 1), "abc"]},
        base | {"code": [stored]},
    ]
    assert len({first, *(stored.fingerprint(**o) for o in others)}) == len(others) + 1
    file.write_bytes(b"2")
    assert stored.fingerprint(**base) != first


def test_a_package_is_no_code():
    """Its modules may change while its own source stays."""
    with pytest.raises(ValueError, match="glasslib.dynamics is a package; name modules"):
        stored.fingerprint(settings={}, code=[dynamics])


def test_comments_and_docstrings_do_not_count():
    a = 'def f(x):\n    """One."""\n    return x + 1\n'
    b = 'def f(x):  # why\n    """Two."""\n    return (x +\n            1)\n'
    assert stored.statements(a) == stored.statements(b)
    assert stored.statements(a) != stored.statements(a.replace("+", "-"))
    assert stored.statements('class A:\n    """Only words."""\n')


def test_results_are_made_once(tmp_path):
    path, calls = tmp_path / "r.json", []

    def compute():
        calls.append(1)
        return {"r": [0.5, len(calls)]}

    assert stored.keep(path, "a", "f1", compute) == {"r": [0.5, 1]}
    assert stored.keep(path, "a", "f1", compute) == {"r": [0.5, 1]}
    assert stored.keep(path, "b", "f1", lambda: 7) == 7
    assert stored.keep(path, "a", "f2", compute) == {"r": [0.5, 2]}  # other code: anew
    assert stored.recall(path, "a", "f1") is None
    assert stored.recall(path, "a", "f2") == {"r": [0.5, 2]}
    assert len(stored.made_on(path, "b")) == 10
    assert sorted(json.loads(path.read_text(encoding="utf-8"))) == ["a", "b"]


def test_readers_refuse_what_is_missing_or_of_other_inputs(tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(stored.StoredError, match="r.json: 'a' is not there. Make it: make data"):
        stored.keep(path, "a", "f1", lambda: 1, make=False, how="make data CHAPTER=5")
    stored.keep(path, "a", "f1", lambda: 1)
    assert stored.keep(path, "a", "f1", lambda: 2, make=False) == 1
    with pytest.raises(stored.StoredError, match="of other inputs, settings or code"):
        stored.keep(path, "a", "f2", lambda: 2, make=False)
    with pytest.raises(ValueError, match="not JSON compliant"):
        stored.keep(path, "b", "f1", lambda: float("nan"))
    assert stored.recall(path, "b", "f1") is None
    for text in ("[]", '{"a": 1}', "{", '{"a": {"value": 1}}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(stored.StoredError, match="move it away"):
            stored.recall(path, "a", "f1")


def test_files_are_made_once_and_known_by_their_content(tmp_path):
    path, calls = tmp_path / "deep" / "model.bin", []

    def write(where):
        calls.append(1)
        where.write_bytes(bytes([len(calls)]))

    with pytest.raises(stored.StoredError, match="'model.bin' is not there. Make it: now"):
        stored.keep_file(path, "f1", write, make=False, how="now")
    assert stored.keep_file(path, "f1", write) == path
    assert stored.keep_file(path, "f1", write, make=False).read_bytes() == b"\x01"
    assert stored.keep_file(path, "f2", write).read_bytes() == b"\x02"  # other code: anew
    with pytest.raises(stored.StoredError, match="of other inputs, settings or code"):
        stored.keep_file(path, "f1", write, make=False)
    path.write_bytes(b"\x03")
    with pytest.raises(stored.StoredError, match="another file than made.json"):
        stored.keep_file(path, "f2", write)
    path.unlink()
    with pytest.raises(stored.StoredError, match="is missing or another"):
        stored.keep_file(path, "f2", write, make=False)

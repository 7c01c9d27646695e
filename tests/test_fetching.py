"""Public data: what is downloaded, what is refused, where it is looked for."""

import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from oracles import external

from glasslib import agreement, cli, fetching, frames

CONTENT = {"LICENSE": b"do what you like\n", "one.npz": b"1" * 3000, "two.npz": b"22" * 2000}
PATHS = {"LICENSE": "LICENSE", "one.npz": "deep/train/one.npz", "two.npz": "deep/train/two.npz"}


@pytest.fixture
def server(monkeypatch):
    """A server that sends CONTENT; ``answers[name]`` is a body, a status, or (length, body)."""
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            asked.append(name)
            answer = answers[name]
            if isinstance(answer, int):
                self.send_error(answer)
                return
            length, body = answer if isinstance(answer, tuple) else (len(answer), answer)
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    asked, answers = [], dict(CONTENT)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.asked, httpd.answers = asked, answers
    httpd.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """An empty clone of the book with nothing beside it."""
    root = tmp_path / "work" / "clone"
    (root / "notebooks").mkdir(parents=True)
    (root / "_toc.yml").write_text("root: intro\n")
    monkeypatch.chdir(root)
    monkeypatch.delenv("GLASSLIB_EXTERNAL", raising=False)
    return root


def serve_from(monkeypatch, url):
    """Make ``botan`` the three files of CONTENT, served at ``url``."""
    files = tuple(
        fetching.File(path, f"{url}/{path}", len(body), hashlib.sha256(body).hexdigest())
        for path, body in zip(PATHS.values(), CONTENT.values())
    )
    data = fetching.Dataset("fake", files, "https://example.org/botan", "A. Nobody (2023)", "MIT")
    monkeypatch.setattr(fetching, "DATASETS", {"botan": data})


@pytest.fixture
def botan(server, clone, monkeypatch):
    """The folder that ``glasslib fetch botan`` fills from the server."""
    serve_from(monkeypatch, server.url)
    return clone / "external" / "botan"


def names(folder: Path) -> list[str]:
    """All files below ``folder``, hidden ones too."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def refused(capsys, *arguments: str) -> str:
    """The one line that ``glasslib fetch botan`` ends with, at exit status 2."""
    assert cli.main(["fetch", "botan", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("glasslib fetch: ")
    assert len(told.splitlines()) == 1
    return told


def test_download(botan, server, capsys):
    assert cli.main(["fetch", "botan"]) == 0
    told = capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in botan.iterdir()} == CONTENT
    assert server.asked == list(CONTENT)
    assert "[2/3] one.npz  3.0 kB" in told
    for word in (str(botan), "A. Nobody (2023)", "MIT", "https://example.org/botan"):
        assert word in told


def test_a_second_time_does_nothing(botan, server, capsys):
    fetching.fetch("botan")
    before = {p: p.stat().st_mtime_ns for p in botan.iterdir()}
    server.asked.clear()
    capsys.readouterr()
    for arguments in ([], ["--force"]):
        assert cli.main(["fetch", "botan", *arguments]) == 0
        assert "all 3 files of botan are here and right; nothing to do" in capsys.readouterr().out
    assert server.asked == []
    assert {p: p.stat().st_mtime_ns for p in botan.iterdir()} == before


def test_a_wrong_file_is_kept_unless_forced(botan, server, capsys):
    botan.mkdir(parents=True)
    (botan / "two.npz").write_bytes(b"mine")
    told = refused(capsys)
    for word in (
        str(botan / "two.npz"), hashlib.sha256(b"mine").hexdigest(),
        hashlib.sha256(CONTENT["two.npz"]).hexdigest(), "--force",
    ):  # fmt: skip
        assert word in told
    assert server.asked == [], "a wrong file is found before anything is downloaded"
    assert (botan / "two.npz").read_bytes() == b"mine"

    assert cli.main(["fetch", "botan", "--force"]) == 0
    assert {p.name: p.read_bytes() for p in botan.iterdir()} == CONTENT


def test_a_forced_file_stays_if_its_replacement_is_wrong(botan, server, capsys):
    botan.mkdir(parents=True)
    (botan / "LICENSE").write_bytes(b"mine")
    server.answers["LICENSE"] = 503
    assert "HTTP 503" in refused(capsys, "--force")
    assert (botan / "LICENSE").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (404, ["was refused: HTTP 404 Not Found"]),
        (500, ["was refused: HTTP 500"]),
        (b"9" * 3000, ["is not the published file", hashlib.sha256(b"9" * 3000).hexdigest()]),
        ((3000, b"1" * 1000), ["only 1000 bytes; expected 3000"]),
        (b"1" * 999, ["only 999 bytes; expected 3000"]),
        (b"1" * 5000, ["more than 3000 bytes; expected 3000"]),
    ],
    ids=["missing", "broken", "wrong", "cut short", "short", "long"],
)
def test_what_the_server_sends_is_checked(botan, server, capsys, answer, words):
    server.answers["one.npz"] = answer
    told = refused(capsys)
    for word in (*words, f"{server.url}/deep/train/one.npz", "--from DIR", "https://example.org"):
        assert word in told
    assert names(botan) == ["LICENSE"], "the file before it stays, nothing else does"

    # the server recovers: the run goes on where it stopped
    server.answers["one.npz"] = CONTENT["one.npz"]
    server.asked.clear()
    assert cli.main(["fetch", "botan"]) == 0
    assert server.asked == ["one.npz", "two.npz"]
    assert {p.name: p.read_bytes() for p in botan.iterdir()} == CONTENT


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, and not listening
        yield taken.getsockname()[1]


def test_no_network(clone, closed_port, monkeypatch, capsys):
    monkeypatch.setenv("no_proxy", "*")
    url = f"http://127.0.0.1:{closed_port}"
    serve_from(monkeypatch, url)
    told = refused(capsys)
    for word in (f"{url}/LICENSE cannot be reached", "glasslib fetch botan --from DIR",
                 "https://example.org/botan"):  # fmt: skip
        assert word in told
    assert not (clone / "external").exists()


def test_a_silent_server(clone, monkeypatch, capsys):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        serve_from(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "timed out" in refused(capsys)


@pytest.mark.parametrize("layout", ["the files", "a folder above", "the repository"])
def test_from_a_local_copy(clone, closed_port, monkeypatch, tmp_path, layout):
    serve_from(monkeypatch, f"http://127.0.0.1:{closed_port}")
    copy = tmp_path / "copy"
    for name, body in CONTENT.items():
        place = {"the files": name, "a folder above": f"botan/{name}"}.get(layout, PATHS[name])
        (copy / place).parent.mkdir(parents=True, exist_ok=True)
        (copy / place).write_bytes(body)
    if layout == "a folder above":
        (copy / "LICENSE").write_bytes(b"of something else")
    assert cli.main(["fetch", "botan", "--from", str(copy)]) == 0
    folder = clone / "external" / "botan"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == CONTENT


def test_a_local_copy_is_checked(botan, server, capsys, tmp_path):
    copy = tmp_path / "copy"
    assert f"{copy} is not a folder" in refused(capsys, "--from", str(copy))
    copy.mkdir()
    assert f"{copy} holds no LICENSE" in refused(capsys, "--from", str(copy))
    (copy / "LICENSE").write_bytes(CONTENT["LICENSE"])
    (copy / "one.npz").write_bytes(b"other")
    told = refused(capsys, "--from", str(copy))
    assert f"{copy / 'one.npz'} is not the published file" in told
    assert hashlib.sha256(b"other").hexdigest() in told
    assert names(botan) == ["LICENSE"]
    assert server.asked == []


def test_a_local_copy_that_is_too_large_is_not_read(botan, tmp_path, capsys, monkeypatch):
    """A terabyte without a byte in it: only its size may be looked at."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, body in CONTENT.items():
        (copy / name).write_bytes(body)
    with (copy / "one.npz").open("wb") as stream:
        stream.truncate(10**12)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self} was read whole"))
    told = refused(capsys, "--from", str(copy))
    assert f"one.npz is not the published file: it has {10**12} bytes; expected 3000" in told
    assert names(botan) == ["LICENSE"]


def test_unknown_set_lists_what_there_is(clone, capsys):
    assert cli.main(["fetch", "botanic"]) == 2
    told = capsys.readouterr().err.strip()
    assert "'botanic'" in told
    assert "there is botan (Kob–Andersen, 3D" in told
    assert len(told.splitlines()) == 1


def test_a_folder_that_cannot_be_written(botan, capsys):
    botan.parent.write_text("a file where the folder should be")
    assert "cannot write" in refused(capsys)
    botan.parent.unlink()
    (botan / "LICENSE").mkdir(parents=True)
    assert f"{botan / 'LICENSE'} is not a file" in refused(capsys)


def test_other_destinations(botan, tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSLIB_EXTERNAL", str(tmp_path / "mine"))
    assert cli.main(["fetch", "botan"]) == 0
    assert names(tmp_path / "mine" / "botan") == sorted(CONTENT)
    assert not botan.exists()
    assert fetching.fetch("botan", destination=tmp_path / "there") == tmp_path / "there" / "botan"
    assert names(tmp_path / "there") == sorted(CONTENT)


def test_order_of_the_places(clone, tmp_path, monkeypatch):
    places = [tmp_path / "mine", clone / "external"]
    beside = clone.parent / "shared" / "external" / "x"
    beside.mkdir(parents=True)
    (beside / "y").write_text("not looked for: no variable names this folder")
    monkeypatch.setenv("GLASSLIB_EXTERNAL", str(places[0]))
    assert fetching.folders(clone) == places
    assert agreement.external("x/y", root=clone) is None
    for folder in reversed(places):  # each goes before those already there
        (folder / "x").mkdir(parents=True)
        (folder / "x" / "y").write_text("")
        assert agreement.external("x/y", root=clone) == folder / "x" / "y"
    for nothing in ("unset", ""):
        monkeypatch.setenv("GLASSLIB_EXTERNAL", nothing)
        if nothing == "unset":
            monkeypatch.delenv("GLASSLIB_EXTERNAL")
        assert fetching.folders(clone) == places[1:]


def test_what_botan_is():
    data = fetching.DATASETS["botan"]
    wanted = {f"isoconfig_N4096T0.44_{k}_tc07.npz" for k in range(1, 11)}
    assert {f.name for f in data.files} == wanted | {"LICENSE"}
    assert len({f.sha256 for f in data.files}) == 11
    for file in data.files:
        assert len(bytes.fromhex(file.sha256)) == 32
        before = "https://raw.githubusercontent.com/h3-Open-BDEC/pyg_botan/"
        assert file.url.startswith(before)
        # of one commit, which nobody can edit: a branch would be refused once it changes
        assert re.fullmatch("[0-9a-f]{40}/" + re.escape(file.path), file.url.removeprefix(before))
        assert "/test/" not in file.url


def test_the_published_files(tmp_path):
    copy = external("botan/LICENSE").parent
    for file in fetching.DATASETS["botan"].files:
        external(f"botan/{file.name}")
    for source in (copy, copy.parent):
        folder = fetching.fetch("botan", source=source, destination=tmp_path / source.name)
        assert len(list(folder.iterdir())) == 11
    (frame,) = frames.read(folder / "isoconfig_N4096T0.44_10_tc07.npz")
    assert frame.particles.N == 4096

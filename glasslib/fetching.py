"""Public data of others: where they lie on this machine, and how to bring them here.

They are not part of the repository. :func:`fetch` downloads a set, or takes it from a local copy,
and keeps a file only if its SHA-256 is the one written here; :func:`find` looks it up::

    from glasslib import book, fetching, frames

    fetching.fetch("botan")
    path = fetching.find("botan/isoconfig_N4096T0.44_1_tc07.npz", root=book.root())
    (frame,) = frames.read(path)
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from glasslib import places

#: seconds a server may stay silent
TIMEOUT = 30.0


class FetchError(ValueError):
    """Public data that cannot be had, or are not what was published; says what to do."""


@dataclass(frozen=True)
class File:
    """One published file: ``path`` in its repository, where it is served, and what it holds."""

    path: str
    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Name without folders; the file keeps it here."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Dataset:
    """A set of published files, and what to cite for it."""

    title: str
    files: tuple[File, ...]
    home: str
    citation: str
    licence: str


_BOTAN = "h3-Open-BDEC/pyg_botan"
# the first commit: it holds the configurations and the licence
_BOTAN_COMMIT = "c9b8ce4798920873c49ea2677521af47f0e9f177"
_BOTAN_LICENSE_SHA256 = "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"
_BOTAN_SHA256 = {
    1: "818fe7a85a2d5fa15dbf6b4a32fe2244ccc6c95ab57375ddceccfbf3e15bcb03",
    2: "c434148509b09ae3582b5b12d2a1c866510bf6bcda1000cb7c84eaa3adc2c81e",
    3: "cbe36e3dda27f2c52d57b46322dd8b4e92a52d369f5a683c18469d035200d0f4",
    4: "5dc178a06be59d61cf90b69d7072e2dc8f4433e0edf21bed8a3971f4363d73f6",
    5: "ce15d17f380e28c36e512ac66454fc2b6b26a210db0a4bdd259029100e75bf19",
    6: "bdde2cd8e21c847c2359dd4532e530507246f876dbe51a94afdf90b420cbe0c5",
    7: "115c2dfa7cb7b93410407f14925ef061f2c0b495b8b6e938812120ba2f9fa964",
    8: "3886cd45c38d568c20641c7f0025d940251fa829902ed1e524fc105c0f005b9d",
    9: "fba28fffd9cac0d51c3ffed8cb4525c346a551d07449d5bcd0614306a0fd5704",
    10: "57f03825f3ef0f484fa6e8d7c7d317fc0a16f58f160302e56000d1e4ebe85f89",
}


def _botan(path: str, size: int, sha256: str) -> File:
    url = f"https://raw.githubusercontent.com/{_BOTAN}/{_BOTAN_COMMIT}/{path}"
    return File(path, url, size, sha256)


#: what :func:`fetch` knows, by name. Of BOTAN the training configurations alone: what its authors
#: keep for testing stays unseen
DATASETS: dict[str, Dataset] = {
    "botan": Dataset(
        title=(
            "Kob–Andersen, 3D, N = 4096, ρ = 1.2, T = 0.44: 10 configurations, 32 draws each at τ_α"
        ),
        files=(
            *(
                _botan(
                    f"small_data/T0.44/train/isoconfig_N4096T0.44_{k}_tc07.npz", 3248908, sha256
                )
                for k, sha256 in _BOTAN_SHA256.items()
            ),
            _botan("LICENSE", 11357, _BOTAN_LICENSE_SHA256),
        ),
        home=f"https://github.com/{_BOTAN}",
        citation=(
            "H. Shiba, M. Hanai, T. Suzumura and T. Shimokawabe, J. Chem. Phys. 158, 084503 (2023),"
            " doi:10.1063/5.0129791"
        ),
        licence="Apache-2.0",
    ),
}  # fmt: skip


# --------------------------------------------------------------------------- places


def folders(root: Path) -> list[Path]:
    """Where public data are looked for, in this order; :func:`fetch` writes to the first.

    ``$GLASSLIB_EXTERNAL`` if it is set, and ``external`` in the clone ``root``. Nothing outside
    the clone is looked into unless that variable names it. None need exist.
    """
    given = os.environ.get("GLASSLIB_EXTERNAL")
    return [
        *([Path(given).expanduser().resolve()] if given else []),
        root / "external",
    ]


def find(name: str, *, root: Path) -> Path | None:
    """The first file ``name``, as ``"botan/LICENSE"``, in :func:`folders`; None if there is none.

    Checksums are not looked at.
    """
    return next((p for p in (folder / name for folder in folders(root)) if p.is_file()), None)


# --------------------------------------------------------------------------- fetch


def fetch(
    name: str,
    *,
    source: str | os.PathLike | None = None,
    destination: str | os.PathLike | None = None,
    force: bool = False,
) -> Path:
    """Bring a public set here, one file at a time, and print what is done.

    Files that are here and right stay. Each of the others is checked before it is written, and
    written under a temporary name and renamed; a run that was stopped goes on at the next file.

    Parameters
    ----------
    name : str
        One of :data:`DATASETS`.
    source : path, optional
        A local copy to take the files from: the folder that holds them, one that holds it under
        ``name``, or a clone of the set's repository. The network is not touched.
    destination : path, optional
        Folder that receives the folder ``name``; the first of :func:`folders` by default.
    force : bool
        Replace files that are here and wrong.

    Returns
    -------
    pathlib.Path
        The folder that holds the set.

    Raises
    ------
    FetchError
        For an unknown set, a wrong file that is here (before anything is fetched), a server that
        cannot be reached or sends something else, a local copy that is not the published file, or
        a folder that cannot be written.
    FileNotFoundError
        If ``source`` lacks a file, or no ``destination`` is given outside a clone of the book.
    """
    if name not in DATASETS:
        known = "; ".join(f"{key} ({data.title})" for key, data in DATASETS.items())
        raise FetchError(f"no public set is called {name!r}; there is {known}.")
    data = DATASETS[name]
    parent = folders(places.root())[0] if destination is None else Path(destination)
    folder = parent / name
    missing = [file for file in data.files if not _is_here(folder / file.name, file, force)]
    for k, file in enumerate(missing, start=1):
        started = time.monotonic()
        content = _download(name, file) if source is None else _copy(name, file, Path(source))
        _write(folder / file.name, content)
        seconds = time.monotonic() - started
        print(f"[{k}/{len(missing)}] {file.name}  {_bytes(file.size)}, {seconds:.1f} s", flush=True)
    if not missing:
        print(f"all {len(data.files)} files of {name} are here and right; nothing to do")
    return folder


def _is_here(path: Path, file: File, force: bool) -> bool:
    if not path.is_file():
        if path.exists():
            raise FetchError(f"{path} is not a file; move it away and run this again.")
        return False
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256 and not force:
        raise FetchError(
            f"{path} is not the published file: its SHA-256 is {found}; expected {file.sha256}. "
            "Move it away, or replace it with --force."
        )
    return found == file.sha256


def _download(name: str, file: File) -> bytes:
    """Contents of ``file``, checked; small enough for memory."""
    home = DATASETS[name].home
    otherwise = f"From a local copy: glasslib fetch {name} --from DIR; get one at {home}."
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT) as response:
            content = response.read(file.size + 1)  # a longer file is not read to its end
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(
            f"{file.url} was refused: HTTP {error.code} {_line(error.reason)}. {otherwise}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        # URLError holds what went wrong as its reason
        why = _line(getattr(error, "reason", error)) or type(error).__name__
        raise FetchError(f"{file.url} cannot be reached or read: {why}. {otherwise}") from error
    if len(content) != file.size:
        came = f"only {len(content)}" if len(content) < file.size else f"more than {file.size}"
        raise FetchError(
            f"{file.url} sent {came} bytes; expected {file.size}. Nothing of it was kept: "
            f"run this again. {otherwise}"
        )
    return _checked(content, file, f"what {file.url} sent", f"Nothing of it was kept. {otherwise}")


def _copy(name: str, file: File, source: Path) -> bytes:
    """Contents of ``file`` in a local copy, checked."""
    if not source.is_dir():
        raise FileNotFoundError(f"--from {source} is not a folder; give one that holds {name}.")
    # a folder above the copy may hold another file of the same name, such as LICENSE
    places = [source / name / file.name, source / file.path, source / file.name]
    found = [path for path in places if path.is_file()]
    if not found:
        raise FileNotFoundError(
            f"{source} holds no {file.name}, nor do {name} and {Path(file.path).parent} in it; "
            f"give the folder that does (a copy: {DATASETS[name].home})."
        )
    wrong = ""
    for path in found:
        size = path.stat().st_size
        if size > file.size:  # not even read: it may be larger than the memory
            wrong = wrong or (
                f"{path} is not the published file: it has {size} bytes; expected {file.size}."
            )
            continue
        with path.open("rb") as stream:
            content = stream.read(file.size + 1)
        try:
            return _checked(content, file, str(path), "")
        except FetchError as error:
            wrong = wrong or str(error).strip()
    raise FetchError(f"{wrong} It was not taken; get another copy at {DATASETS[name].home}.")


def _checked(content: bytes, file: File, what: str, advice: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise FetchError(
            f"{what} is not the published file: its SHA-256 is {found}; expected {file.sha256}. "
            f"{advice}"
        )
    return content


def _write(path: Path, content: bytes) -> None:
    from glasslib import frames

    try:
        with frames.atomic(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise FetchError(f"cannot write {path}: {error.strerror or error}.") from error
    except frames.FrameError as error:
        raise FetchError(str(error)) from error


def _bytes(n: int) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e5 else f"{n / 1e3:.1f} kB"


def _line(reason: object) -> str:
    return " ".join(str(reason).split())

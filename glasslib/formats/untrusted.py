"""What bounds a file of a stranger: its size, packed and unpacked, its words, its pickles.

Nothing here knows a format. Each function refuses in one line, before memory is taken or code of
the file could run; the limits are constants that a caller may raise for files it trusts.
"""

from __future__ import annotations

import functools
import gzip
import io
import pickle
import pickletools
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from glasslib.geometry import FrameError, list_numbers

#: a gzip file that unpacks to more than this many times its size, and more than LEAST bytes, is
#: refused: text of numbers shrinks four times, made-up files a thousand times
GROWTH = 40
LEAST = 4 << 20
#: bytes of a file's arrays, as float64, beyond which they are not those of a configuration
LARGEST = 256 << 20


# ---------------------------------------------------------------------- text


def read_text(path: Path) -> str:
    """The text of a file, unpacked where it is packed by gzip."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b" or path.suffix.lower() == ".gz"
            stream.seek(0)
            if packed:
                most = max(LEAST, GROWTH * path.stat().st_size)
                with gzip.GzipFile(fileobj=stream) as unpacked:
                    data = unpacked.read(most + 1)
                if len(data) > most:
                    raise FrameError(
                        f"{path} unpacks to more than {most} bytes, {GROWTH} times its size; "
                        "expected text of numbers. For a file that you trust set "
                        "glasslib.formats.untrusted.GROWTH higher, or unpack it."
                    )
            else:
                data = stream.read()
        return data.decode("utf-8-sig")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FrameError(
            f"{path} does not unpack ({error}); it is damaged or cut short."
        ) from error
    except UnicodeDecodeError as error:
        raise FrameError(f"{path} is not text; expected what its suffix says.") from error
    except OSError as error:
        raise FrameError(f"cannot read {path}: {error.strerror or error}.") from error


def read_lines(path: Path) -> list[str]:
    text = read_text(path)
    if not text.endswith("\n"):
        raise FrameError(
            f"{path} does not end with a line break: its last number may be cut short. If the file "
            "is whole, add one."
        )
    if "\0" in text:
        raise FrameError(f"{path} holds bytes of value 0; expected text. It is damaged.")
    return text.replace("\r\n", "\n").split("\n")[:-1]  # splitlines breaks at other signs too


def split_rows(lines: list[str], n: int, width: int, where: str) -> np.ndarray:
    """(n, width) array of words, or an error that says which line is short or long."""
    rows = [line.split() for line in lines]
    if len(rows) < n:
        raise FrameError(
            f"{where} holds {len(rows)} of {n} particles; the file is cut short. Cut the last "
            "snapshot away or fetch the file again."
        )
    for i, row in enumerate(rows):
        if len(row) < width:
            raise FrameError(
                f"{where}: particle {i} has {len(row)} columns; expected {width}. The file is "
                "damaged or cut short."
            )
        if len(row) > width:
            raise FrameError(
                f"{where}: particle {i} has {len(row)} columns, but the header names {width}: "
                "which is which is not known. Name all columns in the header, or leave some out."
            )
    longest = max(map(len, {word for row in rows for word in row}))
    if longest > _LONGEST:  # numpy gives every word the width of the longest
        raise FrameError(f"{where}: a word has {longest} letters; expected at most {_LONGEST}.")
    return np.array(rows)


_LONGEST = 256


def parse_number(word: object) -> float:
    """A number; ValueError for what only Python takes for one, as 1_000."""
    if isinstance(word, str) and ("_" in word or not word.isascii()):
        raise ValueError(f"could not convert string to float: {word[:40]!r}")
    return float(word)


def parse_numbers(words: np.ndarray, name: str, where: str) -> np.ndarray:
    try:
        if any("_" in word or not word.isascii() for word in np.ravel(words)):
            raise ValueError("a word with signs that are no digits")
        return words.astype(np.float64)
    except ValueError as error:
        raise FrameError(f"{where}: {name} is not a number ({error}).") from None


def are_numbers(words: list[str]) -> bool:
    try:
        return bool(np.all(np.isfinite([parse_number(word) for word in words])))
    except ValueError:
        return False


def check_whole(numbers: np.ndarray, name: str, where: str) -> np.ndarray:
    """Numbers as int64; FrameError where one is not whole, or so large that digits are lost."""
    bad = np.flatnonzero(~((np.abs(numbers) < 2**53) & (numbers == np.rint(numbers))))
    if len(bad):
        raise FrameError(
            f"{where}: {name} of particle {bad[0]} is {numbers[bad[0]]:g}; expected a whole number "
            "below 9e15."
        )
    return numbers.astype(np.int64)


def parse_count(word: str, what: str, where: str) -> int:
    """The number of particles that a header gives: at least 1."""
    word = word.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", word):
        raise ValueError
    if int(word) < 1:
        raise FrameError(
            f"{where} holds no particles: {what} is {word[:40]!r}; expected the number of "
            "particles, at least 1. Leave empty snapshots out."
        )
    return int(word)


def parse_step(word: str, where: str) -> int:
    """A time step as GSD has it, from 0 to 2⁶⁴."""
    try:
        value = int(word) if re.fullmatch(r"[+-]?[0-9]{1,20}", word) else parse_number(word)
        if not (value == int(value) and 0 <= value < 2**64):
            raise ValueError
    except (ValueError, OverflowError):
        raise FrameError(
            f"{where}: the time step is {word[:40]!r}; expected a whole number from 0."
        ) from None
    return int(value)


# ------------------------------------------------------------ arrays and pickles


def read_npz(path: Path, needed: Sequence[str], more: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Some arrays of an .npz file; never objects, which could run code, and no others."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it holds a single array")
            names = list(file.files)
            wanted = [k for k in (*needed, *more) if k in names]
            _bounded(sum(file.zip.getinfo(f"{k}.npy").file_size for k in wanted))
            data = {k: file[f"{k}.npy"] for k in wanted}  # k alone could be another member
            _size(data, {})
    except Exception as error:  # damaged archives raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise FrameError(
            f"{path} is not a readable .npz file of arrays ({reason}); it is damaged, cut short or "
            "of another format."
        ) from error
    if missing := [k for k in needed if k not in names]:
        raise FrameError(
            f"{path.name} lacks {missing[0]!r}; it holds {', '.join(names) or 'nothing'}."
        )
    return data


def unpickle(path: Path) -> object:
    """Containers, numbers, text and numpy arrays of a pickle; anything else is refused.

    Not even numpy's own constructors are called: stand-ins made for this one file collect shape,
    type and bytes, so that nothing in it can reach or change what lives on. A small file that
    would grow beyond :data:`LARGEST` is refused too.
    """
    latin1 = functools.cache(lambda text: text.encode("latin1"))  # once, however often it is used

    class DType:
        def __init__(self, name: str, *_: object) -> None:
            self.name, self.order = name, "="

        def __setstate__(self, state: tuple) -> None:
            self.order = state[1]

        def numpy(self) -> np.dtype:
            name = self.name if isinstance(self.name, str) else self.name.decode()
            if not re.fullmatch("[<>=|][biuf][1248]", self.order + name):
                raise pickle.UnpicklingError(f"array of type {name}, byte order {self.order!r}")
            return np.dtype(self.order + name)

    class Array:
        def __setstate__(self, state: tuple) -> None:
            _, shape, dtype, fortran, raw = state
            self.value = made(raw, dtype, shape, "F" if fortran else "C")

    def made(raw: bytes | str, dtype: DType, shape: tuple, order: str) -> np.ndarray:
        raw = latin1(raw) if isinstance(raw, str) else raw
        return np.frombuffer(raw, dtype.numpy()).reshape(shape, order=order)

    def filled(raw: bytes, dtype: DType, shape: tuple, order: str) -> Array:
        new = Array()
        new.value = made(raw, dtype, shape, order)
        return new

    known = {
        ("multiarray", "_reconstruct"): lambda *_: Array(),
        ("multiarray", "scalar"): lambda dtype, raw: made(raw, dtype, (), "C")[()],
        ("numeric", "_frombuffer"): filled,
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): DType,
    }

    class Unpickler(pickle._Unpickler):  # that of C would hash nested tuples, used as keys
        dispatch = dict(pickle._Unpickler.dispatch)

        def find_class(self, module: str, name: str) -> object:
            if module == "_codecs" and name == "encode":  # bytes in the oldest protocols
                return lambda text, _: latin1(text)
            root, _, last = module.rpartition(".")
            if root in ("", "numpy.core", "numpy._core") and (last, name) in known:
                return known[last, name]
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")

        def persistent_load(self, _: object) -> None:
            raise pickle.UnpicklingError("it refers to data outside")

    def listed(load: Callable) -> Callable:
        def loaded(unpickler: Unpickler) -> None:
            load(unpickler)
            unpickler.stack[-1] = list(unpickler.stack[-1])

        return loaded

    for name in ("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
        code = getattr(pickle, name)[0]
        Unpickler.dispatch[code] = listed(Unpickler.dispatch[code])

    done: dict[int, object] = {}  # what is referred to twice is made once

    def plain(value: object) -> object:
        if isinstance(value, Array):
            return value.value
        if isinstance(value, int | float | str | bytes | np.generic | None):
            return value
        if id(value) not in done:
            if isinstance(value, dict):
                done[id(value)] = {plain(k): plain(v) for k, v in value.items()}
            elif isinstance(value, list):
                done[id(value)] = [plain(v) for v in value]
            else:
                raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")
        return done[id(value)]

    try:
        raw = path.read_bytes()
        for code, argument, _ in pickletools.genops(raw):
            if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= len(raw):
                raise pickle.UnpicklingError(f"it numbers an object {argument}")
            if code.name in ("EMPTY_SET", "FROZENSET"):
                raise pickle.UnpicklingError("it holds a set")
        data = plain(Unpickler(io.BytesIO(raw), encoding="latin1").load())
        _size(data, {})
        return data
    except Exception as error:  # damaged pickles raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise FrameError(
            f"{path} is refused: {reason}. Expected a pickle of numpy arrays of numbers in plain "
            "containers; it is damaged, cut short or unsafe."
        ) from None


def take_array(data: dict, name: str, path: Path) -> np.ndarray:
    """An array of numbers that a file must hold, as float64; FrameError where it is none."""
    if name not in data:
        raise FrameError(f"{path.name} lacks {name!r}; it holds {', '.join(data) or 'nothing'}.")
    value = data[name]
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
        raise FrameError(f"{path.name}: {name} has type {value.dtype}; expected numbers.")
    if _holds_text(value, set()):
        raise FrameError(f"{path.name}: {name} holds text; expected numbers.")
    try:
        with np.errstate(over="ignore"):  # of longer types; infinities are refused later
            return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise FrameError(
            f"{path.name}: {name} does not become an array ({' '.join(str(error).split())}); "
            "expected numbers, in lists of equal length."
        ) from None


def _holds_text(value: object, seen: set[int]) -> bool:
    """Whether text is in nested lists; numpy would read numbers out of it. ``seen``: lists."""
    if isinstance(value, list):
        if id(value) in seen:
            return False
        seen.add(id(value))
        return any(_holds_text(v, seen) for v in value)
    return isinstance(value, str | bytes)


def list_few(values: np.ndarray) -> str:
    """Up to ten numbers, for a message."""
    return list_numbers(np.ravel(values)[:10]) + (" and more" if np.size(values) > 10 else "")


def _size(value: object, known: dict[int, int]) -> int:
    """Bytes of arrays as float64 and of what holds them, counted wherever they occur.

    A list that holds another one twice counts it twice, as numpy would make it. Numbers and
    containers count what Python takes for them. ``known`` are sizes by identity, at first ``{}``.
    """
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, np.ndarray):
        size = 128 + 8 * value.size
    elif isinstance(value, list | dict):
        items = value if isinstance(value, list) else value.values()
        size = known[id(value)] = 64 + sum(_size(v, known) for v in items)
    else:
        size = 32 + (4 * len(value) if isinstance(value, str | bytes) else 0)
    return _bounded(size)


def _bounded(size: int) -> int:
    """A number of bytes; ValueError above :data:`LARGEST`."""
    if size > LARGEST:
        raise ValueError(
            f"its arrays take {size} bytes or more as float64, above {LARGEST}; for a file that "
            "you trust set glasslib.formats.untrusted.LARGEST higher"
        )
    return size

"""What the command line does with files of one's own: predict, describe, label, models."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glasslib.frames import Frame

#: generations of averages that a table may have: each is as wide as the first; papers have 5
N_MAX = 20

# what computes is imported where it is used: `glasslib --help` shall be quick


def add(commands: argparse._SubParsersAction) -> None:
    """The grammar of these commands."""
    predict = commands.add_parser("predict", help="foretell mobility by a shipped model")
    _add_file(predict)
    predict.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.gsd")
    predict.add_argument(
        "--model", action="append", metavar="NAME",
        help="of glasslib models; may be repeated, once a species (default: what fits the frame)",
    )  # fmt: skip
    predict.add_argument("--kT", type=float, metavar="T", help="temperature of the frames")
    predict.add_argument(
        "--time", default="tau_alpha", metavar="T", help="tau_alpha, all, or a time in τ"
    )
    predict.add_argument("--engine", default="auto", help="who quenches: auto, hoomd or lammps")

    models = commands.add_parser("models", help="list the shipped models")
    models.add_argument("name", nargs="?", help="tell all of one")
    models.add_argument(
        "--make", action="store_true", help="train anew what is missing or out of date"
    )

    describe = commands.add_parser("describe", help="descriptors of every particle, as a table")
    _add_file(describe)
    describe.add_argument(
        "-o", "--output", type=Path, required=True, metavar="TABLE", help="a .npz or .parquet file"
    )
    describe.add_argument(
        "--descriptors", default="radial-angular", metavar="A,B",
        help="of radial-angular, bond-order, energies (default: the first)",
    )  # fmt: skip
    describe.add_argument(
        "--inherent", action="store_true", help="where particles would rest; needs --system"
    )
    describe.add_argument("--r-c", type=float, default=2.3, help="reach of averages, σ (2.3)")
    describe.add_argument("--n-max", type=int, default=0, help=f"generations, to {N_MAX} (0)")
    describe.add_argument("--engine", default="auto", help="who quenches: auto, hoomd or lammps")

    label = commands.add_parser("label", help="propensities from fresh runs of every frame")
    _add_file(label)
    label.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.gsd")
    label.add_argument("--kT", type=float, default=1.0, metavar="T", help="temperature (1)")
    label.add_argument("--replicas", type=int, default=32, metavar="N", help="velocity draws (32)")
    label.add_argument("--times", required=True, metavar="T,T", help="when to look, τ, ascending")
    label.add_argument("--inherent", action="store_true", help="also store inherent structures")
    label.add_argument("--bonds", action="store_true", help="also which bonds break")
    label.add_argument("--seed", type=int, default=0)
    label.add_argument("--jobs", type=int, default=1, help="processes (-1: all cores)")
    label.add_argument("--engine", default="auto", help="auto, hoomd or lammps")


def _add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, help="GSD, LAMMPS dump, XYZ, …")
    command.add_argument(
        "--system", metavar="NAME", help="of the book, or a YAML file that describes one"
    )
    command.add_argument("--format", help="where the name does not tell it: lammps, xyz, gsd, …")
    command.add_argument("--stride", type=int, default=1, metavar="K", help="every K-th frame")
    command.add_argument(
        "--rename", default="", metavar="Ni=A,P=B", help="species, under the system's names"
    )


def run(a: argparse.Namespace) -> int:
    """Carry out one of the commands."""
    return {"predict": _predict, "models": _models, "describe": _describe, "label": _label}[
        a.command
    ](a)


def _read(a: argparse.Namespace) -> list[Frame]:
    from glasslib import frames

    pairs = [word.partition("=") for word in a.rename.split(",") if word]
    if any(not (old and new) for old, _, new in pairs):
        raise ValueError(f"--rename is {a.rename!r}; expected such as Ni=A,P=B")
    with warnings.catch_warnings():  # each frame is taken by itself
        warnings.filterwarnings("ignore", message=".* do not join", category=UserWarning)
        return frames.read(
            a.file,
            format=a.format,
            stride=a.stride,
            rename={old: new for old, _, new in pairs},
        )


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Warnings as lines of their own, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for text in dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning):
        print(f"note: {text}", file=sys.stderr)


def _predict(a: argparse.Namespace) -> int:
    import numpy as np

    from glasslib import frames, pretrained, systems

    _check_suffix(a.output, (".gsd",))
    if a.output.exists() and a.file.exists() and a.output.samefile(a.file):
        raise ValueError(f"output {a.output} is the input; expected another name.")
    frames.check_writable(a.output)
    made, told = _read(a), []
    time = a.time if a.time in ("tau_alpha", "τ_α", "all") else _number(a.time, "--time")
    time = "tau_alpha" if time == "τ_α" else time
    with _warnings_in_one_line():
        if a.model:
            models = [pretrained.get(name) for name in a.model]
        else:
            models = [pretrained.suggest(made[0], system=a.system, kT=a.kT)]
        if a.system:
            for m in models:
                if m.system.name != systems.get(a.system).name:
                    raise ValueError(f"{m.name} is a model of {m.system.name}, not of {a.system}")
        for k, frame in enumerate(made):
            if len(made) > 1 and sys.stderr.isatty():
                print(f"frame {k} of {len(made)}", file=sys.stderr)
            try:
                new = pretrained.annotate(frame, models, time=time, kT=a.kT, engine=a.engine)
            except pretrained.PretrainedError as error:
                raise pretrained.PretrainedError(
                    f"frame {k} of {len(made)}, counted from 0: {error}"
                ) from error
            told.append(new)
    frames.write(a.output, told)
    for model in models:
        print(model)
    values = np.concatenate([f.log[models[0].label] for f in told])
    print(
        f"{a.output}: {models[0].label} of {len(told)} frames, mean {np.nanmean(values):.3f}, "
        f"{np.mean(np.isnan(values)):.0%} of particles without"
    )
    return 0


def _models(a: argparse.Namespace) -> int:
    from glasslib import pretrained

    if a.make:
        from glasslib import book
        from glasslib.studies import pretraining

        pretraining.make(
            [a.name] if a.name else [],
            data=book.root() / "data",
        )
    if a.name:
        print(pretrained.get(a.name))
        return 0
    rows = [("name", "system", "state", "foretells", "species", "r", "ceiling")]
    for name in pretrained.available():
        m = pretrained.get(name)
        (axis, values), *_ = m.card["state"].items()
        entries = [m.card["species"][s] for s in m.species]
        rows.append((
            name, m.system.name, f"{axis} = {'/'.join(f'{v:g}' for v in values)}",
            m.label.removeprefix("particles/"), " ".join(m.species),
            " ".join(f"{e['score']['r']:.2f}" for e in entries),
            " ".join(f"{e['ceiling']:.2f}" for e in entries),
        ))  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip())
    print("\nOne of them, with other temperatures and licence: glasslib models NAME")
    return 0


def _describe(a: argparse.Namespace) -> int:
    import numpy as np

    from glasslib import frames, systems
    from glasslib.studies.tables import DESCRIPTORS, tabulate

    kinds = [k for k in a.descriptors.split(",") if k]
    if unknown := sorted(set(kinds) - set(DESCRIPTORS)) or not kinds:
        raise ValueError(
            f"--descriptors is {a.descriptors!r}; expected {', '.join(DESCRIPTORS)}"
            + (f" ({', '.join(unknown)} is none)" if isinstance(unknown, list) else "")
        )
    if len(set(kinds)) < len(kinds):
        raise ValueError(f"--descriptors is {a.descriptors!r}; expected each once")
    _check_suffix(a.output, (".npz", ".parquet"))
    if a.output.suffix == ".parquet":
        from glasslib import gathering

        gathering.find_pyarrow(".npz")
    if not 0 <= a.n_max <= N_MAX:
        raise ValueError(f"--n-max is {a.n_max}; expected 0 to {N_MAX} generations")
    frames.check_writable(a.output)
    system = systems.get(a.system) if a.system else None
    if system is None and (a.inherent or "energies" in kinds):
        raise ValueError("energies and inherent structures need a potential; say --system NAME")
    tables: list[np.ndarray] = []
    first: list[str] = []
    made = _read(a)
    for k, frame in enumerate(made):
        if system is not None:
            frames.check(frame, system=system, where=f"{a.file.name}[{k * a.stride}]")
        X, names = tabulate(
            frame, kinds, system=system, inherent=a.inherent, r_c=a.r_c, n_max=a.n_max,
            engine=a.engine,
        )  # fmt: skip
        first = first or names
        if names != first:
            raise ValueError(
                f"{a.file} holds frames of different species, or of the same in another order: "
                f"frame {k * a.stride} has {', '.join(frame.particles.types)}, the first "
                f"{', '.join(made[0].particles.types)}; describe them one by one, or --rename"
            )
        tables.append(X)
    X = np.concatenate(tables)
    about = {
        "frame": np.repeat(np.arange(len(made)) * a.stride, [len(t) for t in tables]),
        "particle": np.concatenate([np.arange(len(t)) for t in tables]),
        "species": np.concatenate([
            np.array(f.particles.types)[np.asarray(f.particles.typeid)] for f in made
        ]),
    }  # fmt: skip
    if a.output.suffix == ".npz":
        with frames.atomic(a.output) as temporary:
            np.savez_compressed(temporary, X=X, columns=np.array(names), **about)
    else:
        gathering.write_columns(a.output, about | dict(zip(names, X.T)))
    print(f"{a.output}: {X.shape[1]} columns of {X.shape[0]} particles of {len(made)} frames")
    return 0


def _label(a: argparse.Namespace) -> int:
    import numpy as np

    from glasslib import frames, simulate, systems, trajectory

    if a.system is None:
        raise ValueError("fresh runs need a potential; say --system NAME")
    system = systems.get(a.system)
    _check_suffix(a.output, (".gsd",))
    times = [_number(t, "--times") for t in a.times.split(",")]
    first = system.dt or 0.0  # hard particles have no steps
    if not all(max(first / 2, 0) < t < np.inf for t in times) or times != sorted(set(times)):
        raise ValueError(
            f"--times is {a.times!r}; expected times that ascend from "
            + (f"{first:g}, the time step of {system.name}" if first else "above 0")
        )
    if a.jobs == 0:
        raise ValueError("--jobs is 0; expected 1 or more, or -1 for all cores")
    if a.bonds and system.bond_breaking_cutoffs is None:
        raise ValueError(f"{system.name} has no bond_breaking_cutoffs; leave --bonds out")
    kept = ("kT", "eta")
    made = [
        frames.copy(f, log={k: v for k, v in f.log.items() if k in kept} or {}) for f in _read(a)
    ]
    for f in made:
        f.log.pop(frames.IMAGES_UNKNOWN, None)  # a start: crossings count from here
        f.particles.image = None

    for line in dict.fromkeys(trajectory.compare(f, system) for f in made):
        if not line.endswith("as there"):
            print(f"note: {line}", file=sys.stderr)

    def progress(done: int, of: int) -> None:
        print(f"\r{done} of {of} draws", end="" if done < of else "\n", flush=True)

    print(f"writing {a.output}; stop it at any time, it resumes", flush=True)
    labelled = simulate.isoconfigurational(
        made, system, kT=a.kT, n_replicas=a.replicas, sample_times=times, path=a.output,
        inherent=a.inherent, bond_cutoffs=system.bond_breaking_cutoffs if a.bonds else None,
        seed=a.seed, n_jobs=a.jobs, engine=a.engine, progress=progress,
    )  # fmt: skip
    mean = np.mean([f.log["particles/propensity"].mean(axis=0) for f in labelled], axis=0)
    for t, value in zip(labelled[0].log["times"], mean):
        print(f"t = {t:g}: mean propensity {value:.3f}")
    return 0


def _number(word: str, name: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{name} has {word!r}; expected a number") from None


def _check_suffix(path: Path, allowed: tuple[str, ...]) -> None:
    if path.suffix not in allowed:
        raise ValueError(
            f"output is {path.name}; expected a name that ends in {' or '.join(allowed)}"
        )

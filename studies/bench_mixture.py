"""`python -m studies.bench_mixture --data FOLDER`: which coordinates to search a mixture in.

On real data: RegMix trained 512 models of 1M parameters on mixtures of 17 sources of the Pile and
measured 13 validation losses (Liu et al. 2024, arXiv 2407.01492; its CSV files are in `data/` of
github.com/sail-sg/regmix). A Gaussian process on the roots of the shares stands in for training:
how well it ranks the 256 test mixtures, which it never saw, is printed. Every coordinate system is
searched by Optuna's TPE, once per goal, seed and number of trials, the natural mixture
first. Told is the regret: how far the best mixture found is from the best that any search found
for this goal, in percent of the distance from there to the natural mixture. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import json
import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from search.errors import BadInput
from search.proposals import seed_of
from spaces.mixture import to_mixture

Array = NDArray[np.float64]
STARTUP = 10
"""Mixtures at random before TPE is asked."""
Draw = Callable[[optuna.trial.Trial, Array], Array]
"""(trial, natural shares [S]) -> shares [S]."""


def box(spread: float) -> Draw:
    """The natural share times e^z, z uniform in a box: what `spaces.mixture` does."""

    def draw(trial: optuna.trial.Trial, natural: Array) -> Array:
        names = [f"{k:02}" for k in range(len(natural))]
        z = {name: trial.suggest_float(name, -spread, spread) for name in names}
        found = to_mixture(z, dict(zip(names, natural.tolist(), strict=True)))
        return np.array([found[name] for name in names])

    return draw


def normal(spread: float) -> Draw:
    """The same with z normal, most of it near the natural shares: searched by its quantile."""
    quantile = statistics.NormalDist(0, spread).inv_cdf

    def draw(trial: optuna.trial.Trial, natural: Array) -> Array:
        z = [quantile(trial.suggest_float(f"{k:02}", 1e-4, 1 - 1e-4)) for k in range(len(natural))]
        raw = natural * np.exp(z)
        return np.asarray(raw / raw.sum())

    return draw


def scaled(spread: float) -> Draw:
    """A box whose width is searched, too: small steps are as likely as large ones."""

    def draw(trial: optuna.trial.Trial, natural: Array) -> Array:
        width = trial.suggest_float("width", spread / 16, spread, log=True)
        z = [width * trial.suggest_float(f"{k:02}", -1, 1) for k in range(len(natural))]
        raw = natural * np.exp(z)
        return np.asarray(raw / raw.sum())

    return draw


def flat(trial: optuna.trial.Trial, natural: Array) -> Array:
    """Uniform on the simplex, whatever is natural: Optuna's own advice (-log u, normalised)."""
    raw = [-math.log(trial.suggest_float(f"{k:02}", 1e-9, 1)) for k in range(len(natural))]
    return np.array(raw) / sum(raw)


def sticks(trial: optuna.trial.Trial, natural: Array) -> Array:
    """Break off one share after the other, at a logit around the natural cut; one number less."""
    left, shares = 1.0, []
    for k, rest in enumerate(np.cumsum(natural[::-1])[::-1][:-1]):
        cut = natural[k] / rest
        logit = math.log(cut / (1 - cut)) + trial.suggest_float(f"{k:02}", -2.5, 2.5)
        shares.append(left / (1 + math.exp(-logit)))
        left -= shares[-1]
    return np.array([*shares, left])


def ratios(trial: optuna.trial.Trial, natural: Array) -> Array:
    """Log-ratios to the last source, around the natural ones; one number less."""
    z = [trial.suggest_float(f"{k:02}", -2.5, 2.5) for k in range(len(natural) - 1)]
    raw = natural * np.exp([*z, 0.0])
    return np.asarray(raw / raw.sum())


COORDINATES: Mapping[str, Draw] = {
    "box 0.5": box(0.5),
    "box 1.5": box(1.5),
    "box 2.5": box(2.5),
    "box 4.0": box(4.0),
    "normal 1.0": normal(1.0),
    "normal 2.5": normal(2.5),
    "scaled 4.0": scaled(4.0),
    "flat": flat,
    "sticks": sticks,
    "log-ratios": ratios,
}
GOALS = ("one loss", "mean of 3", "mean of all")
"""What is searched for: the fewer losses, the farther the best mixture is from the natural one."""


def table(path: Path) -> Array:
    """[rows, columns] of a CSV file, without its index."""
    try:
        with path.open(encoding="utf-8") as file:
            return np.array(
                [[float(v) for v in row[1:]] for row in itertools.islice(csv.reader(file), 1, None)]
            )
    except (OSError, ValueError) as err:
        raise BadInput(
            f"{path}: {err}; give the folder `data` of github.com/sail-sg/regmix with --data"
        ) from err


Model = Callable[[Array], Array]
"""[N, sources] mixtures -> [N] losses."""


class Data:
    """The recorded runs: mixtures, and what each goal's loss was."""

    def __init__(self, folder: Path) -> None:
        """Read the files of the runs that models are fitted to.

        Raises:
            BadInput: the folder holds no such files.
        """
        self.mixtures = shares(folder / "train_mixture_1m.csv")
        """[runs, sources]"""
        self.losses, self.goals = _goals(table(folder / "train_pile_loss_1m.csv"))
        """[runs, goals], and each goal's kind."""
        self.natural = self.mixtures.mean(0)

    @functools.cache  # noqa: B019  # lives as long as the benchmark
    def model(self, goal: int) -> Model:
        """A process fitted to one goal.

        Raises:
            BadInput: scikit-learn is missing.
        """
        try:
            from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: PLC0415  # not needed by the product
            from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel  # noqa: PLC0415  # likewise
        except ImportError as err:
            raise BadInput("scikit-learn is missing; pip install recipe-search[bench]") from err
        kernel = ConstantKernel(10.0) * RBF(
            np.full(self.mixtures.shape[1], 1.0), (0.05, 50)
        ) + WhiteKernel(0.01)
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length scale at its bound: a source without effect
            model.fit(np.sqrt(self.mixtures), self.losses[:, goal])

        def predict(mixtures: Array) -> Array:
            found: Array = model.predict(np.sqrt(mixtures))
            return found

        return predict


def shares(path: Path) -> Array:
    """[rows, sources] of a CSV file, each row summing to 1."""
    rows = table(path)
    return np.asarray(rows / rows.sum(1, keepdims=True))


class Losses:
    """Loss of any mixture, from those that were trained."""

    def __init__(self, folder: Path) -> None:
        """Fit one process per loss."""
        data = Data(folder)
        self.goals, self.natural = data.goals, data.natural
        self.models = [data.model(goal) for goal in range(len(data.goals))]
        tested = shares(folder / "test_mixture_1m.csv")
        real, _ = _goals(table(folder / "test_pile_loss_1m.csv"))
        self.fit = [_rank_correlation(self(k, tested), real[:, k]) for k in range(len(self.models))]

    def __call__(self, loss: int, mixtures: Array) -> Array:
        """[N] losses of [N, sources] mixtures."""
        return self.models[loss](mixtures)


def _goals(losses: Array) -> tuple[Array, list[str]]:
    """[rows, goals] and each goal's kind: every second loss, means of three, the mean of all."""
    columns = [*losses.T[::2], *(losses[:, k : k + 3].mean(1) for k in range(0, 11, 2))]
    kinds = [GOALS[0]] * len(losses.T[::2]) + [GOALS[1]] * 6 + [GOALS[2]]
    return np.column_stack([*columns, losses.mean(1)]), kinds


def _rank_correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1])


def search(
    draw: Draw, loss: Callable[[Array], float], natural: Array, seed: int, trials: int
) -> list[float]:
    """Best loss after each trial; the first is the natural mixture's, as in real jobs."""
    study = optuna.create_study()
    best = [loss(natural)]
    for number in range(1, trials):
        study.sampler = optuna.samplers.TPESampler(
            seed=seed_of(seed, number), n_startup_trials=STARTUP
        )
        trial = study.ask()
        value = loss(draw(trial, natural))
        study.tell(trial, value)
        best.append(min(best[-1], value))
    return best


def measure(losses: Losses, seeds: Sequence[int], trials: Sequence[int]) -> dict[str, Any]:
    """Regret by coordinates, goal and number of trials; standard errors over seeds."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    runs: dict[tuple[str, int, int], list[float]] = {}
    for loss, seed in itertools.product(range(len(losses.models)), seeds):
        for name, draw in COORDINATES.items():
            runs[name, loss, seed] = search(
                draw,
                lambda shares, loss=loss: float(losses(loss, shares[None])[0]),  # type: ignore[misc]
                losses.natural,
                seed,
                max(trials),
            )
        print(f"loss {loss + 1} of {len(losses.models)}, seed {seed}", end="\r", flush=True)
    least = {
        loss: min(run[-1] for (_, of, _), run in runs.items() if of == loss)
        for loss in range(len(losses.models))
    }

    def regret(name: str, loss: int, seed: int, count: int) -> float:
        natural, best, low = (
            runs[name, loss, seed][0],
            runs[name, loss, seed][count - 1],
            least[loss],
        )
        return (best - low) / (natural - low) if natural > low else 0.0

    found: dict[str, Any] = {}
    for name, count in itertools.product(COORDINATES, trials):
        for goal in GOALS:
            over = [k for k, kind in enumerate(losses.goals) if kind == goal]
            means = [
                statistics.fmean(regret(name, loss, seed, count) for loss in over) for seed in seeds
            ]
            error = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0
            key = f"{goal}, {count} trials"
            found.setdefault(name, {})[key] = (statistics.fmean(means), error)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m studies.bench_mixture")
    parser.add_argument("--data", type=Path, required=True, help="folder of RegMix's CSV files")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    args = parser.parse_args(argv)
    losses = Losses(args.data)
    print(
        f"surrogate: rank correlation with unseen mixtures {min(losses.fit):.3f} (worst loss), "
        f"{statistics.fmean(losses.fit):.3f} (mean)"
    )
    found = measure(losses, range(args.seeds), args.trials)
    print(f"{'regret':<12}" + "".join(f"{key:>24}" for key in next(iter(found.values()))))
    for name, by_key in found.items():
        cells = [f"{mean:.1%} ± {error:.1%}" for mean, error in by_key.values()]
        print(f"{name:<12}" + "".join(f"{cell:>24}" for cell in cells))
    if args.json:
        facts = {"fit": losses.fit, "seeds": args.seeds, "regret": found}
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

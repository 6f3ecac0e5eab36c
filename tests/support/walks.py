"""Random walks of a scale-invariant block: what `equilibrium` predicts, simulated step by step.

The gradient is normal noise, projected orthogonal to w and scaled so that E‖r g‖² = G. Every
optimiser is written out here by torch's rule, as it stands after its bias corrections have died
out and with ε = 0. Arrays are (chains, rows, columns); each chain is a block of its own.

`scripts/theory_tables.py` writes its tables into `docs/theory.md`.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from etaeff.theory import equilibrium

G = 2.0
NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
CHAINS = 16
MOST_BURN = 60  # half-lives beyond it are those of second moments, which start settled
DIM = 2048
SMALL, LARGE = {"lr": 0.1, "wd": 0.15}, {"lr": 0.8, "wd": 0.7}  # ηλ of 0.015 and 0.56


class Walk:
    """Chains of blocks under an optimiser; a subclass has the rule.

    spread: standard deviation of each entry's gradient, up to a factor.
    """

    def __init__(self, *, lr, wd, decay="l2", shape=(1, DIM), chains=CHAINS, seed=0, spread=None):
        self.lr, self.wd, self.decay = lr, wd, decay
        self.rng = np.random.default_rng(seed)
        self.w = self.rng.standard_normal((chains, *shape))
        self.spread = spread
        self.prepare()

    def prepare(self):
        """Set up the optimiser's state."""

    def scale_to(self, radius):
        self.w *= radius / norm(self.w)
        self.settle(radius)

    def settle(self, radius):
        """Put the state where it is at this radius, so that it need not be waited for."""

    def gradient(self, normals):
        noise = normals if self.spread is None else normals * self.spread
        r = norm(self.w)
        noise -= (noise * self.w).sum(axis=(1, 2), keepdims=True) / r**2 * self.w
        if self.spread is None:
            noise *= math.sqrt(G / (self.w[0].size - 1)) / r
        else:
            noise *= math.sqrt(G / (self.spread**2).sum()) / r
        return noise

    def step(self, normals=None):
        if normals is None:
            normals = self.rng.standard_normal(self.w.shape)
        g = self.gradient(normals)
        if self.decay == "l2":
            g += self.wd * self.w
        update = self.update(g)
        if self.decay == "decoupled":
            self.w *= 1 - self.lr * self.wd
        self.w -= self.lr * update


class Sgd(Walk):
    def __init__(self, *, momentum=0.0, dampening=0.0, nesterov=False, **rest):
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        super().__init__(**rest)

    def prepare(self):
        self.buffer = None

    def update(self, g):
        if self.momentum == 0:
            return g
        if self.buffer is None:
            self.buffer = g.copy()
        else:
            self.buffer *= self.momentum
            self.buffer += (1 - self.dampening) * g
        return g + self.momentum * self.buffer if self.nesterov else self.buffer


class Rmsprop(Walk):
    def __init__(self, *, alpha=0.99, momentum=0.0, **rest):
        self.smoothing, self.momentum = alpha, momentum
        super().__init__(**rest)

    def prepare(self):
        self.first = np.zeros_like(self.w)
        self.second = np.ones_like(self.w)

    def settle(self, radius):
        """Second moments as spread as a stationary average of squared normals."""
        b = self.smoothing
        freedom = (1 + b) / (1 - b)
        mean = self.mean_square(radius)
        self.second = mean * self.rng.chisquare(freedom, self.w.shape) / freedom

    def mean_square(self, radius):
        mean = G / self.w[0].size / radius**2
        if self.spread is not None:
            mean = mean * self.spread**2 / (self.spread**2).mean()
        if self.decay == "l2":
            mean = mean + self.wd**2 * radius**2 / self.w[0].size
        return mean

    def update(self, g):
        self.second *= self.smoothing
        self.second += (1 - self.smoothing) * g**2
        scaled = g / np.sqrt(self.second)
        if self.momentum == 0:
            return scaled
        self.first *= self.momentum
        self.first += scaled
        return self.first


class Adam(Rmsprop):
    def __init__(self, *, betas, **rest):
        super().__init__(alpha=betas[1], momentum=betas[0], **rest)

    def update(self, g):
        self.first *= self.momentum
        self.first += (1 - self.momentum) * g
        self.second *= self.smoothing
        self.second += (1 - self.smoothing) * g**2
        return self.first / np.sqrt(self.second)


class Nadam(Adam):
    """With `momentum_decay`, of which all that is left in the end is whether it is zero."""

    def __init__(self, *, betas, momentum_decay=4e-3, **rest):
        self.mixed = betas[0] if momentum_decay else betas[0] / 2
        super().__init__(betas=betas, **rest)

    def update(self, g):
        averaged = super().update(g)
        return (1 - self.mixed) * g / np.sqrt(self.second) + self.mixed * averaged


class Lion(Walk):
    def __init__(self, *, betas, **rest):
        self.betas = betas
        super().__init__(**rest)

    def prepare(self):
        self.first = np.zeros_like(self.w)

    def update(self, g):
        sign = np.sign(self.betas[0] * self.first + (1 - self.betas[0]) * g)
        self.first *= self.betas[1]
        self.first += (1 - self.betas[1]) * g
        return sign


class Muon(Walk):
    def __init__(self, *, momentum=0.95, nesterov=True, adjust_lr_fn="original", **rest):
        self.momentum, self.nesterov, self.adjust = momentum, nesterov, adjust_lr_fn
        super().__init__(**rest)

    def prepare(self):
        self.first = np.zeros_like(self.w)

    def update(self, g):
        self.first += (1 - self.momentum) * (g - self.first)
        mixed = g + self.momentum * (self.first - g) if self.nesterov else self.first
        rows, columns = g.shape[1:]
        if self.adjust == "original":
            factor = math.sqrt(max(1, rows / columns))
        else:
            factor = 0.2 * math.sqrt(max(rows, columns))
        return factor * orthogonalized(mixed)


class Normalized(Walk):
    def __init__(self, *, momentum=0.0, **rest):
        self.momentum = momentum
        super().__init__(**rest)

    def prepare(self):
        self.first = np.zeros_like(self.w)

    def update(self, g):
        self.first += (1 - self.momentum) * (g - self.first)
        return self.first / norm(self.first)


RULES = {
    "sgd": Sgd,
    "rmsprop": Rmsprop,
    "adam": Adam,
    "adamw": Adam,
    "lion": Lion,
    "muon": Muon,
    "normalized": Normalized,
    "nadam": Nadam,
}


def norm(w):
    """‖w‖ of every chain, to broadcast against it."""
    return np.sqrt(np.einsum("cij,cij->c", w, w))[:, None, None]


def orthogonalized(m):
    """torch.optim.Muon's five Newton-Schulz steps, in float64 where torch takes bfloat16."""
    a, b, c = NEWTON_SCHULZ
    tall = m.shape[1] > m.shape[2]
    m = (m.swapaxes(1, 2) if tall else m) / norm(m)
    for _ in range(5):
        gram = m @ m.swapaxes(1, 2)
        m = a * m + (b * gram + c * gram @ gram) @ m
    return m.swapaxes(1, 2) if tall else m


@dataclass(frozen=True)
class Setting:
    """One row of the table: an optimiser, its arguments, and how long to walk.

    burn: steps before the measurement; six half-lives and memories of the gradient's average,
        unless it is given.
    """

    optimizer: str
    arguments: dict[str, Any]
    shape: tuple[int, int] = (1, DIM)
    burn: int | None = None
    steps: int = 300
    chains: int = CHAINS
    allowed: float = 0.0  # by the formula's own approximation, of radius and angle

    def __str__(self):
        given = ",".join(f"{name}={shown(value)}" for name, value in self.arguments.items())
        size = "" if self.shape[0] == 1 else ",{}x{}".format(*self.shape)
        return f"{self.optimizer}({given}{size})"

    @property
    def power(self):
        """Of the radius, which the law gives the mean of."""
        return 4 if self.optimizer == "sgd" else 2

    @property
    def needs(self):
        """The other arguments of `equilibrium`."""
        if self.optimizer == "muon":
            return {"shape": self.shape}
        known = {} if self.optimizer in ("sgd", "normalized") else {"dim": self.shape[1]}
        if self.optimizer in ("sgd", "rmsprop", "adam", "nadam"):
            known["grad_norm_sq"] = G
        return known

    def predicted(self):
        return equilibrium(self.optimizer, **self.arguments, **self.needs)

    def walk(self):
        """The chains at the predicted radius, with the optimiser's averages filled."""
        predicted = self.predicted()
        usual = "l2" if self.optimizer in ("sgd", "rmsprop", "adam", "nadam") else "decoupled"
        walk = RULES[self.optimizer](
            **{"decay": usual} | self.arguments, shape=self.shape, chains=self.chains
        )
        walk.scale_to(float(predicted.radius))
        burn = self.burn
        if burn is None:
            burn = int(6 * min(predicted.half_life, MOST_BURN) + 6 * self.memory())
        for _ in range(burn):
            walk.step()
        if isinstance(walk, Rmsprop):
            # While the momentum filled, the radius dipped, and the second moments remember it.
            walk.settle(float(predicted.radius))
            for _ in range(burn):
                walk.step()
        return walk

    def memory(self):
        """Steps that the optimiser's average of the gradient lasts."""
        betas = self.arguments.get("betas", (0.0, 0.0))
        beta = betas[1] if self.optimizer == "lion" else betas[0]
        return 1 / (1 - max(beta, self.arguments.get("momentum", 0.0)))


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else value


@dataclass(frozen=True)
class Measured:
    """A mean over chains and its standard error, as shares of the prediction."""

    ratio: float
    error: float

    @classmethod
    def of(cls, chains, predicted, power=1):
        """Of the mean of a power of the quantity, in units of the quantity itself."""
        ratios = np.asarray(chains) / predicted**power
        ratio = float(ratios.mean()) ** (1 / power)
        error = float(ratios.std(ddof=1)) / math.sqrt(len(ratios))
        return cls(ratio, error * ratio / ratio**power / power)

    def __str__(self):
        return f"{self.ratio:.5f} ± {self.error:.5f}"


def measure(setting):
    """Radius and angle, as shares of what `equilibrium` says."""
    walk, predicted = setting.walk(), setting.predicted()
    radii, turns = [], []
    r = norm(walk.w).ravel()
    for _ in range(setting.steps):
        before, r_before = walk.w.copy(), r
        walk.step()
        r = norm(walk.w).ravel()
        turns.append(1 - np.einsum("cij,cij->c", before, walk.w) / (r * r_before))
        radii.append(r**setting.power)
    radius = Measured.of(np.mean(radii, axis=0), predicted.radius, setting.power)
    chord = math.sqrt(1 - predicted.cosine)  # as good as the angle, and exact at any size
    return radius, Measured.of(np.mean(turns, axis=0), chord, 2)


def half_life(setting, *, wait, steps):
    """Half-life of a deviation of r² by 5 %, as a share of what `equilibrium` says.

    Two walks, 5 % above and below, see the same noise, so that it and the deviation's square
    drop out of their difference. The fit begins after `wait` steps, when the faster modes have
    died.
    """
    wide = setting.walk()
    narrow = copy.deepcopy(wide)
    for walk, factor in ((wide, 1.05), (narrow, 0.95)):
        walk.w *= math.sqrt(factor)
        if isinstance(walk, Rmsprop):
            walk.second /= factor
    deviations = []
    for _ in range(wait + steps):
        normals = wide.rng.standard_normal(wide.w.shape)
        wide.step(normals.copy())
        narrow.step(normals)
        deviations.append((norm(wide.w) ** 2 - norm(narrow.w) ** 2).ravel())
    slopes = np.polyfit(np.arange(steps), np.log(deviations[wait:]), 1)[0]
    return Measured.of(-math.log(2) / slopes, float(setting.predicted().half_life))


def pull(z, lr=0.01):
    """`lr` and `wd` at which L2 with Adam takes about the share z of the weight in a step."""
    return {"lr": lr, "wd": math.sqrt(2 * z**3 * G) / (lr**2 * DIM)}


def sgd_settings():
    variants = [
        {},
        {"momentum": 0.5},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.6},
        {"momentum": 0.5, "nesterov": True},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.5, "nesterov": True, "dampening": 0.6},
    ]
    for decay in ("l2", "decoupled"):
        for variant in variants:
            for rates in (SMALL, LARGE):
                yield Setting("sgd", {**rates, **variant, "decay": decay})


def adaptive_settings():
    """Divided by a root mean square: under L2 its limit β₂ → 1, else to first order in 1 − β₂."""
    for z in (0.02, 0.6):
        for betas in ((0.9, 0.9999), (0.5, 0.9999)):
            yield Setting("adam", {**pull(z), "betas": betas}, burn=200, allowed=1e-4)
        for momentum in (0.0, 0.5):
            given = {**pull(z), "alpha": 0.9999, "momentum": momentum}
            yield Setting("rmsprop", given, burn=200, allowed=1e-4)
    for rates in (SMALL, LARGE):
        for betas in ((0.9, 0.999), (0.9, 0.95), (0.5, 0.95)):
            yield Setting("adamw", {**rates, "betas": betas}, allowed=(1 - betas[1]) ** 2)
        for momentum in (0.0, 0.9):
            given = {**rates, "momentum": momentum, "decay": "decoupled"}
            yield Setting("rmsprop", given, allowed=0.01**2)


def nadam_settings():
    """As `adaptive_settings`; without `momentum_decay` μ stays at β₁/2."""
    for z in (0.02, 0.6):
        for betas in ((0.9, 0.9999), (0.5, 0.9999)):
            yield Setting("nadam", {**pull(z), "betas": betas}, burn=200, allowed=1e-4)
    still = {**pull(0.02), "betas": (0.9, 0.9999), "momentum_decay": 0.0}
    yield Setting("nadam", still, burn=200, allowed=1e-4)
    for rates in (SMALL, LARGE):
        for betas in ((0.9, 0.999), (0.9, 0.95), (0.5, 0.95)):
            given = {**rates, "betas": betas, "decay": "decoupled"}
            yield Setting("nadam", given, allowed=(1 - betas[1]) ** 2)


def other_settings():
    for rates in (SMALL, LARGE):
        for betas in ((0.9, 0.99), (0.5, 0.9), (0.0, 0.0)):
            yield Setting("lion", {**rates, "betas": betas})
        for momentum in (0.0, 0.5, 0.9):
            yield Setting("normalized", {**rates, "momentum": momentum})


def muon_settings():
    """The formula is that of large matrices: for small ones it errs by about 0.4/√(entries)."""
    variants = [
        ((96, 96), {"momentum": 0.9, "nesterov": False}),
        ((64, 64), {"momentum": 0.95}),
        ((64, 256), {"momentum": 0.95}),
        ((256, 64), {"momentum": 0.5, "adjust_lr_fn": "original"}),
        ((32, 800), {"momentum": 0.5, "adjust_lr_fn": "match_rms_adamw"}),
    ]
    for rates in (SMALL, LARGE):
        for shape, variant in variants:
            allowed = 0.4 / math.sqrt(math.prod(shape))
            given = {**rates, **variant}
            yield Setting(
                "muon",
                given,
                shape,
                steps=100,
                chains=8,
                burn=200 if rates is SMALL else 100,
                allowed=allowed,
            )


def settings():
    return [
        *sgd_settings(),
        *adaptive_settings(),
        *other_settings(),
        *muon_settings(),
        *nadam_settings(),
    ]


def finite_beta2_settings(smoothings=(0.999, 0.99, 0.95)):
    """Adam and RMSProp with L2 and averages of 20 to 1,000 steps, short of the formula's limit."""
    for beta in smoothings:
        time = {"burn": min(1500, int(4 / (1 - beta))) + 100, "steps": 600}
        for z in (0.02, 0.6):
            yield Setting("adam", {**pull(z), "betas": (0.9, beta)}, **time)
            yield Setting("rmsprop", {**pull(z), "alpha": beta}, **time)


def half_life_settings():
    """Settings whose relaxation is measured, with the steps to wait and to fit."""
    slow, slower = {"lr": 0.1, "wd": 0.02}, {"lr": 0.1, "wd": 0.003}
    yield Setting("sgd", {"lr": 0.1, "wd": 0.1}), 34, 34
    yield Setting("sgd", {"lr": 0.3, "wd": 0.3}), 3, 10
    yield Setting("sgd", {"lr": 0.1, "wd": 0.1, "momentum": 0.5}), 15, 15
    yield Setting("sgd", {**slower, "momentum": 0.9}), 100, 100
    yield Setting("sgd", {**slower, "momentum": 0.9, "nesterov": True}), 100, 100
    decoupled = {"momentum": 0.5, "nesterov": True, "decay": "decoupled"}
    yield Setting("sgd", {"lr": 0.1, "wd": 0.1, **decoupled}), 34, 34
    yield Setting("sgd", {"lr": 0.1, "wd": 0.02, "momentum": 0.9, "decay": "decoupled"}), 170, 85
    for z in (0.02, 0.2):
        yield Setting("adam", {**pull(z), "betas": (0.5, 0.99)}, burn=200), 190, 190
    yield Setting("rmsprop", {**pull(0.02), "alpha": 0.99, "momentum": 0.5}, burn=200), 190, 190
    yield Setting("adamw", {**slow, "betas": (0.9, 0.9)}, burn=200), 360, 270
    yield Setting("normalized", {**slow, "momentum": 0.5}, burn=200), 100, 170
    yield Setting("nadam", {**pull(0.02), "betas": (0.5, 0.99)}, burn=200), 190, 190


def delayed_half_life_settings():
    """Decoupled decay where the second moments lag the radius: 1 − β₂ is not far above ηλ."""
    yield Setting("adamw", {"lr": 0.1, "wd": 0.02, "betas": (0.9, 0.99)}, burn=200), 500, 300
    yield Setting("adamw", {"lr": 0.1, "wd": 0.1, "betas": (0.5, 0.99)}, burn=200), 300, 240
    nadam = {"lr": 0.1, "wd": 0.02, "betas": (0.9, 0.99), "decay": "decoupled"}
    yield Setting("nadam", nadam, burn=200), 500, 300
    smooth = {"alpha": 0.99, "decay": "decoupled"}
    yield Setting("rmsprop", {"lr": 0.1, "wd": 0.02, **smooth}, burn=200), 500, 300


def table(rows):
    """Markdown rows: measured over predicted radius and angle, with the standard error."""
    for setting in rows:
        yield "| {} | {} | {} |".format(setting, *measure(setting))


def half_life_table(rows):
    """Markdown rows: measured over predicted half-life, with the standard error."""
    for setting, wait, steps in rows:
        yield f"| {setting} | {half_life(setting, wait=wait, steps=steps)} |"


def spread_table(strengths=(1e-6, 1e-5, 1e-4)):
    """Markdown rows: radius of Adam with L2 over (ηΣσ/(2λ))^⅓, for unequal gradients σ of entries.

    strengths: values of η²λ, at η = 0.01, C = 2048 and G = 2.
    """
    normals = np.random.default_rng(5).standard_normal(DIM)
    spreads = {"equal": np.ones(DIM), "lognormal 1": np.exp(normals)}
    spreads["lognormal 2"] = np.exp(2 * normals)
    spreads["equal, 30 % zero"] = np.where(np.arange(DIM) < 0.3 * DIM, 0.0, 1.0)
    spreads["lognormal 1, 30 % zero"] = spreads["lognormal 1"] * spreads["equal, 30 % zero"]
    for name, spread in spreads.items():
        for strength in strengths:
            found = spread_radius(spread * math.sqrt(G / (spread**2).sum()), strength)
            yield f"| {name} | {strength:.0e} | {found} |"


def spread_radius(spread, strength, lr=0.01):
    wd = strength / lr**2
    law = (lr * spread.sum() / (2 * wd)) ** (1 / 3)
    walk = Adam(lr=lr, wd=wd, betas=(0.9, 0.999), decay="l2", chains=8, spread=spread)
    walk.w = walk.w * np.sqrt(spread / spread.sum()) + 1e-300
    walk.scale_to(law)
    walk.second = np.maximum(walk.second, 1e-30)
    squares = []
    for i in range(4000):
        walk.step()
        if i >= 2500:
            squares.append(norm(walk.w).ravel() ** 2)
    return Measured.of(np.mean(squares, axis=0), law, 2)


if __name__ == "__main__":
    for line in (
        *table(settings()),
        *table(finite_beta2_settings()),
        *half_life_table(half_life_settings()),
        *half_life_table(delayed_half_life_settings()),
        *spread_table(),
    ):
        print(line)

"""policy_config.json: what a policy sees, which arms it has, how it explores and learns.

    {"version": 1,
     "context": [{"name": "age"}, {"name": "country", "kind": "category", "namespace": "u"}],
     "arms": {"fixed": [1, 2, 3]},
     "exploration": {"kind": "squarecb", "gamma_scale": 100},
     "interactions": ["sa", "ua"]}

`"arms": {"features": [{"name": "topic", "kind": "category"}]}` says instead that the arms come with each
observation. The first three keys are required; `DEFAULTS` holds the others. A policy keeps its configuration
for life: another configuration is another policy, warm-started from logs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from .errors import InvalidConfig

FILE = "policy_config.json"
VERSION = 1
CONTEXT_NAMESPACE = "s"
ARM_NAMESPACE = "a"
ARM_FEATURE = "arm"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

DEFAULTS: Mapping[str, Any] = {
    "encoding": {"numbers": "quantile", "bins": 31},
    "exploration": {"kind": "squarecb", "gamma_scale": 100},
    "cb_type": "mtr",
    "interactions": [CONTEXT_NAMESPACE + ARM_NAMESPACE],
    "ignore_linear": [],
    "learning": {"bits": 18, "learning_rate": 0.5, "passes": 1},
    "minimum_probability": 0.0,
    "reward": {"low": 0.0, "high": 1.0},
}


@dataclass(frozen=True)
class Option:
    """A setting of an exploration: VW's flag, its default, and the range that makes sense."""

    flag: str
    default: float
    low: float
    high: float
    integer: bool = False


@dataclass(frozen=True)
class Kind:
    """An exploration: VW's flags, its settings, the cost estimates (`cb_type`) that VW accepts with it."""

    flags: tuple[str, ...]
    options: Mapping[str, Option]
    cb_types: tuple[str, ...]


MTR = ("mtr",)
ANY = ("mtr", "dr", "ips", "dm")
EPSILON = Option("--epsilon", 0.05, 0, 1)
MELLOWNESS = Option("--mellowness", 0.1, 1e-9, 1e9)
# Accepted combinations as VW 9.11 has them; a test asks VW about each.
EXPLORATIONS: Mapping[str, Kind] = {
    "egreedy": Kind((), {"epsilon": EPSILON}, ANY),
    "bag": Kind((), {"policies": Option("--bag", 3, 1, 1000, True)}, ANY),
    "cover": Kind((), {"policies": Option("--cover", 3, 1, 1000, True)}, ("mtr", "dr", "ips")),
    "squarecb": Kind(
        ("--squarecb",),
        {
            "gamma_scale": Option("--gamma_scale", 100, 1e-9, 1e9),
            "gamma_exponent": Option("--gamma_exponent", 0.5, 0, 10),
        },
        MTR,
    ),
    "softmax": Kind(("--softmax",), {"lambda": Option("--lambda", 10, 0, 1e9)}, ANY),
    "regcb": Kind(("--regcb",), {"mellowness": MELLOWNESS}, MTR),
    "regcbopt": Kind(("--regcbopt",), {"mellowness": MELLOWNESS}, MTR),
}


@dataclass(frozen=True)
class Feature:
    """One named feature. VW knows a namespace by its first letter, so two must not share one."""

    name: str
    kind: Literal["number", "category"]
    namespace: str
    optional: bool


@dataclass(frozen=True)
class Config:
    """A checked configuration; `content` is what the file said, defaults filled in.

    arms: identifiers of fixed arms; None when arms come with each observation and `arm_features` describe
    them.
    """

    content: Mapping[str, Any]
    context: tuple[Feature, ...]
    arms: tuple[int | str, ...] | None
    arm_features: tuple[Feature, ...]

    @property
    def bins(self) -> int:
        """Quantile bins of each number; 0 when numbers are standardised instead."""
        encoding = self.content["encoding"]
        return encoding["bins"] if encoding["numbers"] == "quantile" else 0

    @property
    def minimum_probability(self) -> float:
        return float(self.content["minimum_probability"])

    @cached_property
    def reward_range(self) -> tuple[float, float]:
        reward = self.content["reward"]
        return float(reward["low"]), float(reward["high"])

    @property
    def passes(self) -> int:
        return int(self.content["learning"]["passes"])

    def cost(self, reward: float) -> float:
        """VW minimises a cost in [0, 1]: 0 for the best reward, 1 for the worst."""
        low, high = self.reward_range
        return (high - reward) / (high - low)

    def vw_arguments(self) -> list[str]:
        """The learner's arguments, without files."""
        exploration = self.content["exploration"]
        kind = EXPLORATIONS[exploration["kind"]]
        learning = self.content["learning"]
        words = ["--cb_explore_adf", *kind.flags]
        for name, option in kind.options.items():
            words += [option.flag, f"{exploration.get(name, option.default):g}"]
        words += ["--cb_type", self.content["cb_type"]]
        words += [
            "--bit_precision",
            str(learning["bits"]),
            "--learning_rate",
            f"{learning['learning_rate']:g}",
        ]
        for namespaces in self.content["interactions"]:
            words += ["--interactions", namespaces]
        for namespace in self.content["ignore_linear"]:
            words += ["--ignore_linear", namespace]
        return words


def load(path: Path) -> Config:
    """Read a configuration from a file, or from policy_config.json in a folder. Raises InvalidConfig."""
    file = path / FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{file} cannot be read: {error}") from None
    return parse(content)


def parse(given: Any) -> Config:
    """Check a configuration. Raises InvalidConfig, naming the key."""
    if not isinstance(given, Mapping):
        raise InvalidConfig(f"the policy configuration is a {type(given).__name__}, not an object")
    _only(given, {"version", "context", "arms", *DEFAULTS}, "the policy configuration")
    _require(given.get("version") == VERSION, f"version is {given.get('version')!r}, expected {VERSION}")
    context = _features(given.get("context"), "context", CONTEXT_NAMESPACE)
    _require(bool(context), "context has no feature")
    arms, arm_features = _arms(given.get("arms"))
    content = {"version": VERSION, "context": given["context"], "arms": given["arms"]}
    for key, default in DEFAULTS.items():
        value = given.get(key, default)
        _require(type(value) is type(default) or key == "minimum_probability", f"{key} is {value!r}")
        content[key] = {**default, **value} if isinstance(default, dict) and key != "exploration" else value
    _check_learning(content)
    _check_exploration(content["exploration"], content["cb_type"])
    _check_namespaces(content, context, arm_features)
    floor = content["minimum_probability"]
    _number(floor, "minimum_probability", 0, 1 / len(arms) if arms else 0.5)
    return Config(content, context, arms, arm_features)


def _arms(given: Any) -> tuple[tuple[int | str, ...] | None, tuple[Feature, ...]]:
    _require(isinstance(given, Mapping) and len(given) == 1, 'arms needs one of "fixed" and "features"')
    if "features" in given:
        features = _features(given["features"], "arms.features", ARM_NAMESPACE)
        _require(bool(features), "arms.features has no feature")
        return None, features
    _require("fixed" in given, 'arms needs one of "fixed" and "features"')
    arms = given["fixed"]
    _require(isinstance(arms, list) and len(arms) >= 2, f"arms.fixed is {arms!r}, not a list of two or more")
    for arm in arms:
        _require(
            is_arm(arm), f"arms.fixed: {arm!r} is neither a whole number of 64 bits nor a text of 1 to 128"
        )
    _require(len({str(arm) for arm in arms}) == len(arms), "arms.fixed names an arm twice")
    return tuple(arms), ()


def is_arm(value: Any) -> bool:
    """Whether a value can identify an arm: a whole number of 64 bits or a short text."""
    if isinstance(value, str):
        return 0 < len(value) <= 128 and value.isprintable()
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _features(given: Any, where: str, namespace: str) -> tuple[Feature, ...]:
    _require(isinstance(given, list), f"{where} is {given!r}, not a list of features")
    features = []
    for place, entry in enumerate(given):
        at = f"{where}[{place}]"
        _require(isinstance(entry, Mapping), f"{at} is {entry!r}, not an object")
        _only(entry, {"name", "kind", "namespace", "optional"}, at)
        name, kind = entry.get("name"), entry.get("kind", "number")
        _require(isinstance(name, str) and bool(NAME.fullmatch(name)), f"{at}.name is {name!r}")
        _require(kind in ("number", "category"), f"{at}.kind is {kind!r}, not number or category")
        group = entry.get("namespace", namespace)
        _require(isinstance(group, str) and bool(NAME.fullmatch(group)), f"{at}.namespace is {group!r}")
        _require(isinstance(entry.get("optional", False), bool), f"{at}.optional is not true or false")
        features.append(Feature(name, kind, group, entry.get("optional", False)))
    names = [feature.name for feature in features]
    _require(len(set(names)) == len(names), f"{where} names a feature twice")
    return tuple(features)


def _check_learning(content: Mapping[str, Any]) -> None:
    encoding, learning, reward = content["encoding"], content["learning"], content["reward"]
    for key in ("encoding", "learning", "reward"):
        _only(content[key], set(DEFAULTS[key]), key)
    _require(encoding["numbers"] in ("quantile", "standard"), f"encoding.numbers is {encoding['numbers']!r}")
    _number(encoding["bins"], "encoding.bins", 2, 1024, integer=True)
    _number(learning["bits"], "learning.bits", 1, 30, integer=True)
    _number(learning["learning_rate"], "learning.learning_rate", 1e-9, 1e3)
    _number(learning["passes"], "learning.passes", 1, 100, integer=True)
    _number(reward["low"], "reward.low", -1e9, 1e9)
    _number(reward["high"], "reward.high", -1e9, 1e9)
    _require(reward["low"] < reward["high"], "reward.low is not below reward.high")


def _check_exploration(exploration: Mapping[str, Any], cb_type: str) -> None:
    name = exploration.get("kind")
    _require(name in EXPLORATIONS, f"exploration.kind is {name!r}, not one of {', '.join(EXPLORATIONS)}")
    kind = EXPLORATIONS[str(name)]
    _only(exploration, {"kind", *kind.options}, f"exploration of kind {name}")
    for key, option in kind.options.items():
        value = exploration.get(key, option.default)
        _number(value, f"exploration.{key}", option.low, option.high, integer=option.integer)
    _require(
        cb_type in kind.cb_types, f"cb_type is {cb_type!r}; {name} works with {', '.join(kind.cb_types)}"
    )


def _check_namespaces(
    content: Mapping[str, Any], context: tuple[Feature, ...], arm_features: tuple[Feature, ...]
) -> None:
    by_letter: dict[str, str] = {}
    shared = {feature.namespace for feature in context}
    own = {feature.namespace for feature in arm_features} or {ARM_NAMESPACE}
    for namespace in sorted(shared | own):
        other = by_letter.setdefault(namespace[0], namespace)
        _require(other == namespace, f"namespaces {other} and {namespace} begin with the same letter")
    named = {feature.name for feature in context} & {feature.name for feature in arm_features}
    _require(not named, f"context and arms both have a feature {', '.join(sorted(named))}")
    _require(not shared & own, f"namespace {', '.join(sorted(shared & own))} holds context and arms")
    for key in ("interactions", "ignore_linear"):
        for group in content[key]:
            _require(isinstance(group, str) and bool(group), f"{key}: {group!r} is not a text")
            unknown = set(group) - set(by_letter)
            known = "".join(sorted(by_letter))
            _require(not unknown, f"{key}: {group!r} names no namespace; their letters are {known}")


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(given) - known)
    _require(
        not unknown, f"{where} has an unknown key {', '.join(unknown)}; known: {', '.join(sorted(known))}"
    )


def _number(value: Any, where: str, low: float, high: float, *, integer: bool = False) -> None:
    kinds = (int,) if integer else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high
    what = "a whole number" if integer else "a number"
    _require(fits, f"{where} is {value!r}, not {what} from {low:g} to {high:g}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidConfig(f"policy configuration: {message}")

"""The compiled library: finding and loading it, and its C interface (core/include/seednorm/c_api.h, ops/check.h)."""

import contextlib
import ctypes
import functools
import json
import operator
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

OLDEST_TORCH = (2, 10)

#: The core's enumerations, in their order.
SIGMAS = ("tanh", "sigmoid", "hardtanh", "softsign", "gelu", "silu", "identity")
FORMS = ("vector", "scalar", "none", "plus_one", "elementwise")
KINDS = ("absent", "vector", "scalar", "per_sample")


class _Options(ctypes.Structure):  # seednorm_options
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("eps", ctypes.c_double),
        ("num_heads", ctypes.c_int64),
        ("dot_scale", ctypes.c_double),
        ("dropout", ctypes.c_double),
        ("sigma", ctypes.c_int32),
        ("gamma", ctypes.c_int32),
        ("alpha", ctypes.c_int32),
        ("beta", ctypes.c_int32),
    ]


class _Value(ctypes.Structure):  # seednorm_ops_value
    _fields_ = [
        ("number", ctypes.c_double),
        ("integer", ctypes.c_int64),
        ("sizes", ctypes.POINTER(ctypes.c_int64)),
        ("ndim", ctypes.c_int64),
        ("dtype", ctypes.c_char_p),
        ("device", ctypes.c_char_p),
    ]


class Param(NamedTuple):
    """A parameter of a layer: its shape ("vector" [D], "scalar" [1] or "per_sample") and where training starts."""

    kind: str
    initial_value: float


class ParamInfo(NamedTuple):
    """A parameter of a norm, whatever the norm's width and options."""

    name: str
    role: str  # "gain", "offset", "slope", "dynamic" or "condition", as the core's ParamRole says
    state_name: str  # in state dictionaries: gamma is "weight"
    shape: str  # "scalar" or "per_sample"; "vector": whatever its form says
    forms: tuple[str, ...]  # of FORMS, that the options may choose


class NormInfo(NamedTuple):
    """A norm's own description."""

    params: tuple[ParamInfo, ...]
    options: tuple[str, ...]  # of num_heads, eps, sigma, dot_scale and dropout, those that the norm has
    residual_add: bool  # there is a fused residual add
    needs_condition: bool  # some parameter has a row for each sample
    starts_as: str | None  # the norm that it equals, bit for bit, before training


def check_torch(version: str) -> None:
    """Raises ImportError if this PyTorch is older than the operators' interface to it."""
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if numbers < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise ImportError(
            f"seednorm needs torch {oldest} or later, this is torch {version}: pip install 'torch>={oldest}'"
        )


def path() -> pathlib.Path:
    return pathlib.Path(__file__).parent / "libseednorm_ops.so"


def _load() -> ctypes.CDLL:
    check_torch(torch.__version__)
    if not path().exists():
        raise ImportError(
            f"seednorm: {path()} is missing; the package has to be built: pip install . in the repository"
        )
    if hasattr(torch.ops.seednorm, "seed_norm") and str(path().resolve()) not in torch.ops.loaded_libraries:
        raise ImportError(
            f"seednorm: this process has loaded the operators of another copy already, so {path()} cannot be loaded too; "
            "import seednorm from one place only"
        )
    torch.ops.load_library(str(path()))
    library = ctypes.CDLL(str(path()))
    library.seednorm_norm_names.restype = ctypes.POINTER(ctypes.c_char_p)
    for name in ("version", "simd_target", "last_error", "param_name", "ops_check", "ops_describe"):
        getattr(library, f"seednorm_{name}").restype = ctypes.c_char_p
    return library


_C = _load()


def version() -> str:
    """Version of the compiled library."""
    return _C.seednorm_version().decode()


def simd_target() -> str:
    """The instruction set in use: "AVX3_BF16", "AVX3" (AVX-512), "AVX2", "SSE4", "NEON" or "SCALAR"."""
    return _C.seednorm_simd_target().decode()


def norm_names() -> tuple[str, ...]:
    names, i = _C.seednorm_norm_names(), 0
    while names[i]:
        i += 1
    return tuple(name.decode() for name in names[:i])


@functools.cache
def norm_info(name: str) -> NormInfo:
    """What the norm says of itself. ValueError if there is none of this name."""
    text = _C.seednorm_ops_describe(name.encode())
    if text is None:
        raise ValueError(f"norm: expected one of {', '.join(norm_names())}, got {name!r}")
    info = json.loads(text)
    params = tuple(ParamInfo(**{**param, "forms": tuple(param["forms"])}) for param in info.pop("params"))
    return NormInfo(params, tuple(info.pop("options")), **info)


def _check(status: int) -> None:
    if status != 0:
        raise ValueError(_C.seednorm_last_error().decode())


def index_of(layer: str, argument: str, value: str, known: tuple[str, ...]) -> int:
    """Position of a named choice; ValueError if it is none of them."""
    if value not in known:
        raise ValueError(f"[{layer}] {argument}: expected one of {', '.join(known)}, got {value!r}")
    return known.index(value)


def width_of(layer: str, dim: Any) -> int:
    """The width of a row, which may come as torch's layers take it: [width]. ValueError if it is no one number."""
    if isinstance(dim, tuple | list):  # torch.Size is a tuple
        if len(dim) != 1:
            raise ValueError(f"[{layer}] dim: expected one number, since only the last dimension is a row, got {list(dim)}")
        dim = dim[0]
    return _whole(layer, "dim", dim)


def _whole(layer: str, argument: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        whole = operator.index(value)
    except TypeError:
        raise ValueError(f"[{layer}] {argument}: expected a whole number, got {value!r}") from None
    if not -(2**63) <= whole < 2**63:
        raise ValueError(f"[{layer}] {argument}: expected a number of 64 bits, got {whole}")
    return whole


def real_of(layer: str, argument: str, value: Any) -> float:
    """The number that was given for an argument of a layer; ValueError if it is none."""
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"[{layer}] {argument}: expected a number, got {value!r}") from None


@contextlib.contextmanager
def _norm(name: str, dim: int, options: dict[str, Any]) -> Iterator[ctypes.c_void_p]:
    o = _Options(ctypes.sizeof(_Options), 1e-6, 1, 1.0, 0.0)
    for key, value in options.items():
        if key == "sigma":
            value = index_of(name, key, value, SIGMAS)
        elif key in ("gamma", "alpha", "beta"):
            value = index_of(name, f"{key}_form", value, FORMS)
        elif key == "num_heads":
            value = _whole(name, key, value)
        else:
            value = real_of(name, key, value)
        setattr(o, key, value)
    norm = ctypes.c_void_p()
    _check(_C.seednorm_norm_create(name.encode(), ctypes.c_int64(dim), ctypes.byref(o), ctypes.byref(norm)))
    try:
        yield norm
    finally:
        _C.seednorm_norm_destroy(norm)


def params_of(name: str, dim: int, **options: Any) -> dict[str, Param]:
    """Parameters of layer `name` of that width and with those options; ValueError if these do not fit it.

    Options: eps, num_heads, sigma, dot_scale, dropout, and the forms of gamma, alpha and beta.
    """
    params, index = {}, 0
    with _norm(name, dim, options) as norm:
        while param := _C.seednorm_param_name(index):
            kind, value = ctypes.c_int32(), ctypes.c_double()
            _check(_C.seednorm_norm_param_kind(norm, index, ctypes.byref(kind)))
            if kind.value:
                _check(_C.seednorm_norm_initial_value(norm, index, ctypes.byref(value)))
                params[param.decode()] = Param(KINDS[kind.value], value.value)
            index += 1
    return params


def check_call(name: str, kind: int, arguments: dict[str, Any]) -> int:
    """Checks an operator's arguments as the operator does, from shapes and dtypes alone; returns the number of stats.

    kind: 0 forward, 1 forward with residual add, 2 backward; arguments: all of them, in the order of the schema.
    ValueError says what is wrong.
    """
    x = arguments["x"].shape
    if x and _unknown(x[-1]):
        raise ValueError(f"[{name}] x: expected a last dimension that does not depend on data, got {x[-1]}")
    values = (_Value * len(arguments))(*[_value(argument, x) for argument in arguments.values()])
    num_stats = ctypes.c_int64()
    message = _C.seednorm_ops_check(name.encode(), kind, values, ctypes.byref(num_stats))
    if message is not None:
        raise ValueError(message.decode())
    return num_stats.value


def _value(argument: Any, x: torch.Size) -> _Value:
    if not isinstance(argument, torch.Tensor):
        integer = int(argument) if isinstance(argument, int | torch.SymInt) else 0
        return _Value(number=argument or 0, integer=integer)
    last = argument.ndim - 1
    like = [x[i] if i < min(last, len(x) - 1) else x[-1] for i in range(argument.ndim)] if x else argument.shape
    sizes = (ctypes.c_int64 * argument.ndim)(*map(_size, argument.shape, like))
    dtype = str(argument.dtype).removeprefix("torch.").encode()
    return _Value(0, 0, sizes, argument.ndim, dtype, argument.device.type.encode())


def _size(size: int | torch.SymInt, of_x: int | torch.SymInt) -> int:
    """A size, or what a symbolic one stands for just now: sizes are only compared, and again when the kernel runs.

    Of one that depends on data (the rows of x[mask]) all that is known is that it must be x's at the same place. That is
    noted for the compiled program to check, and any number may stand for it here.
    """
    if not _unknown(size):
        return size if isinstance(size, int) else int(size.node.hint)
    if size is not of_x:
        torch._check(size == of_x)
    return _ANY_ROWS if _unknown(of_x) else _size(of_x, of_x)


_ANY_ROWS = 2


def _unknown(size: int | torch.SymInt) -> bool:
    """Whether a size depends on data."""
    return not isinstance(size, int) and size.node.hint is None

"""``torch.compile`` and the functions around it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.compiler.function import CompiledFunction, functions, recording
from rushlight.nn.modules.module import Module

MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")

#: Names PyTorch has for what turns a program into code; here they all mean the same.
BACKENDS = ("cudagraphs", "inductor", "onnxrt", "openxla", "tvm")


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """Replay a function, or the forward of a module, instead of running its Python code.

    A call runs as written until two calls with arguments of the same kind have done the same.
    From then on such calls are replayed: the recorded operations run on the new arguments and on
    the present contents of the parameters, buffers and other tensors, and write to the same ones.
    A whole training step, with ``loss.backward()`` and ``optimizer.step()``, may be compiled.
    What cannot be replayed soundly runs as written; ``RUSHLIGHT_LOG=compile`` says why.

    Args:
        model: a function, a method or a module; without it a decorator is returned.
        disable: return ``model`` as it is.
        fullgraph, dynamic, backend, mode, options, name, recompile_limit, isolate_recompiles,
            shapes_spec: accepted as PyTorch does; programs are compiled as a whole in any case.

    Returns:
        A function, or for a module one that shares its parameters and state.

    See https://pytorch.org/docs/stable/generated/torch.compile.html.

    >>> import rushlight as torch
    >>> @torch.compile
    ... def softplus(x):
    ...     return (1 + x.exp()).log()
    >>> [round(softplus(torch.tensor(float(i))).item(), 3) for i in range(4)]
    [0.693, 1.313, 2.127, 3.049]
    >>> softplus.replayed
    2
    """
    _check(backend, mode, options)
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, disable=disable,
        )  # fmt: skip
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model)
    assert callable(model), f"A callable function is expected, but {type(model)} is provided."
    return CompiledFunction(getattr(model, "_torchdynamo_orig_callable", model))


def _check(backend: Any, mode: str | None, options: dict[str, Any] | None) -> None:
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    known = (*BACKENDS, "eager", "aot_eager", "aot_eager_decomp_partition")
    if isinstance(backend, str) and backend not in known:
        raise RuntimeError(
            f"Invalid backend: {backend!r}, see `torch.compiler.list_backends()` for available "
            "backends."
        )


class OptimizedModule(Module):
    """A module whose calls are replayed; parameters, buffers and attributes are the original's.

    As in PyTorch the original is the submodule ``_orig_mod``, so names in ``state_dict()`` begin
    with ``_orig_mod.``.

    >>> import rushlight as torch
    >>> model = torch.compile(torch.nn.Linear(2, 1))
    >>> list(model.state_dict()), model.in_features
    (['_orig_mod.weight', '_orig_mod.bias'], 2)
    """

    _orig_mod: Module

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.__dict__["_modules"]["_orig_mod"] = module
        self.__dict__["_compiled"] = CompiledFunction(module)
        del self.__dict__["training"]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (
            self._forward_hooks or self._forward_pre_hooks or self._backward_hooks
            or self._backward_pre_hooks
        ):  # fmt: skip
            return super().__call__(*args, **kwargs)
        return self.__dict__["_compiled"](*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the original by a replay."""
        return self.__dict__["_compiled"](*args, **kwargs)

    @property
    def training(self) -> bool:  # type: ignore[override]
        """The original's mode."""
        return self._orig_mod.training

    @training.setter
    def training(self, mode: bool) -> None:
        self._orig_mod.training = mode

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self.__dict__["_modules"]["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training" or name in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __getitem__(self, index: Any) -> Any:
        return self._orig_mod[index]  # type: ignore[index]

    def __len__(self) -> int:
        return len(self._orig_mod)  # type: ignore[arg-type]

    def __iter__(self) -> Any:
        return iter(self._orig_mod)  # type: ignore[call-overload]

    def __reduce__(self) -> Any:
        return OptimizedModule, (self._orig_mod,)


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Let a function, and what it calls, run as written even inside compiled code.

    >>> import rushlight as torch
    >>> @torch.compiler.disable
    ... def look(x):
    ...     return x.sum().item()
    >>> look(torch.ones(2))
    2.0
    """
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        recording.off += 1
        try:
            return fn(*args, **kwargs)
        finally:
            recording.off -= 1

    return call


def reset() -> None:
    """Forget all recorded calls of all compiled functions.

    >>> import rushlight as torch
    >>> torch.compiler.reset()
    """
    for function in list(functions):
        function.entries.clear()


def is_compiling() -> bool:
    """Whether PyTorch's tracer is looking at the code: never, programs always really run.

    >>> import rushlight as torch
    >>> torch.compiler.is_compiling()
    False
    """
    return False


is_dynamo_compiling = is_exporting = is_compiling


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The names ``torch.compile`` takes as ``backend``.

    >>> import rushlight as torch
    >>> "inductor" in torch.compiler.list_backends()
    True
    """
    return list(BACKENDS)


def allow_in_graph(fn: Any) -> Any:
    """Return ``fn``: every function may be part of a recorded call.

    >>> import rushlight as torch
    >>> torch.compiler.allow_in_graph(len) is len
    True
    """
    return fn


def assume_constant_result(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``fn``, of which the user says that it always returns the same.

    >>> import rushlight as torch
    >>> torch.compiler.assume_constant_result(len) is len
    True
    """
    return fn


def cudagraph_mark_step_begin() -> None:
    """Accepted for PyTorch programs; there is nothing to mark.

    >>> import rushlight as torch
    >>> torch.compiler.cudagraph_mark_step_begin()
    """

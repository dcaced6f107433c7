"""Random tensors and generators, bit for bit as PyTorch's on a processor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._creation_fill import empty_like
from rushlight._tensor import Tensor
from rushlight.engine.core import (
    sampling,
    sampling_distributions,
    sampling_normal,
    sampling_rejection,
)
from rushlight.engine.core.device import CPU, require_device
from rushlight.engine.core.dtype import (
    FLOATING,
    SCALAR_NAMES,
    dtype,
    get_default_dtype,
    int64,
    uint8,
)
from rushlight.engine.core.mt19937 import Engine
from rushlight.engine.core.shape import Shape, as_shape, broadcast_shapes
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ops.random import default_engine
from rushlight.engine.trace import views


class Generator:
    """A source of random numbers with a state of its own.

    >>> import rushlight as torch
    >>> g = torch.Generator().manual_seed(0)
    >>> torch.rand(1, generator=g)
    tensor([0.4963])
    """

    def __init__(self, device: Any = "cpu", *, _engine: Engine | None = None) -> None:
        require_device(device)
        self.device = CPU
        self._engine = Engine() if _engine is None else _engine

    def manual_seed(self, seed: int) -> Generator:
        """Begin the stream of ``seed``."""
        self._engine.manual_seed(seed)
        return self

    def seed(self) -> int:
        """Begin a stream nobody can foresee; its seed."""
        return self._engine.seed()

    def initial_seed(self) -> int:
        """The seed of the present stream."""
        return self._engine.initial_seed()

    def get_state(self) -> Tensor:
        """The state as a tensor of bytes."""
        return tensor_of_array(np.array(self._engine.get_state()))

    def set_state(self, new_state: Any) -> None:
        """Go on from a state that ``get_state`` gave."""
        if not isinstance(new_state, TensorBase) or new_state._value.meta.dtype is not uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self._engine.set_state(new_state._array())

    def clone_state(self) -> Generator:
        """Another generator in the same state."""
        return Generator(_engine=self._engine.clone())

    def graphsafe_get_state(self) -> Generator:
        """Another generator in the same state."""
        return self.clone_state()


default_generator = Generator(_engine=default_engine)


def _engine(generator: Any) -> Engine:
    if generator is None:
        return default_engine
    if not isinstance(generator, Generator):
        raise TypeError(
            f"argument 'generator' must be torch.Generator, not {type(generator).__name__}"
        )
    return generator._engine


def random_seed(generator: Any = None) -> int:
    """An int64 drawn as ``torch.empty((), dtype=torch.int64).random_()`` draws it."""
    return sampling.draw_seed(_engine(generator))


def manual_seed(seed: int) -> Generator:
    """Seed the default generator.

    >>> import rushlight as torch
    >>> torch.manual_seed(0).initial_seed()
    0
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator with a number nobody can foresee; that number."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator.

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(5)
    >>> torch.initial_seed()
    5
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator as a tensor of bytes.

    >>> import rushlight as torch
    >>> torch.get_rng_state().shape
    torch.Size([5056])
    """
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Put the default generator into a state that ``get_rng_state`` gave."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **_: Any) -> Iterator[None]:
    """Give the default generator its present state back after a ``with`` block.

    >>> import rushlight as torch
    >>> with torch.random.fork_rng():
    ...     _ = torch.rand(3)
    """
    state = default_engine.get_state()
    try:
        yield
    finally:
        if enabled:
            default_engine.set_state(state)


def _finish(array: np.ndarray, out: Any, device: Any, requires_grad: bool) -> Any:
    if device is not None:
        require_device(device)
    made = tensor_of_array(array)
    if out is not None:
        return views.write(out, made)
    return made.requires_grad_() if requires_grad else made


def _floating(name: str, wanted: dtype | None) -> dtype:
    found = wanted or get_default_dtype()
    if found.category < FLOATING:
        raise NotImplementedError(f'"{name}" not implemented for \'{SCALAR_NAMES[found]}\'')
    return found


def rand(
    *size: Any, generator: Any = None, out: Any = None, dtype: dtype | None = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers spread evenly over [0, 1).

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    found = _floating("check_uniform_bounds", dtype)
    array = sampling.uniform(_engine(generator), as_shape(size), found)
    return _finish(array, out, device, requires_grad)


def randn(
    *size: Any, generator: Any = None, out: Any = None, dtype: dtype | None = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers from the normal distribution with mean 0 and variance 1.

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randn(2)
    tensor([ 1.5410, -0.2934])
    """
    found = _floating("normal_kernel_cpu", dtype)
    array = sampling_normal.normal(_engine(generator), as_shape(size), found)
    return _finish(array, out, device, requires_grad)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Any = None, out: Any = None,
    dtype: dtype | None = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Whole numbers from ``low`` (0 if absent) to below ``high``.

    >>> import rushlight as torch
    >>> torch.randint(3, 4, (2,))
    tensor([3, 3])
    """
    if size is None:
        low, high, size = 0, low, high
    if size is None:
        raise TypeError("randint(): argument 'size' must be tuple of ints")
    array = sampling.randint(
        _engine(generator), as_shape(tuple(size)), int(low), int(high), dtype or int64
    )
    return _finish(array, out, device, requires_grad)


def randperm(
    n: int, *, generator: Any = None, out: Any = None, dtype: dtype = int64, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers 0 to ``n - 1`` in random order.

    >>> import rushlight as torch
    >>> torch.randperm(3).sort()[0]
    tensor([0, 1, 2])
    """
    array = sampling.randperm(_engine(generator), n, dtype)
    return _finish(array, out, device, requires_grad)


def _like(name: str, make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def like(
        input: Any, *, dtype: dtype | None = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, memory_format: Any = None, generator: Any = None,
    ) -> Tensor:  # fmt: skip
        if memory_format is None and not input.is_contiguous():  # it keeps the input's strides
            made = empty_like(input, dtype=dtype, layout=layout, device=device)
            (uniform_ if make is rand else normal_)(made, generator=generator)
            return made.requires_grad_(requires_grad)
        return make(
            *input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad,
            generator=generator,
        )  # fmt: skip

    like.__name__ = name
    like.__doc__ = f"``{make.__name__}`` with shape and type of ``input``."
    return like


rand_like = _like("rand_like", rand)
randn_like = _like("randn_like", randn)


def randint_like(
    input: Any, low: int, high: int | None = None, *, dtype: dtype | None = None, **options: Any
) -> Tensor:
    """``randint`` with shape and type of ``input``."""
    if high is None:
        low, high = 0, low
    if not input.is_contiguous() and not options:
        return random_(empty_like(input, dtype=dtype), low, high)
    return randint(low, high, tuple(input.shape), dtype=dtype or input.dtype)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, out: Any = None,
    dtype: dtype | None = None, **options: Any,
) -> Tensor:  # fmt: skip
    """Numbers from normal distributions with means and standard deviations given.

    >>> import rushlight as torch
    >>> torch.normal(2.0, 0.0, (2,))
    tensor([2., 2.])
    """
    tensors = [x for x in (mean, std) if isinstance(x, TensorBase)]
    if not tensors:
        if not isinstance(std, Tensor) and std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        found = _floating("normal_kernel_cpu", dtype)
        shape = as_shape(tuple(size))
        array = sampling_normal.normal(_engine(generator), shape, found, float(mean), float(std))
        return _finish(array, out, None, False)
    shape = broadcast_shapes(*[x._value.meta.shape for x in tensors])
    found = tensors[0]._value.meta.dtype
    if isinstance(std, TensorBase) and bool((std < 0).any()):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    drawn = tensor_of_array(sampling_normal.normal(_engine(generator), shape, found))
    made: Tensor = drawn * std + mean
    return made if out is None else views.write(out, made)


def bernoulli(input: Any, p: Any = None, *, generator: Any = None, out: Any = None) -> Tensor:
    """0 or 1 with the probabilities in ``input`` (or ``p`` everywhere).

    >>> import rushlight as torch
    >>> torch.bernoulli(torch.ones(2))
    tensor([1., 1.])
    """
    engine = _engine(generator)
    if p is not None and not isinstance(p, TensorBase):
        array = sampling.bernoulli(engine, tuple(input.shape), float(p), input.dtype)
    else:
        probabilities = (input if p is None else p).detach()._array()
        array = sampling.bernoulli_each(engine, probabilities, input.dtype)
    return _finish(array, out, None, False)


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None,
    out: Any = None,
) -> Tensor:  # fmt: skip
    """Indices drawn in proportion to the weights in each row.

    >>> import rushlight as torch
    >>> torch.multinomial(torch.tensor([0.0, 1.0]), 1)
    tensor([1])
    """
    array = sampling_distributions.multinomial(
        _engine(generator), input.detach()._array(), num_samples, replacement
    )
    return _finish(array, out, None, False)


def poisson(input: Any, generator: Any = None) -> Tensor:
    """Counts from Poisson distributions with the rates in ``input``.

    >>> import rushlight as torch
    >>> torch.poisson(torch.zeros(2))
    tensor([0., 0.])
    """
    array = sampling_rejection.poisson(_engine(generator), input.detach()._array())
    return _finish(np.asarray(array), None, None, False)


# writing random numbers into a tensor -----------------------------------------------------------


def _into(tensor: Any, draw: Callable[[Engine, Shape, dtype], np.ndarray], generator: Any) -> Any:
    """Fill a tensor with what ``draw`` gives for its shape and type, in the order of its memory."""
    views.check_inplace(tensor)
    order = _memory_order(tensor)
    shape = tuple([tensor.shape[axis] for axis in order])
    array = np.asarray(draw(_engine(generator), shape, tensor.dtype))
    if array.shape != shape:
        array = array.reshape(shape)
    if order != list(range(len(order))):
        array = array.transpose(np.argsort(order))
    return views.write(tensor, tensor_of_array(array))


def _memory_order(tensor: Any) -> list[int]:
    """The axes of a tensor, far strides first: the order in which PyTorch draws."""
    strides = tensor.stride()
    return sorted(range(tensor.ndim), key=lambda axis: -strides[axis])


def uniform_(self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Any = None,
             **named: Any) -> Any:  # fmt: skip
    """Fill with numbers spread evenly over [from, to)."""
    low = float(named.pop("from", from_))
    if low > to:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low} > to={to}"
        )
    return _into(self, lambda e, s, d: sampling.uniform(e, s, d, low, float(to)), generator)


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with normally distributed numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    flat = self.is_contiguous()
    return _into(
        self,
        lambda e, s, d: sampling_normal.normal(e, s, d, float(mean), float(std), contiguous=flat),
        generator,
    )


def random_(self: Any, from_: Any = None, to: Any = None, *, generator: Any = None,
            **named: Any) -> Any:  # fmt: skip
    """Fill with whole numbers: of the whole type, below one bound, or between two."""
    first = named.pop("from", from_)
    if first is None and to is None:
        return _into(self, sampling.random, generator)
    low, high = (0, first) if to is None and "from" not in named else (first or 0, to)
    return _into(self, lambda e, s, d: sampling.randint(e, s, int(low), high, d), generator)


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with 0 or 1, 1 with probability ``p`` (a number or a tensor)."""
    if isinstance(p, TensorBase):
        probabilities = np.broadcast_to(p.detach()._array(), self.shape)
        probabilities = probabilities.transpose(_memory_order(self))
        return _into(self, lambda e, s, d: sampling.bernoulli_each(e, probabilities, d), generator)
    return _into(self, lambda e, s, d: sampling.bernoulli(e, s, float(p), d), generator)


def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with exponentially distributed numbers of rate ``lambd``."""
    draw = sampling_distributions.exponential
    return _into(self, lambda e, s, d: draw(e, s, lambd, d), generator)


def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
    """Fill with numbers of trials up to the first success."""
    return _into(self, lambda e, s, d: sampling_distributions.geometric(e, s, p, d), generator)


def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with Cauchy distributed numbers."""
    draw = sampling_distributions.cauchy
    return _into(self, lambda e, s, d: draw(e, s, median, sigma, d), generator)


def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
    """Fill with numbers whose logarithms are normally distributed."""
    draw = sampling_distributions.log_normal
    return _into(self, lambda e, s, d: draw(e, s, d, mean, std), generator)


def _bind() -> None:
    """Make methods of Tensor from the functions that fill one."""
    filling: Sequence[Callable[..., Any]] = (
        uniform_, normal_, random_, bernoulli_, exponential_, geometric_, cauchy_, log_normal_,
        bernoulli, multinomial,
    )  # fmt: skip
    for function in filling:
        setattr(Tensor, function.__name__, function)


_bind()

"""The record of an operator: everything that is true of it, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from rushlight.engine.ir.graph import Meta, TensorBase

# Kinds: what a pass may assume of an operator.
POINTWISE, REDUCTION, VIEW, MATMUL, CONV, GATHER, RANDOM, OTHER, COMPOSITE = (
    "pointwise", "reduction", "view", "matmul", "conv", "gather", "random", "other", "composite",
)  # fmt: skip

Infer = Callable[..., "Meta | tuple[Meta, ...]"]
Kernel = Callable[..., Any]
KernelFactory = Callable[..., "Kernel | None"]


#: Kernels that backends offer, by operator; a backend may be loaded before the operators are.
backend_kernels: Final[dict[str, list[KernelFactory]]] = {}


class Spec:
    """An operator for given input metas and attributes: its results' metas and its kernel.

    Equal specs are the same object, so that a recorded operation is compared by identity; but for
    those that are ``passing``: of a view of computed memory, which no program contains.
    """

    __slots__ = (
        "_into", "_kernel", "attrs", "compute", "inputs", "node_class", "op", "out", "outs",
        "passing",
    )  # fmt: skip

    def __init__(
        self, op: Op, inputs: tuple[Meta | None, ...], attrs: tuple[Any, ...], outs: Any
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.outs: tuple[Meta, ...] = outs if isinstance(outs, tuple) else (outs,)
        self.out = self.outs[0]
        self._kernel: Kernel | None = None
        self._into: Kernel | None = None
        self.node_class: Any = None  # of the autograd nodes, set by engine.trace
        self.passing = False

    @property
    def kernel(self) -> Kernel:
        """A function from input buffers to the output buffer (a tuple of them if several)."""
        if self._kernel is None:
            for factory in self.op.backend_kernels:
                self._kernel = factory(self, *self.attrs)
                if self._kernel is not None:
                    break
            else:
                self._kernel = self.op.kernel(self, *self.attrs)
        assert self._kernel is not None
        return self._kernel

    @property
    def into(self) -> Kernel | None:
        """As ``kernel``, for one result that it writes into its first argument; or ``None``."""
        if self._into is None and self.op.into is not None:
            self._into = self.op.into(self, *self.attrs)
        return self._into

    def attr(self, name: str) -> Any:
        """The attribute called ``name``."""
        return self.attrs[self.op.attr_names.index(name)]

    def __repr__(self) -> str:
        inputs = ", ".join(map(repr, self.inputs))
        attrs = "".join(
            f", {n}={v!r}" for n, v in zip(self.op.attr_names, self.attrs, strict=True)
        )
        return f"{self.op.name}({inputs}{attrs})"


class Record:
    """What primitive and composite operators have in common: a public face and its tests."""

    def __init__(
        self,
        name: str,
        *,
        namespaces: Sequence[str] = (),
        method: bool | str = False,
        inplace: bool | str = False,
        samples: Iterable[Any] = (),
        errors: Iterable[Any] = (),
        oracle: str | None = None,
    ) -> None:
        self.name = name
        self.namespaces = tuple(namespaces)
        self.method = method
        self.inplace = inplace
        self.samples = samples
        self.errors = errors
        self.oracle = oracle

    @property
    def public_name(self) -> str:
        """The name in the public namespaces."""
        return self.name

    @property
    def method_name(self) -> str:
        """The name of the method."""
        return self.method if isinstance(self.method, str) else self.public_name


class Op(Record):
    """The record of a primitive operator.

    Args:
        schema: ``"name(Tensor input, Tensor? bias, int[] stride, bool flag=False)"``: tensors
            first, then attributes (hashable values that are part of the program's key).
            ``Tensor[]`` as the only tensor argument means any number of them.
        kind: what passes may assume of it (``POINTWISE``, ``REDUCTION``, ...).
        infer: ``infer(*input_metas, *attributes) -> Meta | tuple[Meta, ...]``; raises the user's
            error where the inputs do not fit.
        kernel: ``kernel(spec, *attributes) -> function(*arrays) -> array(s)``, on NumPy.
        into: ``into(spec, *attributes) -> function(result, *arrays)``: a kernel that writes into
            memory it is given, for a compiled program that calls it.
        grad: gradient formulas by input name, e.g. ``{"input": lambda g, other: g * other}``.
            A key ``"input, weight"`` computes several at once. Parameters are found by name:
            ``g`` (or ``g0``, ``g1``, ...) gradients of the outputs; an input's name: that input;
            ``result`` (``result1``): an output; an attribute's name; ``<input>_meta``: its Meta;
            ``needs``: which inputs want a gradient. A string instead of a formula is the name of
            the function in the error for an input that must not require gradients. ``None``: not
            differentiable.
        grad_name: the name of ``grad_fn`` without ``Backward0`` (or all of it, where PyTorch ends
            it differently: ``SumBackward1``), or a function of the spec that gives it; derived
            from the operator's name if absent.
        differentiable: how many of the leading outputs carry gradients (all by default).
        fills_missing: a formula gets zeros for an output without a gradient (else ``None``).
        offset: how many elements after its input's first one a view begins, from the input's Meta
            and the attributes; ``None``: at the same place.
        weights: convolutions over (N, C, ...): numbers of the inputs that are weights, none where
            the result is their gradient.
        may_fail: the kernel can find an error in the data, so the user's line is remembered.
        scalar: pointwise operators: one element of the result, as the compiler takes it, from
            expressions (``ir/scalar.py``) of the inputs' elements, converted to ``compute``, and
            the attributes.
        compute: ``compute(metas, attributes)`` gives the type ``scalar`` gets its operands in;
            ``None`` for an operand's own type.
        element: any operator whose elements can be looked up: ``element(load, index, spec,
            *attributes) -> expression`` (a tuple for several outputs). ``index`` has a component
            for each axis of the output (a loop, a number or an int64 expression);
            ``load(k, index)`` is an element of input ``k``.
        reduce: reductions over the attribute ``dims`` (all axes without it): a ``Reduction``.
        scatter: ``scatter(load, index, spec, *attributes) -> (index in the output, expression)``:
            what is added to zeros for every ``index`` of the input number ``scatter.domain``.
        loops: the whole operator as a loop kernel: ``loops(spec, strides, *attributes) -> Kernel``
            whose buffers are the inputs that are there, with these strides, then the outputs;
            ``None`` as a result: the interpreter's kernel is better.
        decompose: ``decompose(build, *values, *attributes) -> value(s)``: the operator written
            with others, for the compiler. ``build(name, *values, **attributes)`` applies an
            operator to values (and numbers); ``value.meta`` is what is known of one. ``None``
            as a result: not for these inputs.
        check: for a compiled operator whose kernel ``may_fail``: the numbers of the inputs that
            decide it and ``check(spec, *attributes) -> function(*those arrays)``, which raises
            what the kernel would raise (``None`` for a missing input; ``None`` instead of a
            function: it cannot fail with these types). It is called before a compiled program
            touches anything, so these inputs must come from outside; else the operator stays with
            its kernel.
    """

    registry: Final[dict[str, Op]] = {}

    def __init__(
        self,
        schema: str,
        *,
        kind: str,
        infer: Infer,
        kernel: KernelFactory,
        into: Callable[..., Any] | None = None,
        grad: Mapping[str, Callable[..., Any] | str] | None = None,
        grad_name: str | Callable[[Spec], str] | None = None,
        differentiable: int | None = None,
        fills_missing: bool = True,
        offset: Callable[..., int] | None = None,
        weights: tuple[int, ...] | None = None,
        may_fail: bool = False,
        scalar: Callable[..., Any] | None = None,
        compute: Callable[..., Any] | None = None,
        element: Callable[..., Any] | None = None,
        reduce: Any = None,
        scatter: Callable[..., Any] | None = None,
        loops: Callable[..., Any] | None = None,
        decompose: Callable[..., Any] | None = None,
        check: tuple[tuple[int, ...], Callable[..., Callable[..., None] | None]] | None = None,
        doc: str = "",
        public: str | None = None,
        **face: Any,
    ) -> None:
        name, self.input_names, self.variadic, attributes = _parse(schema)
        super().__init__(name, **face)
        self.schema = schema
        self.attr_names = tuple(a for a, _ in attributes)
        self.attr_defaults = dict(a for a in attributes if a[1] is not _REQUIRED)
        self.kind = kind
        self.infer = infer
        self.kernel, self.into = kernel, into
        self.backend_kernels = backend_kernels.setdefault(name, [])
        self.grad = grad
        self.grad_name = grad_name or "".join(p.capitalize() for p in name.strip("_").split("_"))
        self.differentiable = differentiable
        self.fills_missing = fills_missing and differentiable != 1
        self.offset = offset
        self.weights = weights
        self.may_fail = may_fail
        self.scalar = scalar
        self.compute = compute
        self.element = element
        self.reduce = reduce
        self.scatter = scatter
        self.loops = loops
        self.decompose = decompose
        self.check = check
        self.doc = doc
        self.public = public
        self.specs: dict[Any, Spec] = {}
        self.plans: dict[Any, Any] = {}
        self.node_classes: dict[str, Any] = {}
        self._fixed: dict[tuple[Any, ...], Callable[..., Any]] = {}
        if name in self.registry:
            raise ValueError(f"operator {name!r} is recorded twice")
        self.registry[name] = self

    @property
    def public_name(self) -> str:
        return self.public or self.name

    def specialize(self, inputs: tuple[Meta | None, ...], attrs: tuple[Any, ...] = ()) -> Spec:
        """The spec for these inputs, made on first use; raises what ``infer`` raises."""
        if len(self.specs) > MAX_SPECS:
            self.specs.clear()
        spec = Spec(self, inputs, attrs, self.infer(*inputs, *attrs))
        self.specs[inputs, attrs] = spec
        return spec

    def pass_by(self, inputs: tuple[Meta | None, ...], attrs: tuple[Any, ...]) -> Spec:
        """As ``specialize``, but not remembered where there are many already.

        A data set that is indexed sample by sample has a view for every sample.
        """
        if len(self.specs) < FEW_SPECS:
            return self.specialize(inputs, attrs)
        spec = Spec(self, inputs, attrs, self.infer(*inputs, *attrs))
        spec.passing = True
        return spec

    def settle(self, spec: Spec) -> Spec:
        """The one spec that is equal to a passing one, from now on remembered."""
        if len(self.specs) > MAX_SPECS:
            self.specs.clear()
        found = self.specs.setdefault((spec.inputs, spec.attrs), spec)
        found.passing = False
        return found

    def pack(self, attrs: dict[str, Any]) -> tuple[Any, ...]:
        """Attributes given by name as the tuple that stands in the key."""
        if len(attrs) < len(self.attr_names):
            attrs = {**self.attr_defaults, **attrs}
        try:
            return tuple([attrs[name] for name in self.attr_names])
        except KeyError as error:
            raise TypeError(f"{self.name}: missing attribute {error}") from None

    def __call__(self, *inputs: TensorBase | Any, **attrs: Any) -> Any:
        """Record the operation on tensors (or Python numbers), attributes by name."""
        return hooks.record(self, inputs, self.pack(attrs) if self.attr_names else ())

    @cached_property
    def quick(self) -> Callable[..., Any]:
        """The first output for up to three tensors and no attributes, at an operator's cost."""
        return hooks.prepare(self, ())

    def fixed(self, *attrs: Any) -> Callable[..., Any]:
        """As ``quick``, for these attributes (each always of one type)."""
        found = self._fixed.get(attrs)
        if found is None:
            found = self._fixed[attrs] = hooks.prepare(self, attrs)
        return found

    def sure(self, *attrs: Any) -> Callable[..., Any]:
        """As ``fixed``, for data that has been looked at: no line is noted for an error."""
        found = self._fixed.get((self, attrs))
        if found is None:
            found = self._fixed[self, attrs] = hooks.prepare(self, attrs, True)
        return found

    def __repr__(self) -> str:
        return f"<Op {self.name}>"


#: Specs kept per operator before its table starts anew (shapes that keep changing).
MAX_SPECS = 4096

#: Specs of a view operator from which on views of computed memory are not remembered.
FEW_SPECS = 512


class Composite(Record):
    """The record of an operator written with other operators: no gradient, no kernel."""

    registry: Final[dict[str, Composite]] = {}

    def __init__(self, name: str, function: Callable[..., Any], **face: Any) -> None:
        super().__init__(name, **face)
        self.function = function
        self.doc = function.__doc__ or ""
        key = f"{self.namespaces[0] if self.namespaces else 'method'}.{name}"
        if key in self.registry:
            raise ValueError(f"composite {key!r} is recorded twice")
        self.registry[key] = self


def function_of(name: str) -> Callable[..., Any]:
    """The function of the composite ``namespace.name``, which may be recorded after its caller."""
    return Composite.registry[name].function


def composite(
    *,
    name: str | None = None,
    namespaces: Sequence[str] = ("torch",),
    method: bool | str = False,
    inplace: bool | str = False,
    samples: Iterable[Any] = (),
    errors: Iterable[Any] = (),
    oracle: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record a function over tensors as an operator of the public namespaces.

    Args:
        name: the public name, the function's own by default.
        namespaces: where it is found: ``"torch"``, ``"nn.functional"``, ``"linalg"``, ...
        method: also a method of Tensor (a string names it differently).
        inplace: also has a form ``name_`` that writes into its first argument (``"torch"``: as
            a function of that namespace too).
        samples: calls for the generated tests, see ``rushlight.engine.ir.samples``.
        errors: calls that must raise.
        oracle: the dotted name under ``torch`` to compare with, if not the first namespace's.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        Composite(
            name or function.__name__,
            function,
            namespaces=namespaces,
            method=method,
            inplace=inplace,
            samples=samples,
            errors=errors,
            oracle=oracle,
        )
        return function

    return register


class _Hooks:
    """How operators reach the recorder above them; filled in by ``engine.trace``."""

    __slots__ = ("become", "constant", "memory", "prepare", "record", "views", "wrap", "write")

    record: Callable[[Op, Sequence[Any], tuple[Any, ...]], Any]
    prepare: Callable[..., Callable[..., Any]]
    constant: Callable[[Any], TensorBase]
    #: (view operator, tensor, its attributes): the tensor itself becomes that view
    become: Callable[[Op, Any, tuple[Any, ...]], Any]
    #: (tensor, offset, span) -> the tensor whose memory holds that part of the storage, and the
    #: offset in it
    memory: Callable[[Any, int, int], tuple[Any, int]]
    #: (view operator, tensor, attributes of each part, operator of their common node, its
    #: attributes) -> several views of one tensor that share a node of the autograd graph
    views: Callable[[Op, Any, Sequence[tuple[Any, ...]], Op, tuple[Any, ...]], tuple[Any, ...]]
    wrap: Callable[..., Any]
    write: Callable[[Any, Any, str], Any]


hooks = _Hooks()


def constant(array: Any) -> Any:
    """A tensor that owns the NumPy array ``array`` (for operators that need a table)."""
    return hooks.constant(array)


def write(tensor: Any, source: Any, name: str) -> Any:
    """Put what ``source`` holds into ``tensor``, in place, for the method called ``name``."""
    return hooks.write(tensor, source, name)


_REQUIRED: Final = object()


def _parse(schema: str) -> tuple[str, tuple[str, ...], bool, list[tuple[str, Any]]]:
    """Name, tensor inputs, whether they are a list, and attributes with defaults."""
    name, _, rest = schema.partition("(")
    body = rest[: rest.rindex(")")].strip()
    inputs: list[str] = []
    attributes: list[tuple[str, Any]] = []
    variadic = False
    for part in _split(body):
        kind, _, declared = part.strip().partition(" ")
        declared, equals, default = declared.partition("=")
        if kind in ("Tensor", "Tensor?", "Tensor[]"):
            inputs.append(declared)
            variadic = variadic or kind == "Tensor[]"
        else:
            value = _LITERALS.get(default, default)
            attributes.append((declared, value if equals else _REQUIRED))
    return name.strip(), tuple(inputs), variadic, attributes


def _split(body: str) -> list[str]:
    return [part for part in body.split(", ") if part]


_LITERALS: Final[dict[str, Any]] = {
    "None": None, "True": True, "False": False, "()": (), "0": 0, "1": 1, "-1": -1, "2": 2,
    "0.0": 0.0, "1.0": 1.0,
}  # fmt: skip


def register_kernel(*names: str) -> Callable[[KernelFactory], KernelFactory]:
    """Let a backend offer a faster kernel: ``factory(spec, *attributes)``, ``None`` to decline."""

    def register(factory: KernelFactory) -> KernelFactory:
        for name in names:
            backend_kernels.setdefault(name, []).insert(0, factory)
        return factory

    return register

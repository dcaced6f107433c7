"""PyTorch's faces of the contractions: ``einsum``, ``tensordot``, ``outer`` and their like."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite, hooks
from rushlight.engine.ir.samples import S, t, ti
from rushlight.engine.ops.einsum import contract, contracted, summed_away
from rushlight.engine.ops.matmul import matmul_nt
from rushlight.engine.ops.matmul_functions import mm, require_tensor

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

# reading an equation ---------------------------------------------------------------------------


def _check_letters(equation: str, arrow: int) -> None:
    for place, letter in enumerate(equation):
        if letter not in _LETTERS and letter not in ",. " and not arrow <= place < arrow + 2:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {place} in the equation string, "
                "subscripts must be in [a-zA-Z]"
            )


def _split_ellipsis(term: str) -> tuple[str, bool, str]:
    before, dots, after = term.partition("...")
    if "." in before or "." in after:
        raise RuntimeError("einsum(): found '.' for operand that is not part of any ellipsis")
    return before, bool(dots), after


def _expand_term(term: str, number: int, ndim: int, extra: str) -> str:
    """The labels of one operand, the dots replaced by labels from ``extra``."""
    before, dots, after = _split_ellipsis(term)
    count = ndim - len(before) - len(after)
    if count < 0 or (count and not dots):
        hint = "" if dots else " and no ellipsis was given"
        than = "more than" if dots else "does not match"
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) "
            f"{than} the number of dimensions ({ndim}) for operand {number}{hint}"
        )
    return before + (extra[len(extra) - count :] if count else "") + after


def _labels(equation: str, operands: list[Any]) -> tuple[list[str], str]:
    """The labels of every operand's axes and of the result's."""
    arrow = equation.find("->")
    _check_letters(equation, arrow if arrow >= 0 else len(equation))
    left, found, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        amount = "fewer" if len(terms) > len(operands) else "more"
        raise RuntimeError(
            f"einsum(): {amount} operands were provided than specified in the equation"
        )
    spare = "".join([chr(0x100 + i) for i in range(64)])  # labels nobody can write
    widths = [
        op.ndim - len(term.replace(".", "")) if "..." in term else 0
        for term, op in zip(terms, operands, strict=True)
    ]
    extra = spare[: max(0, *widths)]
    expanded = [
        _expand_term(term, number, op.ndim, extra)
        for number, (term, op) in enumerate(zip(terms, operands, strict=True))
    ]
    if found:
        before, dots, after = _split_ellipsis(right)
        out = before + (extra if dots else "") + after
    else:
        letters = sorted(left.replace(",", "").replace(".", ""))
        out = extra + "".join([c for c in letters if letters.count(c) == 1])
    _check_output(out, expanded)
    return expanded, out


def _check_output(out: str, expanded: list[str]) -> None:
    for letter in out:
        if out.count(letter) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {letter} appears more than once in the output"
            )
        if not any(letter in labels for labels in expanded) and letter in _LETTERS:
            raise RuntimeError(
                f"einsum(): output subscript {letter} does not appear in the equation for any "
                "input operand"
            )


def _take_diagonals(x: Any, labels: str, number: int) -> tuple[Any, str]:
    """An operand without repeated labels: ``ii`` takes the diagonal."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand {number} but the sizes "
                    f"don't match, {x.shape[second]} != {x.shape[first]}"
                )
            x = x.diagonal(0, first, second).movedim(-1, first)
            labels = labels[:second] + labels[second + 1 :]
    return x, labels


def _drop_broadcast(operands: list[Any], terms: list[str]) -> dict[str, int]:
    """Leave out axes of size 1 that broadcast; the size of every label."""
    sizes: dict[str, int] = {}
    for number, (x, labels) in enumerate(zip(operands, terms, strict=True)):
        for label, size in zip(labels, x.shape, strict=True):
            have = sizes.get(label, 1)
            if have != 1 and size not in (1, have):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {size} for operand {number} which does "
                    f"not broadcast with previously seen size {have}"
                )
            sizes[label] = size if have == 1 else have
    for number, labels in enumerate(terms):
        x = operands[number]
        broadcast = [c for c, n in zip(labels, x.shape, strict=True) if n == 1 != sizes[c]]
        if broadcast:
            operands[number], terms[number] = summed_away(
                x, labels, "".join([c for c in labels if c not in broadcast])
            )
    return sizes


def _sublists(arguments: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """The form ``einsum(x, [0, 1], y, [1, 2], [0, 2])`` as an equation."""
    operands = list(arguments[0 : len(arguments) - len(arguments) % 2 : 2])
    lists = list(arguments[1::2])
    terms = ["".join(["..." if i is Ellipsis else _LETTERS[i] for i in part]) for part in lists]
    equation = ",".join(terms)
    if len(arguments) % 2:
        last = arguments[-1]
        equation += "->" + "".join(["..." if i is Ellipsis else _LETTERS[i] for i in last])
    return equation, operands


_EINSUM = (
    S("ij,jk->ik", t(2, 3), t(3, 4)), S("ij,jk", t(2, 3), t(3, 4)), S("ij->ji", t(2, 3)),
    S("ij->", t(2, 3)), S("ii->i", t(3, 3)), S("ii", t(3, 3)), S("i,j->ij", t(2), t(3)),
    S("bij,bjk->bik", t(2, 3, 4), t(2, 4, 2)), S("...ij,...jk->...ik", t(2, 3, 4), t(4, 2)),
    S("bhqd,bhkd->bhqk", t(2, 2, 3, 4), t(2, 2, 5, 4)), S("ij,ij->i", t(2, 3), t(2, 3)),
    S("ij,jk,kl->il", t(2, 3), t(3, 4), t(4, 2)), S("bn,anm,bm->ba", t(2, 3), t(4, 3, 5), t(2, 5)),
    S("i,i->", t(3), t(3)), S("ij,j->i", t(1, 3), t(3)), S("ij,kj->ik", t(2, 1), t(3, 4)),
    S(t(2, 3), [0, 1], t(3, 4), [1, 2], [0, 2]), S("i...->...", t(2, 3, 4)), S("ij", [t(2, 3)]),
)  # fmt: skip


@composite(samples=_EINSUM)
def einsum(*args: Any) -> Any:
    """Products of tensors summed over axes, in Einstein's notation.

    Args:
        args: an equation such as ``"ij,jk->ik"`` and the operands (or a list of them), or operands
            and lists of axis numbers in turn, the result's list last.

    Returns:
        A tensor whose axes are the labels behind the arrow (those that occur once, in alphabetical
        order, where there is no arrow).

    See https://pytorch.org/docs/stable/generated/torch.einsum.html.

    >>> import rushlight as torch
    >>> torch.einsum("ij,j->i", torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one "
            "operand and its subscripts list"
        )
    if isinstance(args[0], TensorBase):
        equation, operands = _sublists(args)
    else:
        equation = args[0]
        several = isinstance(args[1], (list, tuple))
        operands = list(args[1]) if several else list(args[1:])
    for number, operand in enumerate(operands):
        require_tensor(operand, "einsum", "operands", number + 2)
    key = (equation, *[operand.shape for operand in operands])
    known = _pairs.get(key)
    if known is not None:
        return hooks.record(contract, operands, known)
    terms, out = _labels(equation, operands)
    if _is_pair(operands, terms, out):
        if len(_pairs) > MAX_PAIRS:
            _pairs.clear()
        _pairs[key] = (terms[0], terms[1], out)
    for number, labels in enumerate(terms):
        operands[number], terms[number] = _take_diagonals(operands[number], labels, number)
    _drop_broadcast(operands, terms)
    return _multiply_all(operands, terms, out)


#: Equations that are one contraction as they stand, by equation and shapes.
_pairs: dict[Any, tuple[str, str, str]] = {}

#: Equations remembered before the table starts anew.
MAX_PAIRS = 1024


def _is_pair(operands: list[Any], terms: list[str], out: str) -> bool:
    """Whether nothing is to be done before and after one contraction of two operands."""
    if len(terms) != 2:
        return False
    sizes: dict[str, int] = {}
    for x, labels, other in zip(operands, terms, reversed(terms), strict=True):
        for label, size in zip(labels, x.shape, strict=True):
            if labels.count(label) > 1 or sizes.setdefault(label, size) != size:
                return False
            if label not in other and label not in out:
                return False
    return True


def _multiply_all(operands: list[Any], terms: list[str], out: str) -> Any:
    """All operands multiplied from left to right, labels summed as soon as nobody needs them."""
    made, labels = operands[0], terms[0]
    for number in range(1, len(operands)):
        needed = out + "".join(terms[number + 1 :])
        both = labels + "".join([c for c in terms[number] if c not in labels])
        kept = "".join([c for c in both if c in needed])
        made = contracted(made, operands[number], labels, terms[number], kept)
        labels = kept
    whole = labels
    made, labels = summed_away(made, labels, out)
    if labels == out and (len(operands) > 1 or whole != out):
        return made
    return made.permute([labels.index(label) for label in out])


# named products --------------------------------------------------------------------------------


def _dims_of(dims: Any, ndim: int, ndim2: int) -> tuple[list[int], list[int]]:
    if isinstance(dims, TensorBase):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(ndim, ndim2):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        return list(range(ndim - dims, ndim)), list(range(dims))
    first, second = dims
    first = [first] if isinstance(first, int) else list(first)
    second = [second] if isinstance(second, int) else list(second)
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    return [normalize_dim(d, ndim) for d in first], [normalize_dim(d, ndim2) for d in second]


@composite(
    samples=(S(t(2, 3), t(3, 4), 1), S(t(2, 3, 4), t(3, 4, 5), 2), S(t(2, 3), t(4, 2), ([0], [1])),
             S(t(2), t(3), 0), S(t(2, 3), t(2, 3), dims=2), S(t(3, 4), t(3, 4))),
)  # fmt: skip
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """The product of two tensors summed over pairs of axes.

    Args:
        a: any shape.
        b: any shape.
        dims: a number n (the last n axes of ``a`` with the first n of ``b``), or two lists of axes.

    Returns:
        The other axes of ``a``, then those of ``b``.

    See https://pytorch.org/docs/stable/generated/torch.tensordot.html.

    >>> import rushlight as torch
    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), dims=1).shape
    torch.Size([2, 4])
    """
    require_tensor(a, "tensordot", "a", 1)
    require_tensor(b, "tensordot", "b", 2)
    first, second = _dims_of(dims, a.ndim, b.ndim)
    for d, d2 in zip(first, second, strict=True):
        if a.shape[d] != b.shape[d2]:
            shown = d - a.ndim if isinstance(dims, int) else d
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[d]} in dim "
                f"{shown} and second has size {b.shape[d2]} in dim {d2}"
            )
    labels = _LETTERS[: a.ndim]
    rest = iter(_LETTERS[a.ndim :])
    labels2 = "".join([labels[first[second.index(d)]] if d in second else next(rest)
                       for d in range(b.ndim)])  # fmt: skip
    summed = {labels[d] for d in first}
    out = "".join([c for c in labels + labels2 if c not in summed])
    return contracted(a, b, labels, labels2, out)


def _outer(input: Any, vec2: Any, name: str, second: str) -> Any:
    require_tensor(input, name, "input", 1)
    require_tensor(vec2, name, second, 2)
    for argument, x in (("self", input), (second, vec2)):
        if x.ndim != 1:
            raise RuntimeError(f"{name}: Expected 1-D argument {argument}, but got {x.ndim}-D")
    return input.reshape((-1, 1)) * vec2


_OUTER = (S(t(3), t(4)), S(ti(2), ti(3)), S(t(0), t(2)))


@composite(method=True, samples=_OUTER)
def outer(input: Any, vec2: Any) -> Any:
    """All products of an element of ``input`` (n) and one of ``vec2`` (m): (n, m).

    >>> import rushlight as torch
    >>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    return _outer(input, vec2, "outer", "vec2")


@composite(method=True, samples=_OUTER)
def ger(input: Any, vec2: Any) -> Any:
    """Another name of :func:`outer`.

    >>> import rushlight as torch
    >>> torch.ger(torch.tensor([1, 2]), torch.tensor([3]))
    tensor([[3],
            [6]])
    """
    return _outer(input, vec2, "outer", "vec2")


@composite(
    method=True,
    samples=(S(t(3), t(3)), S(t(2, 3), t(3)), S(t(2, 3), t(4, 3)), S(t(), t(3)),
             S(t(2, 2, 3), t(4, 5, 3))),
)  # fmt: skip
def inner(input: Any, other: Any) -> Any:
    """Dot products along the last axes: (..., k) with (..., k).

    >>> import rushlight as torch
    >>> torch.inner(torch.tensor([1, 2, 3]), torch.tensor([0, 2, 1]))
    tensor(7)
    """
    require_tensor(input, "inner", "input", 1)
    require_tensor(other, "inner", "other", 2)
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    rows = other.reshape((prod(other.shape[:-1]), other.shape[-1]))
    return matmul_nt(input, rows).reshape((*input.shape[:-1], *other.shape[:-1]))


@composite(method=True, samples=(S(t(2, 3), t(2, 2)), S(t(2), t(2, 3)), S(t(2, 2, 2), t(3)),
                                 S(ti(2, 2), ti(2, 2))))  # fmt: skip
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: every element of ``input`` times the whole of ``other``.

    >>> import rushlight as torch
    >>> torch.kron(torch.tensor([1, 2]), torch.tensor([1, 10]))
    tensor([ 1, 10,  2, 20])
    """
    require_tensor(input, "kron", "input", 1)
    require_tensor(other, "kron", "other", 2)
    ndim = max(input.ndim, other.ndim)
    first = (1,) * (ndim - input.ndim) + tuple(input.shape)
    second = (1,) * (ndim - other.ndim) + tuple(other.shape)
    spread = input.reshape([n for size in first for n in (size, 1)])
    repeated = other.reshape([n for size in second for n in (1, size)])
    return (spread * repeated).reshape([n * m for n, m in zip(first, second, strict=True)])


# chains ----------------------------------------------------------------------------------------


def _best_splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to cut the chain of matrices sizes[i] x sizes[i + 1] so that least is multiplied.

    Source: Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, matrix-chain order.
    """
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(2, count + 1):
        for start in range(count - length + 1):
            end = start + length - 1
            outer = sizes[start] * sizes[end + 1]
            options = [
                (cost[start, k] + cost[k + 1, end] + outer * sizes[k + 1], k)
                for k in range(start, end)
            ]
            cost[start, end], cut[start, end] = min(options)
    return cut


def multiply_chain(matrices: list[Any]) -> Any:
    """The product of matrices, in the order that takes the fewest multiplications."""
    sizes = [matrices[0].shape[0], *[m.shape[1] for m in matrices]]
    cut = _best_splits(sizes)

    def part(start: int, end: int) -> Any:
        if start == end:
            return matrices[start]
        k = cut[start, end]
        return mm(part(start, k), part(k + 1, end))

    return part(0, len(matrices) - 1) if len(matrices) > 1 else matrices[0].clone()


@composite(samples=(S(t(2, 3), t(3, 4), t(4, 2)), S(t(2, 3))))
def chain_matmul(*matrices: Any) -> Any:
    """The product of matrices, in the order that takes the fewest multiplications.

    >>> import rushlight as torch
    >>> torch.chain_matmul(torch.ones(2, 3), torch.ones(3, 4), torch.ones(4, 1)).shape
    torch.Size([2, 1])
    """
    for number, matrix in enumerate(matrices):
        require_tensor(matrix, "chain_matmul", "matrices", number + 1)
        if matrix.ndim != 2:
            raise RuntimeError(f"Tensor #{number} expected to be 2D, but got {matrix.ndim}D tensor")
    return multiply_chain(list(matrices))


@composite(
    namespaces=("linalg",),
    samples=(S([t(2, 3), t(3, 4), t(4, 2)]), S([t(3), t(3, 4)]), S([t(2, 3), t(3)]),
             S([t(3), t(3, 3), t(3)])),
)  # fmt: skip
def multi_dot(tensors: Any) -> Any:
    """The product of matrices, the first and the last of which may be vectors.

    See https://pytorch.org/docs/stable/generated/torch.linalg.multi_dot.html.

    >>> import rushlight as torch
    >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)])
    tensor([12., 12.])
    """
    listed = list(tensors)
    if len(listed) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(listed)}")
    first, last = listed[0].ndim == 1, listed[-1].ndim == 1
    if first:
        listed[0] = listed[0].reshape((1, -1))
    if last:
        listed[-1] = listed[-1].reshape((-1, 1))
    for number, matrix in enumerate(listed):
        if matrix.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {number} must be 2D but got {matrix.ndim}D")
    made = multiply_chain(listed)
    if first and last:
        return made.reshape(())
    return made.reshape((-1,)) if first or last else made

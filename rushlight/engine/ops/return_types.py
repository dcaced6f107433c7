"""Named tuples that operators with several results return, as ``torch.return_types`` has them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _repr(self: Any) -> str:
    name = type(self).__name__
    fields = ",\n".join(f"{field}={getattr(self, field)!r}" for field in self._fields)
    return f"torch.return_types.{name}(\n{fields})"


def _make(name: str, fields: str) -> type:
    base = namedtuple(name, fields)  # type: ignore[misc]
    return type(
        name,
        (base,),
        {"__slots__": (), "__repr__": _repr, "__module__": "torch.return_types"},
    )


max = _make("max", "values indices")
min = _make("min", "values indices")
median = _make("median", "values indices")
nanmedian = _make("nanmedian", "values indices")
mode = _make("mode", "values indices")
sort = _make("sort", "values indices")
topk = _make("topk", "values indices")
kthvalue = _make("kthvalue", "values indices")
cummax = _make("cummax", "values indices")
cummin = _make("cummin", "values indices")
frexp = _make("frexp", "mantissa exponent")
aminmax = _make("aminmax", "min max")
histogram = _make("histogram", "hist bin_edges")
histogramdd = _make("histogramdd", "hist bin_edges")
qr = _make("qr", "Q R")
svd = _make("svd", "U S V")
slogdet = _make("slogdet", "sign logabsdet")
triangular_solve = _make("triangular_solve", "solution cloned_coefficient")
lu_unpack = _make("lu_unpack", "P L U")
linalg_qr = _make("linalg_qr", "Q R")
linalg_svd = _make("linalg_svd", "U S Vh")
linalg_slogdet = _make("linalg_slogdet", "sign logabsdet")
linalg_eig = _make("linalg_eig", "eigenvalues eigenvectors")
linalg_eigh = _make("linalg_eigh", "eigenvalues eigenvectors")
linalg_lstsq = _make("linalg_lstsq", "solution residuals rank singular_values")
linalg_lu = _make("linalg_lu", "P L U")
linalg_lu_factor = _make("linalg_lu_factor", "LU pivots")
linalg_lu_factor_ex = _make("linalg_lu_factor_ex", "LU pivots info")
linalg_inv_ex = _make("linalg_inv_ex", "inverse info")
linalg_solve_ex = _make("linalg_solve_ex", "result info")
linalg_cholesky_ex = _make("linalg_cholesky_ex", "L info")

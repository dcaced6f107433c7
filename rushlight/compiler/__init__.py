"""``torch.compile`` and what belongs to it: ``torch.compiler``."""

from rushlight.compiler.api import (
    OptimizedModule as OptimizedModule,
    allow_in_graph as allow_in_graph,
    assume_constant_result as assume_constant_result,
    compile as compile,
    cudagraph_mark_step_begin as cudagraph_mark_step_begin,
    disable as disable,
    is_compiling as is_compiling,
    is_dynamo_compiling as is_dynamo_compiling,
    is_exporting as is_exporting,
    list_backends as list_backends,
    reset as reset,
)
from rushlight.compiler.function import CompiledFunction as CompiledFunction

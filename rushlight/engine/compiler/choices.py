"""Every threshold of the compiler, with what was measured for it."""

from __future__ import annotations

from typing import Final

#: Scalar operations up to which a value is computed anew by each kernel that reads it.
CHEAP: Final = 2

#: Scalar operations after which a value is stored, to bound the size of a kernel.
LONGEST: Final = 60

#: What a function like exp counts, in scalar operations.
DEAR: Final = 12

#: Kernels looked at, newest first, for one that a value can join.
LOOK_BACK: Final = 24

#: Values computed in one kernel.
MEMBERS: Final = 24

#: The run of a program at which its compilation begins on another thread, and the run from which
#: on it runs compiled (it is waited for then). Counts, never the clock: what runs compiled is the
#: same in every run with one seed.
BEGIN_AT: Final = 3
USE_FROM: Final = 6

#: Runs of other programs after which a program that comes back has not come back often enough: the
#: last, smaller batch of an epoch stays in the interpreter.
WINDOW: Final = 256

#: Programs that differ in sizes alone and are compiled each for its sizes: the batches of an epoch
#: and its last, smaller one. Further ones share their code, which takes sizes when it runs: one of
#: 30 operations is ready in 10 ms instead of 130.
OWN_SIZES: Final = 2

#: Recorded operations that a program must have to be compiled: a shorter one has nothing to fuse.
LEAST_NODES: Final = 3

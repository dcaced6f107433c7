"""Running a program as several processes: torchrun's command line.

``rushlight launch``, ``python -m rushlight.distributed.run`` and, under ``rushlight run``,
``-m torch.distributed.run`` all come here.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from rushlight.distributed._launcher import DEFAULT_PORT, LIFE, Launch, Settings
from rushlight.engine.backends.cpu.threads import cores

_DESCRIPTION = """\
Run a program as several processes. Every rank runs it as "rushlight run" does. The ranks of one
node find each other without any setting; on several nodes run the same command on each, with
--nnodes, --node-rank and --master-addr. A rank that goes wrong ends all others.
"""


def _option(parser: argparse.ArgumentParser, name: str, **settings: object) -> None:
    """Add an option that may be written with dashes and with underscores."""
    names = dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}"))
    parser.add_argument(*names, **settings)  # type: ignore[arg-type]


def make_parser(program: str = "rushlight launch") -> argparse.ArgumentParser:
    """The parser of torchrun's options, and of one of ours: ``--debug-rank``."""
    parser = argparse.ArgumentParser(
        prog=program, description=_DESCRIPTION, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _option(parser, "nproc-per-node", default="1", metavar="N",
            help="ranks on this node: a number, or cpu, auto: one for each core")  # fmt: skip
    _option(parser, "nnodes", default="1", metavar="N", help="nodes: how many machines")
    _option(parser, "node-rank", type=int, default=None, metavar="K", help="which node this is")
    _option(parser, "master-addr", default=None, metavar="HOST", help="address of node 0")
    _option(parser, "master-port", type=int, default=None, metavar="PORT",
            help="port on node 0; on one node any free port is taken")  # fmt: skip
    parser.add_argument("--standalone", action="store_true", help="one node, any free port")
    _option(parser, "rdzv-endpoint", default="", metavar="HOST:PORT", help="as --master-addr")
    _option(parser, "rdzv-backend", default="static", help="static or c10d: both mean the same")
    _option(parser, "rdzv-id", default="none", help="the name of the run")
    _option(parser, "rdzv-conf", default="", help="accepted for torchrun's sake")
    _option(parser, "max-restarts", type=int, default=0, metavar="N",
            help="start all ranks again so many times")  # fmt: skip
    _option(parser, "monitor-interval", type=float, default=0.1,
            help="accepted for torchrun's sake: ends are seen at once")  # fmt: skip
    _option(parser, "start-method", default="spawn", help="accepted for torchrun's sake")
    parser.add_argument("--role", default="default", help="the value of ROLE_NAME")
    parser.add_argument("-m", "--module", action="store_true", help="the program is a module")
    _option(parser, "no-python", action="store_true", help="the program is no Python program")
    _option(parser, "run-path", action="store_true", help="accepted for torchrun's sake")
    _option(parser, "log-dir", default=None, metavar="FOLDER", help="where log files go")
    parser.add_argument("-r", "--redirects", default="0", metavar="WHAT",
                        help="streams that go to files: 1 stdout, 2 stderr, 3 both; or 0:3,1:1 "
                        "for some local ranks")  # fmt: skip
    parser.add_argument("-t", "--tee", default="0", metavar="WHAT", help="to files and here")
    _option(parser, "local-ranks-filter", default="", metavar="RANKS",
            help="show the output of these local ranks only, such as 0,2")  # fmt: skip
    _option(parser, "local-addr", default=None, help="accepted for torchrun's sake")
    _option(parser, "debug-rank", type=int, default=None, metavar="K",
            help="run this local rank in the debugger, with the terminal")  # fmt: skip
    parser.add_argument("training_script", metavar="script", help="the program")
    parser.add_argument("training_script_args", metavar="arguments", nargs=argparse.REMAINDER)
    return parser


def _ranks_per_node(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    if text in ("cpu", "auto"):
        return cores()
    if text == "gpu":
        raise ValueError("Cuda is not available.")
    raise ValueError(f"Unsupported nproc_per_node value: {text}")


def _streams(text: str, ranks: int) -> dict[int, int]:
    """Which streams of which local rank: ``3``, or ``0:3,1:1``."""
    if text.isdigit():
        found = dict.fromkeys(range(ranks), int(text))
    else:
        pairs = [part.partition(":")[::2] for part in text.split(",")]
        found = {int(rank): int(streams) for rank, streams in pairs}
    if any(not 0 <= streams <= 3 for streams in found.values()):
        raise ValueError(f"{text}: streams are 0, 1 (stdout), 2 (stderr) or 3 (both)")
    return found


def _meeting_point(chosen: argparse.Namespace, nodes: int) -> tuple[str, int, int]:
    """Address, port and number of this node."""
    host, port = chosen.master_addr, chosen.master_port
    if chosen.rdzv_endpoint and not chosen.standalone:
        given, _, given_port = chosen.rdzv_endpoint.partition(":")
        host = host or given
        port = port if port is not None else int(given_port or DEFAULT_PORT)
    if nodes == 1 or chosen.standalone:
        return "127.0.0.1", 0 if port is None or chosen.standalone else port, 0
    if chosen.node_rank is None or not host:
        raise ValueError(
            "several nodes need --node-rank and --master-addr on each of them: "
            "--nnodes 2 --node-rank 0 --master-addr HOST_OF_NODE_0"
        )
    return host, DEFAULT_PORT if port is None else port, chosen.node_rank


def settings_of(chosen: argparse.Namespace) -> Settings:
    """What the options mean.

    Raises:
        ValueError: they contradict each other, or ask for what there is not.
    """
    least, _, most = str(chosen.nnodes).partition(":")
    if most and most != least:
        raise ValueError(
            f"--nnodes {chosen.nnodes}: the number of nodes cannot change while a program runs\n"
            "Give one number, and save checkpoints to go on with another."
        )
    nodes, ranks = int(least), _ranks_per_node(chosen.nproc_per_node)
    if nodes < 1:
        raise ValueError("--nnodes must be at least 1")
    host, port, node = _meeting_point(chosen, nodes)
    if not 0 <= node < nodes:
        raise ValueError(f"--node-rank {node} is not in the range of 0 to {nodes - 1}")
    debugged = chosen.debug_rank
    if debugged is not None and not 0 <= debugged < ranks:
        raise ValueError(f"--debug-rank {debugged} is not in the range of 0 to {ranks - 1}")
    redirects, tee = _streams(chosen.redirects, ranks), _streams(chosen.tee, ranks)
    if chosen.log_dir is None and (any(redirects.values()) or any(tee.values())):
        raise ValueError("--redirects and --tee need --log-dir")
    shown = [int(rank) for rank in chosen.local_ranks_filter.split(",") if rank]
    return Settings(
        command=lambda local_rank: _command(chosen, local_rank),
        nproc_per_node=ranks, nnodes=nodes, node_rank=node, master_addr=host, master_port=port,
        max_restarts=chosen.max_restarts, run_id=chosen.rdzv_id, role=chosen.role,
        log_dir=chosen.log_dir, redirects=redirects, tee=tee,
        shown=frozenset(shown) if shown else None,
        debug_rank=debugged, watched=not chosen.no_python,
    )  # fmt: skip


def _command(chosen: argparse.Namespace, local_rank: int) -> list[str]:
    """The words that start a rank."""
    program = [chosen.training_script, *chosen.training_script_args]
    if getattr(chosen, "local_rank_option", ""):  # of the older launcher
        program.insert(1, f"{chosen.local_rank_option}={local_rank}")
    if chosen.no_python:
        if chosen.module:
            raise ValueError("Don't use both the '--no-python' flag and the '--module' flag at "
                             "the same time.")  # fmt: skip
        return program
    options = ["--life", LIFE]
    if chosen.debug_rank == local_rank:
        options.append("--debug")
    if chosen.module:
        options.append("-m")
    elif program[0].startswith("-"):
        program[0] = os.path.join(os.curdir, program[0])
    return [sys.executable, "-m", "rushlight.cli.rank", *options, *program]


def launch(chosen: argparse.Namespace, program: str) -> int:
    """Do what the options say; the exit status."""
    try:
        settings = settings_of(chosen)
        settings.command(0)
        return Launch(settings).run()
    except (ValueError, RuntimeError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2


def main(arguments: Sequence[str] | None = None, program: str = "rushlight launch") -> int:
    """Launch a program; the exit status.

    Args:
        arguments: the words of the command line, the process's own by default.
        program: how the command is called.
    """
    return launch(make_parser(program).parse_args(arguments), program)


if __name__ == "__main__":
    sys.exit(main())

"""A function applied to many items in other processes, for work that waits for the interpreter's lock in threads.

The processes are new interpreters, which read their work from standard input. They do not import the main module of the
program, so that a script needs no ``if __name__ == "__main__":`` and a notebook works; they inherit no threads, as
forked ones would; and each ends with its input, however the program that started it ended.
"""

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, Self, TypeVar

from soundness.errors import ProcessError
from soundness.threads import in_order, one_thread_each

__all__ = ["Processes", "can_be_handed_over", "map_in_processes", "serve"]

_AT_ONCE = 8  # items of a message
_AHEAD = 3  # messages waiting for each process
_PROGRAM = """\
import json, sys
sys.path[:], imports = json.loads(sys.stdin.buffer.readline())
from soundness.processes import serve
serve(imports)
"""
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # glibc gives large arrays back to the system and gets them anew, a thousand pages a clip and an eighth of its time
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**26),
}
_SECONDS_TO_END = 5.0

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer(Generic[Result]):
    """Results of the items of a message, up to an error."""

    results: list[Result]
    error: Exception | None = None


def can_be_handed_over(*parts: object) -> bool:
    """True if a new interpreter knows the classes of these objects: they are of soundness, not of a user's script."""
    is_interpreter = bool(sys.executable) and not getattr(sys, "frozen", False)
    return is_interpreter and all(type(part).__module__.startswith("soundness.") for part in parts)


class Processes:
    """Processes that wait for work; a context, at whose end nothing is left of them.

    To start one and to import what a function needs takes about a second, during which there may be other things to do.

    Parameters
    ----------
    n_workers
        Number of processes.
    imports
        Modules that they import at once.

    Raises
    ------
    ProcessError
        If a process cannot be started.
    """

    def __init__(self, n_workers: int, *, imports: Sequence[str] = ()) -> None:
        places = [place for place in sys.path if isinstance(place, str)]
        self._workers: list[_Worker] = []
        try:
            for _ in range(n_workers):
                self._workers.append(_Worker(json.dumps([places, list(imports)]).encode() + b"\n"))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them, whatever they do."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.close()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, name: Callable[[Item], str] = str
    ) -> Iterator[Result]:
        """Apply a function to items, and yield the results in the order of the items; once.

        As `soundness.threads.map_recordings`: one thread processes each item, a few are read ahead, and no result stays
        in memory. An error of the function ends the iteration, and the processes.

        Parameters
        ----------
        function
            Function of one item, handed over once to each process with all that it refers to. It can be pickled.
        items
            Arguments of the function, handed over a few at a time.
        name
            Name of an item, for the message about a process that ended.

        Raises
        ------
        ProcessError
            If a process ends before its work is done.
        """
        idle: SimpleQueue[_Worker] = SimpleQueue()
        pickled = pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
        for worker in self._workers:
            worker.unsent = pickled
            idle.put(worker)

        def run(message: Sequence[Item]) -> _Answer[Result]:
            worker = idle.get()
            try:
                answer: _Answer[Result] = worker.answer(message)
            except (OSError, EOFError, pickle.UnpicklingError):
                raise ProcessError(f"{worker.end_in_words()} while it worked on {_names(message, name)}") from None
            finally:
                idle.put(worker)
            return answer

        yield from self._in_order(run, iter(items))

    def _in_order(self, run: Callable[[Sequence[Item]], _Answer[Result]], items: Iterator[Item]) -> Iterator[Result]:
        messages = iter(lambda: list(islice(items, _AT_ONCE)), [])
        with ThreadPoolExecutor(len(self._workers)) as pool:
            try:
                for answer in in_order(pool, run, messages, n_waiting=_AHEAD * len(self._workers)):
                    yield from _results(answer)
            finally:
                for worker in self._workers:
                    worker.kill()
                pool.shutdown(wait=True, cancel_futures=True)


def map_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    n_workers: int,
    name: Callable[[Item], str] = str,
) -> Iterator[Result]:
    """Apply a function to items in other processes; see `Processes.map`."""
    with Processes(n_workers) as processes:
        yield from processes.map(function, items, name=name)


def _results(answer: _Answer[Result]) -> Iterator[Result]:
    yield from answer.results
    if answer.error is not None:
        raise answer.error


def _names(message: Sequence[Item], name: Callable[[Item], str]) -> str:
    first, last = name(message[0]), name(message[-1])
    return first if len(message) == 1 else f"{first} to {last} ({len(message)} in all)"


class _Worker:
    """A process, and the pipes to it."""

    def __init__(self, beginning: bytes) -> None:
        self.unsent: bytes | None = None  # the function
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,  # Ctrl-C is for the program that started it
            )
        except OSError as error:
            raise ProcessError(f"a process cannot be started: {error.strerror}") from error
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which the first message finds
            self._process.stdin.write(beginning)
            self._process.stdin.flush()

    def answer(self, message: Sequence[Any]) -> Any:
        """Answer to a message; one thread calls it at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self.unsent is not None:
            self._process.stdin.write(self.unsent)
            self.unsent = None
        pickle.dump(message, self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)

    def end_in_words(self) -> str:
        """Description of its end, for a person."""
        try:
            status = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return "a process closed its pipe"
        if status >= 0:
            return f"a process ended with status {status}"
        return f"a process was killed ({signal.Signals(-status).name}), by hand or by the system for want of memory,"

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """Leave nothing of it behind, once nobody waits for an answer."""
        self._process.communicate()


def serve(imports: Iterable[str]) -> None:
    """Answer the messages on standard input: all that one of the `Processes` does, after its imports."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    try:
        for module in imports:
            importlib.import_module(module)
        function = pickle.load(sys.stdin.buffer)
    except EOFError:  # there was nothing to do
        os._exit(0)
    with one_thread_each():
        try:
            while True:
                message = pickle.load(sys.stdin.buffer)
                pickle.dump(_answer(function, message), answers, pickle.HIGHEST_PROTOCOL)
                answers.flush()
        except (EOFError, BrokenPipeError):  # the program that started it has ended
            os._exit(0)


def _answer(function: Callable[[Item], Result], message: Sequence[Item]) -> _Answer[Result]:
    results: list[Result] = []
    for item in message:
        try:
            results.append(function(item))
        except Exception as error:  # noqa: BLE001  # it is raised where the results are used
            return _Answer(results=results, error=_portable(error))
    return _Answer(results=results)


def _portable(error: Exception) -> Exception:
    """The error, with its traceback as a note; in words where it cannot be handed over."""
    lines = "".join(traceback.format_exception(error))
    error.add_note(f"in another process:\n{lines}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # any class of error may refuse in its own way
        return RuntimeError(lines)
    return error

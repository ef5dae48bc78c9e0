"""A customer's script: `model_fn`, then `input_fn`, `predict_fn` and `output_fn`, or `transform_fn`.

Source: sagemaker-inference-toolkit, transformer.py; sagemaker-containers, _transformer.py and _worker.py, for
the statuses 415 and 406 and for the default content type.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import clary
from clary import containers
from clary.algorithms.base import Answer, Question
from clary.kernel.errors import CustomerError
from clary.serving.handlers import _defaults
from clary.serving.handlers._context import Context
from clary.toolkit.formats import arrays
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from clary.serving.handlers.base import Bound

_PROGRAM = "inference.py"


def load(name: str, model_dir: Path, environ: Mapping[str, str]) -> Script:
    """Import the customer's script and load the model with it.

    Raises
    ------
    CustomerError
        The script is missing, or has functions that exclude each other, or it or its `model_fn` fails.
    """
    module = _module(model_dir, environ)
    return Script(module, _defaults.of(name), model_dir, environ)


def _module(model_dir: Path, environ: Mapping[str, str]) -> ModuleType | None:
    program = environ.get("SAGEMAKER_PROGRAM") or ""
    folders = _folders(model_dir, environ)
    for folder in folders:
        path = folder / (program or _PROGRAM)
        if path.is_file():
            return _imported(path, folders)
    if program:
        raise CustomerError(
            f"SAGEMAKER_PROGRAM {program} is in none of {', '.join(str(folder) for folder in folders)}"
        )
    return None


def _folders(model_dir: Path, environ: Mapping[str, str]) -> list[Path]:
    """Return where code may lie: the submitted folder if it is a local one, and the model's own."""
    submitted = environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "").removeprefix("file://")
    folders = [Path(submitted)] if submitted.startswith("/") and Path(submitted).is_dir() else []
    return [*folders, model_dir / "code", model_dir.parent / "code"]


def _imported(path: Path, folders: Sequence[Path]) -> ModuleType:
    for folder in [*reversed(folders), path.parent]:
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    if containers.FOLDER not in sys.path:
        sys.path.append(containers.FOLDER)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise CustomerError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        traceback.print_exc()
        raise CustomerError(f"{path.name} cannot be imported: {_traced(error)}") from error
    return module


class Script:
    """Answers with a customer's functions, the framework's own where there is none."""

    is_concurrent = False

    def __init__(
        self,
        module: ModuleType | None,
        defaults: _defaults.Defaults,
        model_dir: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._context = Context(str(model_dir))
        self._default_accept = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or arrays.JSON
        self._transform = getattr(module, "transform_fn", None)
        given = {name: getattr(module, name, None) for name in ("input_fn", "predict_fn", "output_fn")}
        if self._transform is not None and any(given.values()):
            raise CustomerError(
                "Cannot use transform_fn implementation in conjunction with input_fn, predict_fn, "
                "and/or output_fn implementation"
            )
        self._input = given["input_fn"] or defaults.input_fn
        self._predict = given["predict_fn"] or defaults.predict_fn
        self._output = given["output_fn"] or defaults.output_fn
        self._n_taken: dict[Callable[..., Any], int] = {}
        model_fn = getattr(module, "model_fn", None) or defaults.model_fn
        try:
            self._model = self._call(model_fn, str(model_dir))
        except CustomerError:
            raise
        except BaseException as error:
            traceback.print_exc()
            raise CustomerError(f"model_fn failed: {_traced(error)}") from error
        is_ours = self._transform is None and not any(given.values())
        self._defaults = defaults
        self._most = _batch_size(environ)
        self._shares_calls = is_ours and (self._most > 1 or defaults.predicts_rows_apart(self._model))

    def on_device(self, bound: Bound) -> None:
        """Have `predict_fn`, or `transform_fn` where there is one, called where `bound` says."""
        self._predict = bound(self._predict)
        if self._transform is not None:
            self._transform = bound(self._transform)

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer the questions one after the other; in one call where no function is the customer's."""
        if len(questions) > 1 and self._shares_calls:
            most = self._most if self._most > 1 else len(questions)
            shared = [questions[at : at + most] for at in range(0, len(questions), most)]
            return [answer for part in shared for answer in self._answer_together(part)]
        return [self._answer(question) for question in questions]

    def _answer_together(self, questions: Sequence[Question]) -> list[Answer]:
        """Predict what can be stacked in one call; whatever goes wrong is told of each question alone."""
        answers: list[Answer | None] = [None] * len(questions)
        stacks: dict[Any, list[tuple[int, Any]]] = {}
        for place, question in enumerate(questions):
            with contextlib.suppress(Exception):
                rows = self._rows(question)
                if rows.ndim == 2 or (rows.ndim == 1 and self._most > 1):
                    stacks.setdefault((rows.dtype, rows.shape[-1], rows.ndim), []).append((place, rows))
        for stack in stacks.values():
            with contextlib.suppress(Exception):
                parts = [rows if rows.ndim == 2 else rows.reshape(1, -1) for _, rows in stack]
                found = self._defaults.parted(self._predict(self._defaults.stacked(parts), self._model))
                if len(found) != sum(len(part) for part in parts):
                    raise ValueError("the model has no answer for each row")
                start = 0
                for place, rows in stack:
                    end = start + (rows.shape[0] if rows.ndim == 2 else 1)
                    own = found[start:end] if rows.ndim == 2 else np.asarray(found[start])
                    answers[place] = Answer(*self._output(own, self._accept(questions[place])))
                    start = end
        pairs = zip(answers, questions, strict=True)
        return [answer if answer is not None else self._answer(question) for answer, question in pairs]

    def _rows(self, question: Question) -> Any:
        content_type = question.content_type or arrays.JSON
        is_text = MediaType.parse(content_type).name in arrays.TEXT
        data = question.body.decode("utf-8") if is_text else question.body
        return self._defaults.read(data, content_type)

    def _accept(self, question: Question) -> str:
        return question.accept if question.accept not in {"", "*/*"} else self._default_accept

    def _answer(self, question: Question) -> Answer:
        self._context.ask(question)
        content_type = question.content_type or arrays.JSON
        accept = self._accept(question)
        data: bytes | str = question.body
        try:
            if MediaType.parse(content_type).name in arrays.TEXT:
                data = question.body.decode("utf-8")
            answer = self._result(data, content_type, accept)
            if answer.parts is None or question.takes_parts:
                return answer
            return replace(answer, body=answer.body + b"".join(answer.parts), parts=None)
        except BaseException as error:  # SystemExit too: a request must not end the replica
            traceback.print_exc()
            status = getattr(error, "status_code", 500)
            message = getattr(error, "message", None) or _last_line(error)
            is_status = isinstance(status, int) and 400 <= status < 600
            return Answer(str(message).encode(), "text/plain; charset=utf-8", status if is_status else 500)

    def _result(self, data: bytes | str, content_type: str, accept: str) -> Answer:
        if self._transform is not None:
            return self._spelled(self._call(self._transform, self._model, data, content_type, accept), accept)
        try:
            rows = self._call(self._input, data, content_type)
        except arrays.UnsupportedFormat as error:
            return Answer(str(error).encode(), "text/plain; charset=utf-8", 415)
        prediction = self._call(self._predict, rows, self._model)
        try:
            return self._spelled(self._call(self._output, prediction, accept), accept)
        except arrays.UnsupportedFormat as error:
            return Answer(str(error).encode(), "text/plain; charset=utf-8", 406)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a customer's function, with the context where it takes one more argument."""
        n_taken = self._n_taken.get(function)
        if n_taken is None:
            n_taken = self._n_taken[function] = len(inspect.signature(function).parameters)
        if n_taken == len(arguments):
            return function(*arguments)
        if n_taken == len(arguments) + 1:
            return function(*arguments, self._context)
        name = getattr(function, "__name__", str(function))
        raise TypeError(f"{name} takes {n_taken} arguments but {len(arguments)} were given.")

    def _spelled(self, result: Any, accept: str) -> Answer:
        """Make an answer of what a function returned: body, body and content type, or a response."""
        content_type = self._context.response_content_type or accept
        body, status = result, self._context.response_status or 200
        if isinstance(result, tuple):
            body, content_type = result[0], result[1]
        elif hasattr(result, "get_data") and hasattr(result, "status_code"):  # Flask's, as old scripts return
            body, status = result.get_data(), result.status_code
            content_type = getattr(result, "mimetype", "") or content_type
        headers = dict(self._context.response_headers)
        if inspect.isgenerator(body):
            parts = (_body(part) for part in body)
            return Answer(next(parts, b""), str(content_type), status, headers, parts)
        return Answer(_body(body), str(content_type), status, headers)


def _batch_size(environ: Mapping[str, str]) -> int:
    """Return how many requests the customer lets a model predict in one call; 0 where nothing is said.

    Source: SageMaker Python SDK, PyTorchModel: `SAGEMAKER_TS_BATCH_SIZE`.
    """
    text = environ.get("SAGEMAKER_TS_BATCH_SIZE", "")
    return int(text) if text.isdecimal() else 0


def _body(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "getvalue"):
        return _body(value.getvalue())
    return arrays.encode(value, arrays.JSON)


def _last_line(error: BaseException) -> str:
    """Return the last line of a traceback: `ValueError: no such column`."""
    return traceback.format_exception_only(error)[-1].strip()


def _traced(error: BaseException) -> str:
    """Return the same, and where it was: `ValueError: no such column (inference.py, line 7)`."""
    if isinstance(error, SyntaxError):  # it says where itself
        return f"{type(error).__name__}: {error}"
    others = (sys.base_prefix, sys.prefix, str(Path(clary.__file__).parent), "<frozen")
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith(others)]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return _last_line(error) + where

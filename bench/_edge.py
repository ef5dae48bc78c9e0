"""An edge, and a replica that echoes, for bench/serving.py: what an invocation costs without any model.

python -m bench._edge edge PORT ACCOUNT KEY SECRET SOCKET {in-place,hop}
python -m bench._edge replica SOCKET
"""

import asyncio
import gc
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from clary.algorithms.base import Answer, Question
from clary.gateway.edge.server import Edge
from clary.gateway.listener import listen
from clary.kernel.settings import Settings
from clary.serving.replica import Replica

ENDPOINT = "echo"


class EchoModel:
    """A model in place that says what it hears."""

    n_bytes = 0

    def answer(self, body: bytes, content_type: str, _accept: str) -> tuple[str, bytes]:
        return content_type, body

    def relax(self) -> None:
        pass


class EchoHandler:
    """The same in a replica."""

    is_concurrent = True

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        return [Answer(question.body, question.content_type) for question in questions]


async def serve(port: int, account: str, key: str, secret: str, address: str, *, in_place: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        edge = Edge(Settings(data_dir=Path(folder), port=port))
        edge.control.credentials.push(key, {"secret": secret, "account": account, "principal": ""})
        replicas = [{"id": "0", "address": address}]
        variants = [{"name": "AllTraffic", "weight": 1.0, "replicas": replicas}]
        routed = edge.control.routes.push(
            f"{account}/us-east-1/{ENDPOINT}", {"status": "InService", "variants": variants}
        )
        if in_place:
            for leg in routed.legs.values():
                leg.seats[0].model = EchoModel()
        await edge.serve(listen("127.0.0.1", port), asyncio.Event())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["edge", port, account, key, secret, address, way]:
            gc.freeze()
            uvloop.run(serve(int(port), account, key, secret, address, in_place=way == "in-place"))
        case ["replica", address]:
            Replica(EchoHandler()).run(Path(address))

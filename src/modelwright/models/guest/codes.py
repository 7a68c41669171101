"""What a front asks of a worker, and how a worker says that it went: the numbers in their messages."""

from enum import IntEnum


class Kind(IntEnum):
    """What a message is: the first three come from the worker, the last from the front."""

    READY = 1
    FAILED = 2
    ANSWER = 3
    SCORE = 4


class Route(IntEnum):
    """What a request asks for, whatever path led to it."""

    HEALTH = 0  # GET /
    SCORE = 1  # POST and GET /score: the body of the latter is its query as a JSON object
    INVOCATIONS = 2  # POST /invocations, as MLflow serves
    INFER = 3  # POST /v2/models/NAME/infer, the Open Inference Protocol
    MODEL = 4  # GET /v2/models/NAME
    MODEL_READY = 5  # GET /v2/models/NAME/ready
    SERVER = 6  # GET /v2
    SWAGGER = 7  # GET /swagger.json
    # The front answers these itself, like HEALTH.
    DOCS = 8  # GET /docs
    PING = 9  # GET /ping, as MLflow serves
    VERSION = 10  # GET /version, as MLflow serves
    LIVE = 11  # GET /v2/health/live
    READY = 12  # GET /v2/health/ready
    METRICS = 13  # GET /metrics, for Prometheus


class Outcome(IntEnum):
    """How a request ended in the worker. Its answer's status says whether it was refused."""

    ANSWERED = 0
    RAISED = 1
    UNSERIALIZABLE = 2
    LATE = 3  # it had waited too long when its turn came

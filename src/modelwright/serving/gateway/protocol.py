"""The messages of the Open Inference Protocol, made when they are needed: no generated code, and no compiler of it.

Source of names and numbers: kserve/open-inference-protocol, `specification/protocol/open_inference_grpc.proto`.
"""

from functools import cache
from typing import Any

_PACKAGE = "inference"
SERVICE = f"{_PACKAGE}.GRPCInferenceService"
# Method -> its request and response are called after it.
METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")

# Message -> fields as "name number type", a star for repeated ones. A map is a repeated message of key and value.
_CONTENTS = (
    "bool_contents 1 bool*", "int_contents 2 int32*", "int64_contents 3 int64*", "uint_contents 4 uint32*",
    "uint64_contents 5 uint64*", "fp32_contents 6 float*", "fp64_contents 7 double*", "bytes_contents 8 bytes*",
)  # fmt: skip
_TENSOR = ("name 1 string", "datatype 2 string", "shape 3 int64*", "parameters 4 Parameters*",
           "contents 5 InferTensorContents")  # fmt: skip
_MODEL = ("name 1 string", "version 2 string")
_INFER = ("model_name 1 string", "model_version 2 string", "id 3 string", "parameters 4 Parameters*")
_MESSAGES: dict[str, tuple[str, ...]] = {
    "InferParameter": ("bool_param 1 bool", "int64_param 2 int64", "string_param 3 string", "double_param 4 double",
                       "uint64_param 5 uint64"),
    "InferTensorContents": _CONTENTS,
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("live 1 bool",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("ready 1 bool",),
    "ModelReadyRequest": _MODEL,
    "ModelReadyResponse": ("ready 1 bool",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("name 1 string", "version 2 string", "extensions 3 string*"),
    "ModelMetadataRequest": _MODEL,
    "ModelMetadataResponse.TensorMetadata": ("name 1 string", "datatype 2 string", "shape 3 int64*"),
    "ModelMetadataResponse": ("name 1 string", "versions 2 string*", "platform 3 string", "inputs 4 TensorMetadata*",
                              "outputs 5 TensorMetadata*"),
    "ModelInferRequest.InferInputTensor": _TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": ("name 1 string", "parameters 2 Parameters*"),
    "ModelInferRequest": (*_INFER, "inputs 5 InferInputTensor*", "outputs 6 InferRequestedOutputTensor*",
                          "raw_input_contents 7 bytes*"),
    "ModelInferResponse.InferOutputTensor": _TENSOR,
    "ModelInferResponse": (*_INFER, "outputs 5 InferOutputTensor*", "raw_output_contents 6 bytes*"),
}  # fmt: skip
_ONE_OF = "InferParameter"


@cache
def messages() -> dict[str, Any]:
    """Return the class of every message by its name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package=_PACKAGE, syntax="proto3")
    for name in sorted(_MESSAGES, key=lambda each: "." in each):
        outer, _, inner = name.partition(".")
        if inner:
            found = next(each for each in file.message_type if each.name == outer)
            _fill(found.nested_type.add(name=inner), name)
        else:
            _fill(file.message_type.add(name=outer), name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    whole = [name for name in _MESSAGES if "." not in name]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in whole}


def _fill(message: Any, name: str) -> None:
    """Give a message its fields."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Kind

    if name == _ONE_OF:
        message.oneof_decl.add(name="parameter_choice")
    for each in _MESSAGES[name]:
        title, number, kind = each.split()
        field = message.field.add(name=title, number=int(number))
        field.label = Kind.LABEL_REPEATED if kind.endswith("*") else Kind.LABEL_OPTIONAL
        kind = kind.rstrip("*")
        if kind == "Parameters":
            field.type, field.type_name = Kind.TYPE_MESSAGE, f".{_PACKAGE}.{name}.ParametersEntry"
            _add_map(message)
        elif kind[0].isupper():
            nested = f"{name}.{kind}" if f"{name}.{kind}" in _MESSAGES else kind
            field.type, field.type_name = Kind.TYPE_MESSAGE, f".{_PACKAGE}.{nested}"
        else:
            field.type = getattr(Kind, f"TYPE_{kind.upper()}")
        if name == _ONE_OF:
            field.oneof_index = 0


def _add_map(message: Any) -> None:
    """Add what a map of parameters is to a message: pairs of a name and a parameter."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Kind

    entry = message.nested_type.add(name="ParametersEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=Kind.TYPE_STRING, label=Kind.LABEL_OPTIONAL)
    value = entry.field.add(name="value", number=2, type=Kind.TYPE_MESSAGE, label=Kind.LABEL_OPTIONAL)
    value.type_name = f".{_PACKAGE}.{_ONE_OF}"

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import struct_pb2 as _struct_pb2
import generic_pb2 as _generic_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MicroserviceCommunication(_message.Message):
    __slots__ = ("type", "request_type", "data", "metadata", "original_request", "request_metadata", "traces", "result", "routing_data")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class TracesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_METADATA_FIELD_NUMBER: _ClassVar[int]
    TRACES_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ROUTING_DATA_FIELD_NUMBER: _ClassVar[int]
    type: str
    request_type: str
    data: _struct_pb2.Struct
    metadata: _containers.ScalarMap[str, str]
    original_request: _any_pb2.Any
    request_metadata: _generic_pb2.RequestMetadata
    traces: _containers.ScalarMap[str, bytes]
    result: bytes
    routing_data: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[str] = ..., request_type: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., original_request: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., request_metadata: _Optional[_Union[_generic_pb2.RequestMetadata, _Mapping]] = ..., traces: _Optional[_Mapping[str, bytes]] = ..., result: _Optional[bytes] = ..., routing_data: _Optional[_Iterable[str]] = ...) -> None: ...

class ContinueReceiving(_message.Message):
    __slots__ = ("continue_receiving",)
    CONTINUE_RECEIVING_FIELD_NUMBER: _ClassVar[int]
    continue_receiving: bool
    def __init__(self, continue_receiving: _Optional[bool] = ...) -> None: ...

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import empty_pb2 as _empty_pb2
import generic_pb2 as _generic_pb2
import microserviceCommunication_pb2 as _microserviceCommunication_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InitRequest(_message.Message):
    __slots__ = ("service_name", "routing_key", "queue_auto_delete")
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_AUTO_DELETE_FIELD_NUMBER: _ClassVar[int]
    service_name: str
    routing_key: str
    queue_auto_delete: bool
    def __init__(self, service_name: _Optional[str] = ..., routing_key: _Optional[str] = ..., queue_auto_delete: _Optional[bool] = ...) -> None: ...

class ChainRequest(_message.Message):
    __slots__ = ("service_name", "routing_key", "queue_auto_delete", "port")
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_AUTO_DELETE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    service_name: str
    routing_key: str
    queue_auto_delete: bool
    port: int
    def __init__(self, service_name: _Optional[str] = ..., routing_key: _Optional[str] = ..., queue_auto_delete: _Optional[bool] = ..., port: _Optional[int] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueueInfo(_message.Message):
    __slots__ = ("queue_name", "auto_delete", "user_name", "job_name")
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTO_DELETE_FIELD_NUMBER: _ClassVar[int]
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    queue_name: str
    auto_delete: bool
    user_name: str
    job_name: str
    def __init__(self, queue_name: _Optional[str] = ..., auto_delete: _Optional[bool] = ..., user_name: _Optional[str] = ..., job_name: _Optional[str] = ...) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("queue_name", "auto_ack")
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTO_ACK_FIELD_NUMBER: _ClassVar[int]
    queue_name: str
    auto_ack: bool
    def __init__(self, queue_name: _Optional[str] = ..., auto_ack: _Optional[bool] = ...) -> None: ...

class SideCarMessage(_message.Message):
    __slots__ = ("type", "body", "traces")
    class TracesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRACES_FIELD_NUMBER: _ClassVar[int]
    type: str
    body: _any_pb2.Any
    traces: _containers.ScalarMap[str, bytes]
    def __init__(self, type: _Optional[str] = ..., body: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., traces: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class Auth(_message.Message):
    __slots__ = ("access_token", "refresh_token")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    refresh_token: str
    def __init__(self, access_token: _Optional[str] = ..., refresh_token: _Optional[str] = ...) -> None: ...

class DataProvider(_message.Message):
    __slots__ = ("archetypes", "compute_providers")
    ARCHETYPES_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    archetypes: _containers.RepeatedScalarFieldContainer[str]
    compute_providers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, archetypes: _Optional[_Iterable[str]] = ..., compute_providers: _Optional[_Iterable[str]] = ...) -> None: ...

class UserAllowedArchetypes(_message.Message):
    __slots__ = ("archetypes",)
    ARCHETYPES_FIELD_NUMBER: _ClassVar[int]
    archetypes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, archetypes: _Optional[_Iterable[str]] = ...) -> None: ...

class UserArchetypes(_message.Message):
    __slots__ = ("user_name", "archetypes")
    class ArchetypesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: UserAllowedArchetypes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[UserAllowedArchetypes, _Mapping]] = ...) -> None: ...
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHETYPES_FIELD_NUMBER: _ClassVar[int]
    user_name: str
    archetypes: _containers.MessageMap[str, UserAllowedArchetypes]
    def __init__(self, user_name: _Optional[str] = ..., archetypes: _Optional[_Mapping[str, UserAllowedArchetypes]] = ...) -> None: ...

class ValidationResponse(_message.Message):
    __slots__ = ("type", "request_type", "valid_dataproviders", "invalid_dataproviders", "auth", "user", "request_approved", "valid_archetypes", "options")
    class ValidDataprovidersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: DataProvider
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[DataProvider, _Mapping]] = ...) -> None: ...
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bool
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bool] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TYPE_FIELD_NUMBER: _ClassVar[int]
    VALID_DATAPROVIDERS_FIELD_NUMBER: _ClassVar[int]
    INVALID_DATAPROVIDERS_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_APPROVED_FIELD_NUMBER: _ClassVar[int]
    VALID_ARCHETYPES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    type: str
    request_type: str
    valid_dataproviders: _containers.MessageMap[str, DataProvider]
    invalid_dataproviders: _containers.RepeatedScalarFieldContainer[str]
    auth: Auth
    user: User
    request_approved: bool
    valid_archetypes: UserArchetypes
    options: _containers.ScalarMap[str, bool]
    def __init__(self, type: _Optional[str] = ..., request_type: _Optional[str] = ..., valid_dataproviders: _Optional[_Mapping[str, DataProvider]] = ..., invalid_dataproviders: _Optional[_Iterable[str]] = ..., auth: _Optional[_Union[Auth, _Mapping]] = ..., user: _Optional[_Union[User, _Mapping]] = ..., request_approved: _Optional[bool] = ..., valid_archetypes: _Optional[_Union[UserArchetypes, _Mapping]] = ..., options: _Optional[_Mapping[str, bool]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("id", "user_name")
    ID_FIELD_NUMBER: _ClassVar[int]
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    user_name: str
    def __init__(self, id: _Optional[str] = ..., user_name: _Optional[str] = ...) -> None: ...

class RequestApproval(_message.Message):
    __slots__ = ("type", "user", "data_providers", "destination_queue", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bool
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bool] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    DATA_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_QUEUE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    type: str
    user: User
    data_providers: _containers.RepeatedScalarFieldContainer[str]
    destination_queue: str
    options: _containers.ScalarMap[str, bool]
    def __init__(self, type: _Optional[str] = ..., user: _Optional[_Union[User, _Mapping]] = ..., data_providers: _Optional[_Iterable[str]] = ..., destination_queue: _Optional[str] = ..., options: _Optional[_Mapping[str, bool]] = ...) -> None: ...

class RequestApprovalResponse(_message.Message):
    __slots__ = ("type", "user", "auth", "authorized_providers", "job_id", "error", "request_metadata")
    class AuthorizedProvidersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZED_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_METADATA_FIELD_NUMBER: _ClassVar[int]
    type: str
    user: User
    auth: Auth
    authorized_providers: _containers.ScalarMap[str, str]
    job_id: str
    error: str
    request_metadata: _generic_pb2.RequestMetadata
    def __init__(self, type: _Optional[str] = ..., user: _Optional[_Union[User, _Mapping]] = ..., auth: _Optional[_Union[Auth, _Mapping]] = ..., authorized_providers: _Optional[_Mapping[str, str]] = ..., job_id: _Optional[str] = ..., error: _Optional[str] = ..., request_metadata: _Optional[_Union[_generic_pb2.RequestMetadata, _Mapping]] = ...) -> None: ...

class PolicyUpdate(_message.Message):
    __slots__ = ("type", "user", "data_providers", "request_metadata", "validation_response")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    DATA_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_METADATA_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    type: str
    user: User
    data_providers: _containers.RepeatedScalarFieldContainer[str]
    request_metadata: _generic_pb2.RequestMetadata
    validation_response: ValidationResponse
    def __init__(self, type: _Optional[str] = ..., user: _Optional[_Union[User, _Mapping]] = ..., data_providers: _Optional[_Iterable[str]] = ..., request_metadata: _Optional[_Union[_generic_pb2.RequestMetadata, _Mapping]] = ..., validation_response: _Optional[_Union[ValidationResponse, _Mapping]] = ...) -> None: ...

class CompositionRequest(_message.Message):
    __slots__ = ("archetype_id", "request_type", "role", "user", "data_providers", "destination_queue", "job_name", "local_job_name")
    ARCHETYPE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TYPE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    DATA_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_QUEUE_FIELD_NUMBER: _ClassVar[int]
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    LOCAL_JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    archetype_id: str
    request_type: str
    role: str
    user: User
    data_providers: _containers.RepeatedScalarFieldContainer[str]
    destination_queue: str
    job_name: str
    local_job_name: str
    def __init__(self, archetype_id: _Optional[str] = ..., request_type: _Optional[str] = ..., role: _Optional[str] = ..., user: _Optional[_Union[User, _Mapping]] = ..., data_providers: _Optional[_Iterable[str]] = ..., destination_queue: _Optional[str] = ..., job_name: _Optional[str] = ..., local_job_name: _Optional[str] = ...) -> None: ...

class SqlDataRequest(_message.Message):
    __slots__ = ("type", "query", "algorithm", "algorithm_columns", "user", "request_metadata", "options")
    class AlgorithmColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bool
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bool] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_METADATA_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    type: str
    query: str
    algorithm: str
    algorithm_columns: _containers.ScalarMap[str, str]
    user: User
    request_metadata: _generic_pb2.RequestMetadata
    options: _containers.ScalarMap[str, bool]
    def __init__(self, type: _Optional[str] = ..., query: _Optional[str] = ..., algorithm: _Optional[str] = ..., algorithm_columns: _Optional[_Mapping[str, str]] = ..., user: _Optional[_Union[User, _Mapping]] = ..., request_metadata: _Optional[_Union[_generic_pb2.RequestMetadata, _Mapping]] = ..., options: _Optional[_Mapping[str, bool]] = ...) -> None: ...

"""Events of users since the bundle was built: the durable log, and the stores that give the recent ones."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.events.event_log import EventLog
    from retrieval_server.events.memory_store import MemoryStore
    from retrieval_server.events.recording import Recorder
    from retrieval_server.events.redis_store import RedisStore
    from retrieval_server.events.user_events import EventStore, UserEvent

__all__ = ["EventLog", "EventStore", "MemoryStore", "Recorder", "RedisStore", "UserEvent"]

__getattr__ = lazy_names(
    __name__,
    {
        "EventLog": "retrieval_server.events.event_log",
        "EventStore": "retrieval_server.events.user_events",
        "MemoryStore": "retrieval_server.events.memory_store",
        "Recorder": "retrieval_server.events.recording",
        "RedisStore": "retrieval_server.events.redis_store",
        "UserEvent": "retrieval_server.events.user_events",
    },
)

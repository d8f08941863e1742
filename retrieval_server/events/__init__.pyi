from .event_log import EventLog as EventLog
from .memory_event_store import MemoryStore as MemoryStore
from .recording import Recorder as Recorder
from .redis_event_store import RedisStore as RedisStore
from .user_events import EventStore as EventStore, UserEvent as UserEvent

"""`python record_forever.py FOLDER SYNC_SECONDS` records events until it is killed, and prints what is acknowledged."""

import sys
from itertools import count
from pathlib import Path

from retrieval_server.events.event_log import EventLog
from retrieval_server.events.memory_event_store import MemoryStore
from retrieval_server.events.recording import Recorder
from retrieval_server.events.user_events import UserEvent

folder, sync_seconds = Path(sys.argv[1]), float(sys.argv[2])
recorder = Recorder(MemoryStore(100, 100, 100_000), EventLog(folder, sync_seconds, segment_bytes=4096))
for number in count():
    name = f"{folder.name}-{number}"
    recorder.record([UserEvent(name, "ann", "item-1", "view", float(number))])
    print(name, flush=True)

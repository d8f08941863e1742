from .health import Health as Health
from .server import RetrievalServer as RetrievalServer
from .tokens import AccessTokens as AccessTokens

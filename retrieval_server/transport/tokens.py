"""Bearer tokens, of which the server knows only hashes, and their roles."""

import hashlib
import hmac
import re
from enum import IntEnum
from pathlib import Path

from data_prep.errors import UsageError

LINE = re.compile(r"(\w+)\s+([0-9a-f]{64})")
BEARER = "Bearer "


class Role(IntEnum):
    """Permissions of a caller; each role has those of the roles before it."""

    READER = 1
    """Ask."""
    WRITER = 2
    """Record events."""
    ADMIN = 3
    """Everything that changes what is served."""


class AccessTokens:
    """Knows the role of a token without keeping, comparing or logging the token itself.

    Args:
        roles: role of each token, by the token's SHA-256.
    """

    def __init__(self, roles: dict[bytes, Role]) -> None:
        self._roles = roles

    @classmethod
    def read(cls, path: Path) -> "AccessTokens":
        """Read a file of lines `role sha256`; empty ones and what follows a # do not count.

        Raises:
            UsageError: the file cannot be read, has a line of another form, or has no token.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"tokens={path}: cannot be read ({error})") from error
        roles = {}
        for number, line in enumerate(lines, start=1):
            content = line.partition("#")[0].strip()
            if not content:
                continue
            match = LINE.fullmatch(content)
            if match is None or match[1].upper() not in Role.__members__:
                names = ", ".join(role.name.lower() for role in Role)
                raise UsageError(
                    f"tokens={path}: line {number} is not a role ({names}) and the 64 hex digits of a token's SHA-256"
                )
            roles[bytes.fromhex(match[2])] = Role[match[1].upper()]
        if not roles:
            raise UsageError(f"tokens={path}: has no token, so nobody could call; leave tokens=null to do without them")
        return cls(roles)

    def role(self, authorization: str) -> Role | None:
        """The role of a header `Bearer <token>`, None for anything else; a wrong token takes as long as a right one."""
        token = authorization.removeprefix(BEARER) if authorization.startswith(BEARER) else ""
        presented = hashlib.sha256(token.encode()).digest()
        role = None
        for digest, candidate in self._roles.items():
            if hmac.compare_digest(presented, digest):
                role = candidate
        return role

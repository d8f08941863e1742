"""`python -m retrieval_server`: serve one bundle until a signal stops it.

Exit codes: 0 stopped by SIGTERM with every accepted call answered; 1 the address cannot be had, or calls were cut off
at the end of the grace; 2 a wrong configuration or an unsound bundle; 130 stopped by Ctrl-C, or by a second signal.
"""

from data_prep.command import UsageError, command, instantiate
from retrieval_server.config import ServeConfig, require_sound
from retrieval_server.events.user_events import EventStore
from retrieval_server.process.lifecycle import StopSignals, leave
from retrieval_server.runtime.escaping import log_one_line_each
from retrieval_server.transport.address import require_free, resolve
from retrieval_server.transport.tls import server_credentials
from retrieval_server.transport.tokens import AccessTokens


@command(ServeConfig, "serve")
def main(config: ServeConfig) -> None:
    """Serve a bundle over gRPC."""
    log_one_line_each(config.json_log)
    require_sound(config)
    encrypted = server_credentials(config.tls) is not None
    require_free(resolve(config.host, encrypted or config.allow_insecure), config.port)
    if config.tokens is not None:
        AccessTokens.read(config.tokens)
    store: EventStore = instantiate(config.event_store)
    if config.workers > 1 and not store.shared:
        raise UsageError(
            f"workers={config.workers}: several processes need an event store that they share; set event_store=redis"
        )
    if not config.bundle.is_dir():
        raise UsageError(
            f"bundle={config.bundle}: there is no such folder; build one with `python -m index.build`, or name another"
        )
    # Imported only here, for it takes seconds: wrong options are reported at once.
    from index import Manifest

    Manifest.read(config.bundle)
    stop = StopSignals()
    stop.install()
    with stop.heeded():
        if config.workers > 1:
            from retrieval_server.process.supervisor import supervise

            leave(supervise(config, stop))
        from retrieval_server.process.serve import serve

        leave(serve(config, stop))


if __name__ == "__main__":
    main()

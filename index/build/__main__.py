"""`python -m index.build`: check that run and data belong together, then build and publish a bundle."""

from data_prep.command import command, instantiate
from index.build.config import BuildConfig
from index.build.inputs import check_dim, check_inputs
from index.build.report import BuildResult, show
from index.bundle.publication import building
from index.search.gpus import check_gpu


def build(config: BuildConfig) -> BuildResult:
    """Build a bundle and make it current.

    Raises:
        UsageError: run and data do not belong together, or a GPU is required and there is none.
        GateFailed: items that cannot be served, index recall below the floor, no room on the disk.
        Locked: another build writes to the same folder.
    """
    choice = instantiate(config.index)
    if config.require_gpu:
        check_gpu(require_gpu=True)
    inputs = check_inputs(config.run, config.data, config.cross_encoder, config.funnel)
    check_dim(config.run, config.dim)
    with building(config.bundles, f"index.build run={config.run}"):
        # Only now: importing torch takes longer than a wrong input may take to be refused.
        from index.build.assembly import assemble

        return assemble(config, inputs, choice)


@command(BuildConfig, "build")
def main(config: BuildConfig) -> BuildResult:
    """Build, and show the bundle and the reasons for it."""
    result = build(config)
    show(result)
    return result


if __name__ == "__main__":
    main()

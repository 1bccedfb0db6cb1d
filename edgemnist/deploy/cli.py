"""`edgemnist deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_INTERRUPTED

app = command_app()


@app.command(epilog="Example: edgemnist deploy bundle.zip --to pi@raspberrypi.local")
def deploy(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgemnist bundle` wrote.")],
    *,
    to: options.To = None,
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", metavar="FILE", help="Boards from a fleet.toml, in addition to --to."),
    ] = None,
    max_p99_us: Annotated[
        float | None, typer.Option("--max-p99-us", metavar="µs", help="Latency limit of the self-test, for one image.")
    ] = None,
    max_rss_mb: Annotated[
        float | None, typer.Option("--max-rss-mb", metavar="MB", help="Memory limit of the self-test.")
    ] = None,
    selftest_timeout: Annotated[
        float, typer.Option("--selftest-timeout", metavar="SECONDS", help="Time limit of the self-test.")
    ] = 300.0,
    keep: Annotated[int, typer.Option("--keep", help="Releases to keep on a board.")] = 3,
    parallel: Annotated[int, typer.Option("--parallel", help="Boards to deploy to at the same time.")] = 20,
    canary: Annotated[
        int,
        typer.Option(
            "--canary", metavar="N", help="Boards to deploy to first; the others follow only if none of these fails."
        ),
    ] = 0,
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures",
            metavar="N",
            show_default="no limit",
            help="Start no more boards once more than this many have failed.",
        ),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Let it answer beside the release that serves, until `edgemnist promote` switches to it."
        ),
    ] = False,
    wait: options.Wait = 60.0,
    retries: Annotated[int, typer.Option("--retries", help="How many times to resume after a lost connection.")] = 3,
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Let a board that requires signatures go back to an older bundle.")
    ] = False,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """Deploy a bundle to boards: preflight, transfer, self-test on the board, one atomic switch, and back on failure.

    Exit 1 if a self-test or a service failed; the old release then keeps serving.
    Ctrl-C stops the deployment on every board where the switch has not begun.
    """
    from edgemnist.agent.request import SelfTestLimits
    from edgemnist.console import show
    from edgemnist.console.terminal import show_interrupted
    from edgemnist.deploy.run import DeployConfig, FleetConfig, deploy_fleet, open_bundle, read_inventory
    from edgemnist.deploy.screen import deploy_page, fleet_table
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.results.boards import labels

    targets = [BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in to or ()]
    if inventory is not None:
        targets += read_inventory(inventory, root=root, ssh_config=ssh_config)
    limits = SelfTestLimits(timeout_s=selftest_timeout, max_p99_us=max_p99_us, max_rss_mb=max_rss_mb)
    config = DeployConfig(
        limits=limits, keep=keep, wait_s=wait, retries=retries, allow_downgrade=allow_downgrade, shadow=shadow
    )
    fleet = FleetConfig(parallel=parallel, canary=canary, max_failures=max_failures)
    checked = open_bundle(bundle)
    with fleet_table(labels([(target.host.name, target.root) for target in targets])) as step:
        result = deploy_fleet(targets, checked, config, fleet, step)
    show(result, lambda: deploy_page(result), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)
    codes = [board.fault.exit_code for board in result.boards if board.fault is not None]
    if codes:
        raise typer.Exit(max(codes))

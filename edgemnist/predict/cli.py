"""`edgemnist predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_BAD_INPUT

app = command_app()


@app.command(epilog="Example: edgemnist predict digit.png --show · edgemnist predict --index 0 --index 1")
def predict(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        # What cannot be read is told when it is read: asking beforehand is wrong on network and emulated file systems.
        typer.Argument(
            metavar="[SOURCE]...",
            help="Pictures of one digit each, directories of them, or - for standard input.",
            show_default=False,
            readable=False,
        ),
    ] = None,
    *,
    index: Annotated[
        list[int] | None,
        typer.Option("--index", metavar="N", help="Evaluation image N; repeatable."),
    ] = None,
    artifact: options.Model = None,
    show: Annotated[
        bool, typer.Option("--show", help="Draw what the model was given, which explains nearly every wrong answer.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Write what the model was given as a PNG.")
    ] = None,
    threads: options.Threads = 1,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    on: options.On = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Read a digit from each picture: digit, confidence, and a bar for each class.

    Any picture of one digit will do: a photograph, a scan, a drawing. If it shows no digit, or several,
    the answer says so; to read several, see `edgemnist read`.
    """
    options.limit_numpy_threads()
    from edgemnist.console import show as show_result
    from edgemnist.console.terminal import TerminalReporter, quiet_libraries
    from edgemnist.exports.directory import open_for_answers
    from edgemnist.predict.screen import predict_page

    if sheet is not None:
        from edgemnist.exports.outputs import PNG, check_output

        options.check_png(sheet)
        check_output("--sheet", sheet, PNG, inputs=sources or [])
    shown = show or sheet is not None
    if on:
        from edgemnist.deploy.target import BoardAddress
        from edgemnist.predict.run import predict_on

        options.refuse_with_on(context, "exports", "collect", "collect_max")
        words = options.given_words(context, without=options.HERE | {"sources", "sheet", "show"})
        target = BoardAddress.of(options.only("--on", on), root=root, ssh_config=ssh_config)
        result = predict_on(target, sources or [], [*words, *(["--show"] if shown else [])], TerminalReporter())
    else:
        from edgemnist.predict.run import predict_sources

        samples = options.collecting(collect, collect_max)
        reporter = TerminalReporter()
        # The evaluation images are the directory's, whoever answers.
        opened = open_for_answers(exports, None if index else artifact, reporter)
        with quiet_libraries():
            result = predict_sources(
                opened,
                sources or [],
                index or [],
                artifact=artifact,
                threads=threads,
                show=shown,
                collect=samples,
                reporter=reporter,
            )
    host = on[0] if on else ""
    if sheet is not None:
        from edgemnist.console import drawn
        from edgemnist.images.sheet import strip_png
        from edgemnist.storage import write_file

        rows = [prediction.image or [] for prediction in result.predictions]
        write_file(sheet, drawn(host, lambda: strip_png(rows)))
    show_result(result, lambda: predict_page(result), json=json, host=host)
    if result.unread:
        raise typer.Exit(EXIT_BAD_INPUT)

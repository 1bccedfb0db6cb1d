"""`edgemnist predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.cli import app, options


@app.command(epilog="Example: edgemnist predict digit.png --show · edgemnist predict --index 0 --index 1")
def predict(
    sources: Annotated[
        list[Path] | None,
        # What cannot be read is told when it is read: asking beforehand is wrong on network and emulated file systems.
        typer.Argument(metavar="[SOURCE]...", help="Pictures of one digit each.", show_default=False, readable=False),
    ] = None,
    *,
    index: Annotated[
        list[int] | None,
        typer.Option("--index", metavar="N", help="Evaluation image N; repeatable."),
    ] = None,
    artifact: Annotated[
        str | None,
        typer.Option(
            "--artifact",
            metavar="NAME|FILE",
            show_default="the fastest verified one",
            help="An artifact of the export directory, or any model file.",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            show_default="by artifact",
            help="Execute with this; `integer` needs NumPy only.",
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Draw what the model was given: it explains nearly every wrong answer.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Write what the model was given as a PNG.")
    ] = None,
    threads: options.Threads = 1,
    on: options.On = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Read a digit from each picture: digit, confidence, and a bar for each class.

    Any picture of one digit will do: a photograph, a scan, a drawing. For several digits, see `edgemnist read`.
    """
    from edgemnist.exports import find_exports
    from edgemnist.predict import predict_sources
    from edgemnist.render import show as show_result
    from edgemnist.render.predict import predict_page
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.terminal import quiet_libraries

    if on:
        from edgemnist.deploy.remote import predict_pictures_on
        from edgemnist.deploy.target import Target

        options.refuse_with_on({"--exports": exports})
        words = options.words({"--artifact": artifact, "--runtime": runtime, "--threads": threads})
        words += [word for number in index or () for word in ("--index", str(number))]
        words += ["--show"] if show or sheet is not None else []
        target = Target.of(options.only("--on", on), root=root, ssh_config=ssh_config)
        result = predict_pictures_on(target, sources or [], words)
    else:
        reporter = TerminalReporter()
        # The evaluation images are the directory's, whoever answers.
        directory = find_exports(exports, reporter, artifact=None if index else artifact)
        with quiet_libraries():
            result = predict_sources(
                directory,
                sources or [],
                index or [],
                artifact=artifact,
                runtime=runtime,
                threads=threads,
                show=show or sheet is not None,
                reporter=reporter,
            )
    if sheet is not None:
        from edgemnist.images.sheet import strip_png
        from edgemnist.storage import write_file

        write_file(sheet, strip_png([prediction.image or [] for prediction in result.predictions]))
    show_result(result, lambda: predict_page(result), json=json)

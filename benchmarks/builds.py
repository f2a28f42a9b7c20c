"""dbt from raw rows to the marts: at first, its data tests, and with nothing new."""

from benchmarks import dbt_process
from benchmarks.bench import Bench
from benchmarks.measure import Figure, Worker
from benchmarks.project import Shape, copy_project
from orchestration.warehouse import ConnectionSettings


def measure_builds(bench: Bench, settings: ConnectionSettings, shape: Shape) -> None:
    """The first build, its data tests, and builds with nothing to do."""
    of = "wide table" if shape == "wide" else "JSON log"
    project = copy_project(bench.directory / f"first_{shape}", shape)
    with Worker(postmaster=bench.postmaster) as worker:
        bench.progress(f"building everything from the {of}")
        opened = worker.run(dbt_process.open_project, settings, project)
        models = worker.run(dbt_process.build, project, dbt_process.MODELS)
        tests = worker.run(dbt_process.build, project, dbt_process.TESTS)
        idle = [
            worker.run(dbt_process.build, project, dbt_process.MODELS)
            for _ in range(bench.sizes.repetitions)
        ]
    rows = bench.sizes.rows
    bench.report(
        f"build.{shape}.start",
        Figure(title=f"{of}: dbt starts and parses", runs=(opened.result,)),
    )
    bench.report(
        f"build.{shape}.models",
        Figure(
            title=f"{of}: first build of all models",
            runs=(models.result.seconds,),
            processor=(models.processor,),
            rows=rows,
            memory=models.memory,
            detail=build_detail(models.result),
        ),
    )
    bench.report(
        f"build.{shape}.executing",
        Figure(
            title=f"{of}: … of it, models executing",
            runs=(models.result.executing,),
            rows=rows,
        ),
    )
    bench.report(
        f"build.{shape}.tests",
        Figure(
            title=f"{of}: data tests after it",
            runs=(tests.result.seconds,),
            processor=(tests.processor,),
            memory=tests.memory,
            detail=build_detail(tests.result),
        ),
    )
    bench.report(
        f"build.{shape}.nothing",
        Figure(
            # Those of the JSON log have just been loaded: it looks at them once more.
            title=f"{of}: build with nothing new"
            + (", the hour after the load" if shape == "json" else ""),
            runs=tuple(finished.result.seconds for finished in idle),
            processor=tuple(finished.processor for finished in idle),
            detail=build_detail(idle[-1].result),
        ),
    )


def build_detail(times: dbt_process.BuildTimes) -> dict[str, object]:
    slowest_first = sorted(times.nodes.items(), key=lambda node: -node[1])
    return {"executing": times.executing, "nodes": dict(slowest_first)}

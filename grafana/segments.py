"""Whom a model serves worse: the parts of its predictions, and its classes."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import table, timeseries

from grafana import emission, panels, style
from grafana.emission import MODEL, VERSION
from grafana.panels import DAILY, Property, figures

_PARTS = f"{VERSION} and segment in (${{division:sqlstring}}) and grain = 'day'"
_TO_MODEL = emission.url(
    "model",
    ("owner", "monitor", "version"),
    renamed={"segment": "division"},
    segment_value="Value",
)
# What a model has of these depends on its task.
_DIFFERENCES = (
    "selection_rate_difference as selection rate",
    "true_positive_rate_difference as true positive rate",
    "false_positive_rate_difference as false positive rate",
    "positive_predictive_value_difference as precision",
    "mae_difference as mae",
)


def build() -> builders.Dashboard:
    """Performance by value of a segment, fairness between them, classes, versions."""
    dashboard = emission.of_monitors(
        "segments",
        "Driftline segments and fairness",
        "How one model fares for each value of a segment, for each class and version.",
        [
            emission.owner_variable(),
            emission.monitor_variable(),
            emission.version_variable(),
            emission.division_variable(),
        ],
    )
    for panel in (_performance(), _newest()):
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Fairness, of segments that are listed for it"))
    for part in (_gaps(), _groups()):
        dashboard.with_panel(part)
    dashboard.with_row(builders.Row("Classes and versions, all segments together"))
    for whole in (_classes(), _by_version(), _versions()):
        dashboard.with_panel(whole)
    return dashboard


def _performance() -> timeseries.Panel:
    panel = panels.lines(
        "Performance by value of the segment",
        f"""
        select
            window_start as "time",
            figures.metric || ', ' || segment_value as metric,
            figures.value
        from marts.model_performance
        {figures("accuracy", "mae")}
        where {_PARTS}
            and status != 'not_computable'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Accuracy of a classifier, mean absolute error (mae) of a
            regression, for each value of the chosen segment: a model can be well on
            average and wrong for some. Days with too few labels to judge are left out.
            A monitor without segments has one line.""",
        reference="model_performance",
        unit="none",
        no_value="No value of the segment has enough labels a day",
        width=12,
        height=12,
        interval=DAILY,
        decimals=2,
    )
    panels.as_percentage(panel, "/^accuracy/")
    return panel


def _newest() -> table.Panel:
    panel = panels.rows(
        "Values on the newest final day, worst first",
        f"""
        select
            segment_value as "Value",
            status as "Status",
            labelled_count as "Labels",
            coalesce(accuracy, mae) as "Accuracy or MAE",
            coalesce(accuracy_lower, mae_lower) as "From",
            coalesce(accuracy_upper, mae_upper) as "To",
            coalesce(baseline_accuracy, baseline_mae) as "Baseline",
            reason as "Why"
        from (
            select * from marts.model_performance
            where {_PARTS}
                and is_final
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as newest
        order by {style.status_code("status")} desc, labelled_count desc, segment_value
        """,
        description="""The newest day in the time range whose labels have come. Accuracy
            of a classifier, mean absolute error of a regression, From and To its 95 %
            interval: a value is worse than its baseline only if all of it is. Grey has
            too few labels to say. Click a value for its history.""",
        reference="model_performance",
        no_value="No final day in this time range",
        width=12,
        height=12,
        interval=DAILY,
    )
    to_model = panels.link("Open the model for ${__data.fields.Value}", _TO_MODEL)
    panel.override_by_name("Value", [Property("custom.width", 90), to_model])
    panel.override_by_name("Status", [*panels.status_cell(width=135), to_model])
    panel.override_by_name("Labels", panels.number_cell("short", width=80))
    panel.override_by_name(
        "Accuracy or MAE", panels.number_cell("none", width=145, decimals=3)
    )
    for figure in ("From", "To", "Baseline"):
        panel.override_by_name(figure, panels.number_cell("none", width=95, decimals=3))
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _gaps() -> timeseries.Panel:
    panel = panels.lines(
        "Largest gap between two groups",
        f"""
        select
            window_start as "time",
            figures.metric || case class when 'all' then '' else ', ' || class end
                as metric,
            figures.value
        from marts.fairness
        {figures(*_DIFFERENCES)}
        where {_PARTS}
            and compared_to = 'each other'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The highest less the lowest of the groups of the segment that are
            large enough to compare: 0 is equal. Selection rate is demographic parity,
            true positive rate equal opportunity, with false positive rate equalised
            odds, precision predictive parity; mae the error of a regression. Small
            groups differ by chance: the table tests each.""",
        reference="model_performance",
        unit="percentunit",
        no_value="Choose a segment that is listed under fairness",
        width=12,
        height=11,
        interval=DAILY,
        decimals=1,
        minimum=0,
    )
    return panel.override_by_regexp("/^mae/", [Property("unit", "none")])


def _groups() -> table.Panel:
    panel = panels.rows(
        "Groups beside the rest on the newest day",
        f"""
        select
            segment_value as "Group",
            class as "Class",
            status as "Status",
            prediction_count as "Predictions",
            coalesce(selection_rate, mae) as "Selected or MAE",
            coalesce(selection_rate_difference, mae_difference) as "Gap",
            true_positive_rate_difference as "TPR gap",
            false_positive_rate_difference as "FPR gap",
            positive_predictive_value_difference as "Precision gap",
            reason as "Why"
        from (
            select * from marts.fairness
            where {_PARTS}
                and compared_to = 'the rest'
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as newest
        order by {style.status_code("status")} desc, segment_value, class
        """,
        description="""Each group of the segment on the newest day in the time range: a
            gap is its figure less that of all others together. Selected is the share
            that a classifier predicted as positive, MAE the mean absolute error of a
            regression, TPR and FPR are true and false positive rate. Status is amber or
            red only where a whole 95 % interval lies beyond its bound; grey groups are
            too small.""",
        reference="model_performance",
        no_value="Choose a segment that is listed under fairness",
        width=12,
        height=11,
        interval=DAILY,
    )
    panel.override_by_name("Group", [Property("custom.width", 90)])
    panel.override_by_name("Class", [Property("custom.width", 80)])
    panel.override_by_name("Status", panels.status_cell(width=135))
    panel.override_by_name("Predictions", panels.number_cell("short", width=115))
    panel.override_by_name(
        "Selected or MAE", panels.number_cell("none", width=145, decimals=3)
    )
    panel.override_by_name("Gap", panels.number_cell("none", width=80, decimals=3))
    for share, width in (("TPR gap", 90), ("FPR gap", 90), ("Precision gap", 130)):
        panel.override_by_name(
            share, panels.number_cell("percentunit", width=width, decimals=1)
        )
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _classes() -> table.Panel:
    panel = panels.rows(
        "Classes on the newest day",
        f"""
        select
            class as "Class",
            support as "Labels",
            precision as "Precision",
            baseline_precision as "Baseline precision",
            recall as "Recall",
            baseline_recall as "Baseline recall",
            f1 as "F1",
            baseline_f1 as "Baseline F1"
        from (
            select * from marts.model_performance_by_class
            where {VERSION}
                and segment = 'all'
                and grain = 'day'
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as newest
        order by support desc, class
        """,
        description="""Of a classifier: how much of what was predicted as a class was of
            it (precision), and how much of the class was found (recall), beside the
            baseline, on the newest day with labels. A rare class can be lost while the
            accuracy stays.""",
        reference="model_performance",
        no_value="A regression has no classes",
        width=8,
        height=10,
        interval=DAILY,
    )
    panel.override_by_name("Class", [Property("custom.width", 110)])
    panel.override_by_name("Labels", panels.number_cell("short", width=80))
    for share, width in (
        ("Precision", 100),
        ("Baseline precision", 165),
        ("Recall", 80),
        ("Baseline recall", 145),
        ("F1", 80),
        ("Baseline F1", 115),
    ):
        panel.override_by_name(
            share, panels.number_cell("percentunit", width=width, decimals=1)
        )
    return panel


def _by_version() -> timeseries.Panel:
    panel = panels.lines(
        "Performance by version",
        f"""
        select
            window_start as "time",
            figures.metric || ', version ' || model_version as metric,
            figures.value
        from marts.model_performance
        {figures("accuracy", "mae")}
        where {MODEL}
            and model_version != 'all'
            and segment = 'all'
            and grain = 'day'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The same figure for each version. Where two overlap, as in a
            canary, compare them on the same days; the purple marks are deployments.""",
        reference="model_performance",
        unit="none",
        no_value="No labelled predictions in this time range",
        width=6,
        height=10,
        interval=DAILY,
        decimals=2,
    )
    panels.as_percentage(panel, "/^accuracy/")
    return panel


def _versions() -> table.Panel:
    panel = panels.rows(
        "Champion and challengers, newest first",
        f"""
        select
            window_start as "Day",
            champion_version as "Champion",
            challenger_version as "Challenger",
            metric as "Figure",
            status as "Status",
            champion_value as "Champion's",
            challenger_value as "Challenger's",
            difference_lower as "Gap from",
            difference_upper as "Gap to",
            reason as "Why"
        from marts.version_comparison
        where {MODEL}
            and grain = 'day'
            and $__timeFilter(window_start)
            and window_start > $__timeTo()::timestamptz - interval '30 days'
        order by window_start desc, champion_version, challenger_version, metric
        limit 200
        """,
        description="""Versions that served on the same day, side by side, in the last
            30 days of the time range. The challenger is better or worse only where the
            whole 95 % interval of the gap is on one side of 0; amber says that it is
            worse.""",
        reference="model_performance",
        no_value="No two versions served on one day of this time range",
        width=10,
        height=10,
        interval=DAILY,
    )
    panel.override_by_name("Day", panels.day_cell())
    for name in ("Champion", "Challenger", "Figure"):
        panel.override_by_name(name, [Property("custom.width", 110)])
    panel.override_by_name("Status", panels.status_cell(width=120))
    for value in ("Champion's", "Challenger's", "Gap from", "Gap to"):
        panel.override_by_name(value, panels.number_cell("none", width=120, decimals=3))
    return panel.override_by_name("Why", [Property("custom.inspect", True)])

"""How a model does as a service: requests, failures, latency, budgets."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import table, timeseries
from grafana_foundation_sdk.models.common import ScaleDistribution

from grafana import emission, panels, rules, style
from grafana.emission import MODEL, SEGMENT, VERSION
from grafana.model import latency
from grafana.panels import HOURLY, Property

# An alert of the SRE workbook, its rules of both slos, and what it means.
_ALERTS = {
    "page_1h": (
        ("availability_burn_1h", "latency_burn_1h"),
        "2 % of a month's budget in an hour: somebody should look at once",
    ),
    "page_6h": (
        ("availability_burn_6h", "latency_burn_6h"),
        "5 % of a month's budget in six hours: somebody should look today",
    ),
    "ticket_3d": (
        ("availability_burn_3d", "latency_burn_3d"),
        "a tenth of a month's budget in three days: slow, but it will be gone",
    ),
}


def build() -> builders.Dashboard:
    """Traffic, failures, latency; then budgets by alert; then versions."""
    dashboard = emission.of_monitors(
        "service",
        "Driftline service health",
        "Requests, failures, latency and error budgets of one model.",
        [
            emission.owner_variable(),
            emission.monitor_variable(),
            emission.version_variable(),
            emission.segment_variable(),
            emission.segment_value_variable(),
            emission.grain_variable(MODEL),
        ],
    )
    for chart in _traffic():
        dashboard.with_panel(chart)
    dashboard.with_row(builders.Row("Error budgets, all segments together"))
    for panel in (_budgets(), *_burning()):
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Versions, all segments together"))
    for chart in _versions():
        dashboard.with_panel(chart)
    return dashboard


def _over_time(*columns: str) -> str:
    return f"""
        select
            window_start as "time",
            {", ".join(columns)}
        from marts.service_health
        where {SEGMENT}
            and grain in (${{grain:sqlstring}})
            and $__timeFilter(window_start)
        order by 1
        """


def _traffic() -> list[timeseries.Panel]:
    requests = panels.lines(
        "Requests",
        _over_time('request_count as "requests"', 'expected_request_count as "usual"'),
        description="""Predictions asked for in each window, failed ones too, beside the
            median of the same window of the four weeks before (all versions only). Far
            below it: a caller is gone; far above: retries, or a new caller.""",
        reference="service_health",
        unit="short",
        no_value="No requests in this time range",
        width=12,
        height=9,
        interval=HOURLY,
        minimum=0,
    )
    requests.override_by_name("requests", panels.line_style(style.MEASURED))
    requests.override_by_name("usual", panels.reference_style())
    codes = panels.lines(
        "Status codes that are no success",
        f"""
        select
            window_start as "time",
            status_code as metric,
            request_count
        from marts.status_codes
        where {SEGMENT}
            and error_class != '2xx'
            and grain in (${{grain:sqlstring}})
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Requests by what the service answered, without the successes: 4xx
            is the caller's fault, 5xx the service's, (none) where the log has no status
            code.""",
        reference="service_health",
        unit="short",
        no_value="All requests of this time range were answered with a success",
        width=12,
        height=9,
        interval=HOURLY,
        minimum=0,
        bars=True,
    )
    errors = panels.lines(
        "Failed and slow requests",
        _over_time('error_rate as "failed"', 'slow_rate as "slow"'),
        description="""Shares of each window's requests that failed, and that took
            longer than the latency objective. One failure in a quiet hour is a large
            share: the burn rates below weigh the number of requests.""",
        reference="service_health",
        unit="percentunit",
        no_value="No requests in this time range",
        width=8,
        height=9,
        interval=HOURLY,
        minimum=0,
    )
    errors.override_by_name("failed", panels.line_style(style.MEASURED))
    errors.override_by_name("slow", panels.line_style(style.SECONDARY))
    latencies = latency(
        _over_time,
        bounds=panels.bounds(
            f"{VERSION} and segment = 'all' and grain in (${{grain:sqlstring}})",
            "latency_rise",
        ),
        description="""How fast half, 95 % and 99 % of the requests of each window were
            answered, within 1 %. All slow is the service or what it calls; only the
            tail slow is often a few inputs, or cold starts. Thin dashes are the bounds
            of the median that the alert rule learned for the hour of the day.""",
        reference="service_health",
        no_value="No latencies in this time range",
        width=8,
        height=9,
        interval=HOURLY,
    )
    apdex = panels.lines(
        "Apdex",
        _over_time('apdex as "Apdex"'),
        description="""One figure for failures and latency: requests within the latency
            objective count whole, up to four times it half, slower and failed ones not
            at all. 1 is best.""",
        reference="service_health",
        unit="none",
        no_value="No latencies in this time range",
        width=8,
        height=9,
        interval=HOURLY,
        decimals=2,
        minimum=0,
        maximum=1,
        legend=False,
    )
    apdex.override_by_name("Apdex", panels.line_style(style.MEASURED))
    return [requests, codes, errors, latencies, apdex]


def _budgets() -> table.Panel:
    panel = panels.rows(
        "Error budgets at the newest window",
        f"""
        select
            slo as "Objective",
            alert as "Alert",
            status as "Status",
            objective as "Target",
            long_bad_count as "Bad requests",
            long_request_count as "Requests",
            long_burn_rate as "Long burn rate",
            short_burn_rate as "Short burn rate",
            threshold as "Threshold",
            reason as "Why"
        from (
            select * from marts.burn_rates
            where {VERSION}
                and $__timeFilter(window_start)
                and window_start > $__timeTo()::timestamptz - interval '3 days'
            order by window_start desc
            fetch first 1 row with ties
        ) as newest
        order by slo, threshold desc
        """,
        description="""As of the newest window with requests in the last three days of
            the time range: longer ago, no budget burns. An alert burns if both of its
            burn rates are above the threshold, by ten bad requests at least; grey has
            too few requests to say. Threshold times long window is the part of a
            month's budget that is gone.""",
        reference="service_health",
        no_value="No requests in the last three days of this time range",
        width=24,
        height=8,
        interval=HOURLY,
    )
    panel.override_by_name("Status", panels.status_cell(width=120))
    panel.override_by_name(
        "Target", panels.number_cell("percentunit", width=90, decimals=2)
    )
    for count in ("Bad requests", "Requests"):
        panel.override_by_name(count, panels.number_cell("short", width=120))
    for rate in ("Long burn rate", "Short burn rate", "Threshold"):
        panel.override_by_name(rate, panels.number_cell("none", width=145, decimals=1))
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _burning() -> list[timeseries.Panel]:
    charts = []
    for alert, (rule_ids, meaning) in _ALERTS.items():
        chart = panels.lines(
            f"Burn rates of {alert}",
            f"""
            select
                window_start as "time",
                slo || ', ' || figures.metric as metric,
                figures.value
            from marts.burn_rates
            {panels.figures("long_burn_rate as long", "short_burn_rate as short")}
            where {VERSION}
                and alert = '{alert}'
                and figures.value is not null
                and $__timeFilter(window_start)
            order by 1, 2
            """,
            description=f"""How many times as fast as it may the budget burns. Where
                both the long and the short line are above the dashed threshold:
                {meaning}. The short one falls first when the trouble is over.""",
            reference="service_health",
            unit="none",
            steps=rules.steps(*rule_ids),
            no_value="No requests in this time range",
            width=8,
            height=9,
            interval=HOURLY,
            decimals=1,
            minimum=0,
            logarithmic=ScaleDistribution.SYMLOG,
        )
        for slo, colour in (
            ("availability", style.MEASURED),
            ("latency", style.SECONDARY),
        ):
            chart.override_by_name(f"{slo}, long", panels.line_style(colour))
            chart.override_by_name(
                f"{slo}, short", panels.line_style(colour, dash=[2, 4], width=1)
            )
        charts.append(chart)
    return charts


def _versions() -> list[timeseries.Panel]:
    def by_version(column: str) -> str:
        return f"""
            select
                window_start as "time",
                'version ' || model_version as metric,
                {column}
            from marts.service_health
            where {MODEL}
                and model_version != 'all'
                and segment = 'all'
                and grain in (${{grain:sqlstring}})
                and $__timeFilter(window_start)
            order by 1, 2
            """

    return [
        panels.lines(
            "Share of traffic by version",
            by_version("traffic_share"),
            description="""What part of each window's requests a version served: what a
                canary gets, and how fast a deployment took over.""",
            reference="service_health",
            unit="percentunit",
            no_value="No requests in this time range",
            width=8,
            height=8,
            interval=HOURLY,
            minimum=0,
            maximum=1,
            stacked=True,
        ),
        panels.lines(
            "Failed requests by version",
            by_version("error_rate"),
            description="""Share of each version's requests that failed. If one version
                fails and another at the same time does not, roll it back.""",
            reference="service_health",
            unit="percentunit",
            no_value="No requests in this time range",
            width=8,
            height=8,
            interval=HOURLY,
            minimum=0,
        ),
        panels.lines(
            "Latency by version, 95th percentile",
            by_version("latency_p95_ms"),
            description="""19 of 20 requests to a version were answered faster. A step
                at a purple mark is the price of a deployment.""",
            reference="service_health",
            unit="ms",
            no_value="No latencies in this time range",
            width=8,
            height=8,
            interval=HOURLY,
            logarithmic=ScaleDistribution.LOG,
        ),
    ]

{#-
    What the same window held in the four weeks before, as a lateral from-clause item
    `earlier_weeks`: the number of those weeks in which it began after the monitor's
    first window, and of its requests then the median, and the median distance from it.
    Unlike mean and variance, these don't learn from an incident in one week of three or
    four. A week without any counts as 0. Over all versions only: versions come and go,
    so of one no traffic can be expected. `window` is a relation with the keys of a
    window, `span` one with the monitor's row of `int_traffic_spans`.
-#}
{% macro earlier_weeks(window, span) -%}
lateral (
    select
        of_weeks.week_count,
        of_weeks.median_count,
        (
            select
                percentile_cont(0.5) within group (
                    order by abs(counts.request_count - of_weeks.median_count)
                )
            from unnest(of_weeks.request_counts) as counts (request_count)
        ) as median_distance
    from (
        select
            count(*) as week_count,
            percentile_cont(0.5) within group (
                order by coalesce(earlier.request_count, 0)
            ) as median_count,
            array_agg(coalesce(earlier.request_count, 0)) as request_counts
        from (
            values
            {%- for number in range(1, 5) %}
            ({{ window }}.window_start - interval '{{ 168 * number }} hours')
            {{- ',' if not loop.last }}
            {%- endfor %}
        ) as weeks (window_start)
        left join {{ ref('int_service_health') }} as earlier
            on
                earlier.monitor = {{ window }}.monitor
                and earlier.grain = {{ window }}.grain
                and earlier.model_version = 'all'
                and earlier.segment = {{ window }}.segment
                and earlier.segment_value = {{ window }}.segment_value
                and earlier.window_start = weeks.window_start
        where
            {{ window }}.model_version = 'all'
            and weeks.window_start > {{ span }}.first_window_start
        having count(*) > 0
    ) as of_weeks
) as earlier_weeks
{%- endmacro %}

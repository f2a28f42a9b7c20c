{#-
    What the same window held in the four weeks before, as a lateral from-clause item
    `earlier_weeks`: the number of those weeks in which it began after the monitor's
    first window, and of its requests then the mean and the sample variance. A week
    without any counts as 0. Over all versions only: versions come and go, so of one no
    traffic can be expected. `window` is a relation with the keys of a window, `span`
    one with the monitor's row of `int_traffic_spans`.
-#}
{% macro earlier_weeks(window, span) -%}
lateral (
    select
        weeks.week_count,
        coalesce(sum(earlier.request_count), 0)::double precision
        / nullif(weeks.week_count, 0) as mean_count,
        (
            (
                coalesce(sum(earlier.request_count::numeric * earlier.request_count), 0)
                - power(coalesce(sum(earlier.request_count), 0), 2)
                / nullif(weeks.week_count, 0)
            ) / nullif(weeks.week_count - 1, 0)
        )::double precision as count_variance
    from (
        select
            greatest(0, least(4, ceil(
                {{ seconds_between(
                    span ~ '.first_window_start', window ~ '.window_start'
                ) | indent(16) }} / 604800
            ) - 1))::integer as week_count
        where
            {{ window }}.model_version = 'all'
            and {{ span }}.first_window_start is not null
    ) as weeks
    left join {{ ref('int_service_health') }} as earlier
        on
            earlier.monitor = {{ window }}.monitor
            and earlier.grain = {{ window }}.grain
            and earlier.model_version = 'all'
            and earlier.segment = {{ window }}.segment
            and earlier.segment_value = {{ window }}.segment_value
            and earlier.window_start in (
                {%- for number in range(1, 5) %}
                {{ window }}.window_start - interval '{{ 168 * number }} hours'
                {{- ',' if not loop.last }}
                {%- endfor %}
            )
            and earlier.window_start > {{ span }}.first_window_start
    group by weeks.week_count
) as earlier_weeks
{%- endmacro %}

{#-
    Outcome statistics of the windows of this run, rolled up, and of the baseline as a
    window of its own grain, so that one formula serves both. Like `rolled_up` with the
    segment.
-#}
{% macro windows_and_baseline(statistics, columns) -%}
    {{ rolled_up(statistics, 'outcomes', ['segment', 'segment_value'] + columns) }}

    union all

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_start as window_end,
        segment,
        segment_value
        {%- for column in columns %},
        {{ column }}
        {%- endfor %}

    from {{ statistics }}

    where grain = 'baseline'
{%- endmacro %}

{#-
    The rows a statistics model reads of one monitor: its predictions in the windows
    that this run refreshes and, with `include_baseline`, its baseline as one more
    window of the grain 'baseline'. Yields grain, window_start, model_version and the
    columns asked for, a list of {name, expression}.
-#}
{% macro monitored_rows(monitor, family, columns, include_baseline=false) -%}
    {%- set grain = finest_grain(monitor, family) -%}
    {%- set scope = stale_scope(monitor, family) -%}
    select
        '{{ grain }}' as grain,
        {{ window_start('predicted_at', grain) | indent(8) }} as window_start,
        {{ version_key() | indent(8) }} as model_version
        {%- for column in columns %},
        {{ column.expression }} as {{ column.name }}
        {%- endfor %}

    from {{ ref(monitor.predictions) }}

    where {{ in_scope('predicted_at', scope) | indent(4) }}

    {%- if include_baseline and refreshes_baseline(monitor, family) %}

    union all

    select
        'baseline' as grain,
        {{ baseline_window() }} as window_start,
        {{ baseline_version_key(monitor) | indent(8) }} as model_version
        {%- for column in columns %},
        {{ column.expression }} as {{ column.name }}
        {%- endfor %}

    from {{ baseline_rows(monitor) | indent(4) }}
    {%- endif %}
{%- endmacro %}


{#-
    The key of a model version: no version is a version too, and 'all' is kept for the
    sum.
-#}
{% macro version_key() -%}
case
    when model_version is null then '(none)'
    when model_version = 'all' then '(all)'
    else {{ key_text('model_version::text') | indent(4) }}
end
{%- endmacro %}


{#-
    The key under which a baseline row is kept: that of its version or, of a baseline
    that versions share, one for all rows.
-#}
{% macro baseline_version_key(monitor) -%}
    {%- if monitor.baseline.versions == 'shared' -%}
'(shared)'
    {%- else -%}
        {{ version_key() }}
    {%- endif -%}
{%- endmacro %}


{#- Where a baseline stands on the time axis: nowhere, but keys must not be null. -#}
{% macro baseline_window() -%}
    timestamptz '1970-01-01 00:00:00+00'
{%- endmacro %}


{#- A from-clause item with the rows of the monitor's baseline. -#}
{% macro baseline_rows(monitor) -%}
    {%- if monitor.baseline.relation -%}
        {{ ref(monitor.baseline.relation) }}
    {%- elif monitor.baseline.first -%}
(
    select *
    from {{ ref(monitor.predictions) }}
    where
        {{ is_usable_time('predicted_at') | indent(8) }}
        and predicted_at < (
            select
                {{ window_start('predicted_at', 'day') | indent(16) }}
                + {{ time_span(monitor.baseline.first) }}
            from {{ ref(monitor.predictions) }}
            where {{ is_usable_time('predicted_at') | indent(16) }}
            order by predicted_at
            limit 1
        )
) as baseline_rows
    {%- else -%}
(
    select *
    from {{ ref(monitor.predictions) }}
    where
        predicted_at >= timestamptz '{{ monitor.baseline.from }} 00:00:00+00'
        and predicted_at < timestamptz '{{ monitor.baseline.to }} 00:00:00+00'
) as baseline_rows
    {%- endif -%}
{%- endmacro %}

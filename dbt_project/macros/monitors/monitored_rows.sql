{#-
    The rows a statistics model reads of one monitor: its predictions in the windows
    that this run refreshes and, with `include_baseline`, its baseline as one more
    window of the grain 'baseline'. Yields grain, window_start, model_version and the
    columns asked for, a list of {name, expression}, out of the run's copy of these rows
    if it has one.
-#}
{% macro monitored_rows(monitor, family, columns, include_baseline=false) -%}
    {%- set grain = finest_grain(monitor, family) -%}
    {%- set scope = stale_scope(monitor, family) -%}
    {%- set copy = row_copy_for(monitor, family, scope) -%}
    {%- if copy -%}
        {{ rows_of_copy(monitor, family, scope, columns, include_baseline, copy) }}
    {%- else -%}
    select
        '{{ grain }}' as grain,
        {{ window_start('predicted_at', grain) | indent(8) }} as window_start,
        {{ version_key() | indent(8) }} as model_version
        {%- for column in columns %},
        {{ column.expression }} as {{ column.name }}
        {%- endfor %}

    from {{ predictions_of(monitor) | indent(4) }}

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
    {%- endif -%}
{%- endmacro %}


{#-
    The same rows out of the run's copy. Expressions that it holds are not evaluated
    again.
-#}
{% macro rows_of_copy(
    monitor, family, scope, columns, include_baseline, copy, relation=none
) -%}
    {%- set grain = finest_grain(monitor, family) -%}
    {%- set copied = {} -%}
    {%- for column in segment_values(monitor.segments) -%}
        {%- do copied.update({column.expression: '"segment ' ~ loop.index ~ '"'}) -%}
    {%- endfor -%}
    select
        {%- if include_baseline and copy.is_whole %}
        case when "is baseline" then 'baseline' else '{{ grain }}' end as grain,
        {%- else %}
        '{{ grain }}' as grain,
        {%- endif %}
        {%- if grain == monitor.windows.columns %}
        "column window" as window_start,
        {%- else %}
        "traffic window" as window_start,
        {%- endif %}
        "version key" as model_version
        {%- for column in columns %},
        {{ copied.get(column.expression, column.expression) }} as {{ column.name }}
        {%- endfor %}

    from {{ relation or copy.rows }}

    {%- if scope is not none %}

    where {{ in_scope('predicted_at', scope) | indent(4) }}
    {%- elif copy.is_whole and not include_baseline %}

    where not "is baseline"
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


{#-
    A from-clause item with the rows of the monitor's baseline.

    The first days begin with that of the `minimum_sample`-th prediction, so that a few
    rows dated long before all others, by a clock gone wrong, are not the baseline. What
    is added to the log can't move that day to a later one.
-#}
{% macro baseline_rows(monitor) -%}
    {%- if monitor.baseline.relation -%}
        {%- set relation = ref(monitor.baseline.relation) -%}
        {{ relation if can_be_read(monitor) else no_predictions(monitor) }}
    {%- elif monitor.baseline.first -%}
(
    with first_days as (
        select
            {{ window_start('predicted_at', 'day') | indent(12) }} as first_day
        from {{ predictions_of(monitor) | indent(4) }}
        where {{ is_usable_time('predicted_at') | indent(12) }}
        order by predicted_at
        limit 1
        offset {{ monitor.minimum_sample - 1 }}
    )
    select *
    from {{ predictions_of(monitor) | indent(4) }}
    where
        {{ is_usable_time('predicted_at') | indent(8) }}
        and predicted_at >= (select first_day from first_days)
        and predicted_at < (
            select first_day + {{ time_span(monitor.baseline.first) }} from first_days
        )
) as baseline_rows
    {%- else -%}
(
    select *
    from {{ predictions_of(monitor) | indent(4) }}
    where
        predicted_at >= timestamptz '{{ monitor.baseline.from }} 00:00:00+00'
        and predicted_at < timestamptz '{{ monitor.baseline.to }} 00:00:00+00'
) as baseline_rows
    {%- endif -%}
{%- endmacro %}

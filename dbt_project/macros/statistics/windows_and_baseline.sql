{#-
    Rows of outcome statistics for the windows of this run, rolled up, and for the baseline as a
    window of its own grain, so that one formula serves both. `measures` maps names to aggregate
    expressions over `statistics`, `keys` are further columns to group by.
-#}
{% macro windows_and_baseline(relation, measures, keys=[]) %}
    select
        refreshed.monitor,
        versions.model_version,
        statistics.segment,
        statistics.segment_value,
        refreshed.grain,
        refreshed.window_start
        {%- for key in keys %},
        statistics.{{ key }}
        {%- endfor %}
        {%- for name, expression in measures.items() %},
        {{ expression }} as {{ name }}
        {%- endfor %}

    from {{ rolled_up(relation) }}

    group by
        refreshed.monitor,
        versions.model_version,
        statistics.segment,
        statistics.segment_value,
        refreshed.grain,
        refreshed.window_start
        {%- for key in keys %},
        statistics.{{ key }}
        {%- endfor %}

    union all

    select
        statistics.monitor,
        statistics.model_version,
        statistics.segment,
        statistics.segment_value,
        statistics.grain,
        statistics.window_start
        {%- for key in keys %},
        statistics.{{ key }}
        {%- endfor %}
        {%- for name, expression in measures.items() %},
        {{ expression }} as {{ name }}
        {%- endfor %}

    from {{ relation }} as statistics

    where statistics.grain = 'baseline'

    group by
        statistics.monitor,
        statistics.model_version,
        statistics.segment,
        statistics.segment_value,
        statistics.grain,
        statistics.window_start
        {%- for key in keys %},
        statistics.{{ key }}
        {%- endfor %}
{% endmacro %}

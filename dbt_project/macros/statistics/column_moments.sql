{#-
    Count, mean, M2 (the sum of squared deviations from the mean), minimum and maximum
    of the usable numbers in each numerical column, and how many of them are implausible
    beside the baseline, for all rows and in each of the monitor's column segments: wide
    aggregates, then one row per column. Writes the CTEs {monitor}_found, _rows, _limits,
    _wide_… and _moments.

    Postgres computes variance by Youngs and Cramer's update, which far from zero loses
    as many digits as the mean has more than the deviations. So the numbers are also
    taken from the baseline's minimum; where that lies so close to their mean that the
    subtraction is exact, this is what counts.
-#}
{% macro column_moments(monitor, family, columns) -%}
{%- set numerical = columns | selectattr('kind', 'equalto', 'numerical') | list -%}
{%- set segments = monitor.column_segments -%}
{%- set selected = segment_values(segments) -%}
{%- for column in numerical -%}
    {%- do selected.append({
        'name': 'column_' ~ loop.index,
        'expression': usable_number(adapter.quote(column.name)) | indent(8),
    }) -%}
{%- endfor -%}
{{ monitor.name }}_found as (

    {{ monitored_rows(monitor, family, selected, include_baseline=true) }}

),

{{ monitor.name }}_rows as (

    select *

    from {{ monitor.name }}_found

    {{ evaluated_once() }}

),

{{ monitor.name }}_limits as (

    select
        {%- for column in numerical %}
        max(edges[1]) filter (
            where column_name = '{{ column.name }}'
        ) as lowest_{{ loop.index }},
        max({{ plausible_from('edges[1]', 'maximum') | indent(8) }}) filter (
            where column_name = '{{ column.name }}'
        ) as plausible_from_{{ loop.index }},
        max({{ plausible_to('edges[1]', 'maximum') | indent(8) }}) filter (
            where column_name = '{{ column.name }}'
        ) as plausible_to_{{ loop.index }},
        {%- endfor %}
        count(*) as column_count

    from {{ ref('int_baselines') }}

    where monitor = '{{ monitor.name }}'

),

{% for chunk in chunks_of(numerical) -%}
{%- set first = 100 * loop.index0 -%}
{{ monitor.name }}_wide_{{ loop.index }} as (

    select
        grain,
        window_start,
        model_version,
        {{ segment_keys(segments) | indent(8) }}
        {%- for column in chunk %},
        -- {{ column.name }}
        {%- set name = 'column_' ~ (first + loop.index) %}
        {%- set lowest = 'lowest_' ~ (first + loop.index) %}
        count({{ name }}) as {{ name }}_count,
        avg({{ name }}) as {{ name }}_mean,
        var_pop({{ name }}) as {{ name }}_variance,
        avg({{ name }} - {{ lowest }}) as {{ name }}_shifted_mean,
        var_pop({{ name }} - {{ lowest }}) as {{ name }}_shifted_variance,
        min({{ name }}) as {{ name }}_minimum,
        max({{ name }}) as {{ name }}_maximum,
        count(*) filter (
            where
                {{ name }} < plausible_from_{{ first + loop.index }}
                or {{ name }} > plausible_to_{{ first + loop.index }}
        ) as {{ name }}_implausible
        {%- endfor %}

    from {{ monitor.name }}_rows

    cross join {{ monitor.name }}_limits

    {{ segment_grouping_sets(segments, ['grain', 'window_start', 'model_version']) }}

),

{% endfor -%}

{{ monitor.name }}_moments as (
    {%- for chunk in chunks_of(numerical) %}
    {%- set first = 100 * loop.index0 %}
    {%- if not loop.first %}

    union all
    {%- endif %}

    select
        '{{ monitor.name }}' as monitor,
        wide.grain,
        wide.window_start,
        wide.model_version,
        wide.segment,
        wide.segment_value,
        moments.column_name,
        moments.role,
        moments.value_count,
        case
            when abs(moments.shifted_mean) < abs(moments.mean) / 2
                then moments.lowest + moments.shifted_mean
            else moments.mean
        end as mean,
        moments.value_count * case
            when abs(moments.shifted_mean) < abs(moments.mean) / 2
                then moments.shifted_variance
            else moments.variance
        end as m2,
        moments.minimum,
        moments.maximum,
        moments.implausible_count

    from {{ monitor.name }}_wide_{{ loop.index }} as wide

    cross join {{ monitor.name }}_limits as limits

    cross join lateral (
        values
        {%- for column in chunk %}
        {%- set name = 'wide.column_' ~ (first + loop.index) %}
        (
            '{{ column.name }}',
            '{{ column.role }}',
            {{ name }}_count,
            {{ name }}_mean,
            {{ name }}_variance,
            limits.lowest_{{ first + loop.index }},
            {{ name }}_shifted_mean,
            {{ name }}_shifted_variance,
            {{ name }}_minimum,
            {{ name }}_maximum,
            {{ name }}_implausible
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as moments (
        column_name,
        role,
        value_count,
        mean,
        variance,
        lowest,
        shifted_mean,
        shifted_variance,
        minimum,
        maximum,
        implausible_count
    )

    where moments.value_count > 0
    {%- else %}

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        'all' as segment,
        'all' as segment_value,
        null::text as column_name,
        null::text as role,
        0::bigint as value_count,
        null::double precision as mean,
        null::double precision as m2,
        null::double precision as minimum,
        null::double precision as maximum,
        0::bigint as implausible_count

    from {{ monitor.name }}_rows

    where false
    {%- endfor %}

),
{%- endmacro %}


{#-
    The least and the greatest number that is plausible beside the baseline's smallest
    and largest: three times the baseline's range away from it, and on the same side of
    zero as all of the baseline; beside one that does not vary, only the side of zero
    counts. Null where nothing is implausible: a comparison with null counts nothing.
-#}
{% macro plausible_from(minimum, maximum) -%}
greatest(
    case when {{ minimum }} >= 0 and {{ maximum }} > 0 then 0 end,
    case
        when {{ maximum }} > {{ minimum }}
            then {{ minimum }} - 3 * ({{ maximum }} - {{ minimum }})
    end
)
{%- endmacro %}

{% macro plausible_to(minimum, maximum) -%}
least(
    case when {{ maximum }} <= 0 and {{ minimum }} < 0 then 0 end,
    case
        when {{ maximum }} > {{ minimum }}
            then {{ maximum }} + 3 * ({{ maximum }} - {{ minimum }})
    end
)
{%- endmacro %}
